"""The one door through which ROOT files are opened for reading.

Whatever is wrong with a file is a `FileError`, one sentence that names the file. Nothing that a file holds is
ever run: see `events.trees`.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uproot

from events.errors import FileError, damage_named
from events.remote import TIMEOUT_SECONDS, is_remote
from events.trees import Tree

__all__ = ["FileError", "RootFile", "is_remote", "open_root", "opening_options"]

_HEADER = 20
_LARGE = 1_000_000


class RootFile:
    """An open ROOT file, as `open_root` yields it.

    Attributes:
        path: Where it is, a path or a URL.
    """

    def __init__(self, path: str, directory: Any) -> None:
        self.path = path
        self._directory = directory
        with damage_named(path):
            self._kinds: dict[str, str] = directory.classnames(cycle=False, recursive=False)

    @property
    def uuid(self) -> bytes:
        """ROOT's mark of the file; copies have the same one, files that were written anew another."""
        return bytes(self._directory.file.fUUID)

    @property
    def size(self) -> int:
        """The length the file says it has, in bytes."""
        return int(self._directory.file.fEND)

    @property
    def kinds(self) -> dict[str, str]:
        """The class of everything at the top of the file, by name."""
        return dict(self._kinds)

    def __contains__(self, name: str) -> bool:
        """Say whether something of that name is at the top of the file or in a folder of it."""
        with damage_named(self.path):
            return name in self._kinds or name in self._directory

    def tree(self, name: str) -> Tree:
        """Return a tree: a TTree or an RNTuple.

        Raises:
            FileError: If there is none of that name, or it cannot be read.
        """
        found = self.object(name, kind="tree")
        if not isinstance(found, uproot.TTree | uproot.behaviors.RNTuple.RNTuple):
            raise FileError(self.path, f"its {name} is no tree but a {self._kinds.get(name, 'folder')}")
        return Tree(self.path, name, found)

    def text(self, name: str) -> str | None:
        """Return a plain text, None if there is none of that name.

        Raises:
            FileError: If it cannot be read.
        """
        return str(self.object(name)) if name in self else None

    def object(self, name: str, *, kind: str = "object") -> Any:
        """Return an object as uproot has it, of histograms for instance.

        Raises:
            FileError: If there is none of that name, or it cannot be read.
        """
        if name not in self:
            raise FileError(self.path, f"it holds no {kind} {name}")
        with damage_named(self.path):
            return self._directory[name]


@contextmanager
def open_root(path: str | Path) -> Iterator[RootFile]:
    """Yield a file opened for reading.

    Args:
        path: A path or a URL.

    Raises:
        FileError: If it is absent, truncated, no ROOT file or damaged.
    """
    where = str(path)
    require_whole(where)
    with damage_named(where):
        # In braces a path is a path, even with a colon in it.
        options = opening_options([where])
        directory = uproot.open({where: None}, object_cache=None, array_cache=None, **options)
    with directory:
        yield RootFile(where, directory)


def opening_options(paths: Iterable[str]) -> dict[str, Any]:
    """Return how uproot opens files: local ones plainly, not by way of a library of URLs."""
    if any(map(is_remote, paths)):
        return {"timeout": TIMEOUT_SECONDS}
    return {"handler": uproot.MultithreadedFileSource}


def require_whole(path: str) -> None:
    """Raise unless a local file is there and as long as it says it is; remote ones are not looked at.

    Raises:
        FileError: If not.
    """
    if is_remote(path):
        return
    if not Path(path).is_file():
        raise FileError(path, "no such file")
    size = Path(path).stat().st_size
    if size < (expected := declared_size(path)):
        raise FileError(path, f"truncated, {size} of {expected} bytes are there")


def declared_size(path: str) -> int:
    """Return how long a local ROOT file says it is, in bytes.

    Raises:
        FileError: If it may not be read or is no ROOT file.

    Source:
        The header of ROOT's TFile: "root", version, begin of data (32 bits each), then the end of the file,
        in 64 bits from version 1000000 on.
    """
    try:
        with Path(path).open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise FileError(path, f"it cannot be opened ({error.strerror})") from error
    if len(header) < _HEADER or not header.startswith(b"root"):
        raise FileError(path, "not a ROOT file")
    (version,) = struct.unpack(">i", header[4:8])
    layout, end = (">q", 20) if version >= _LARGE else (">i", 16)
    (size,) = struct.unpack(layout, header[12:end])
    return int(size)
