"""The tree that a worker has open, kept for the chunks of the same file that follow.

To open a tree is to read what a file says of all its branches and baskets, some 0.4 ms for each branch; done
again for every chunk, it costs more than small chunks themselves. coffea opens the file of each chunk anew,
and finds the tree in uproot's cache of objects, where it stays for as long as it is held here.
"""

import atexit
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import uproot
from coffea.processor.executor import WorkItem

from events.files import FileError, RootFile, is_remote, open_root, opening_options
from events.identity import State, identity_of, machine, state_of
from events.reading import ReadError

IDENTITY, STATE, MACHINE = "identity", "state", "machine"
"""What a chunk says of its file as it was planned: see `planned_file`."""

_HEADER_BYTES = 100
"""Hold the length of a file and ROOT's mark of it."""


class Objects(MutableMapping[str, Any]):
    """uproot's cache of objects: what the file holds that the present thread has open.

    It has no content of its own, so that it can be given along to workers.
    """

    def __getitem__(self, key: str) -> Any:
        """Return an object that was read."""
        return _held.objects[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep an object."""
        _held.objects[key] = value

    def __delitem__(self, key: str) -> None:
        """Forget an object."""
        del _held.objects[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of what was read."""
        return iter(_held.objects)

    def __len__(self) -> int:
        """Return how many objects are kept."""
        return len(_held.objects)


class _Held(threading.local):
    """The file that a thread has open.

    Attributes:
        mark: What tells it from others, and from itself written anew.
        header: Its first bytes; a file that was written anew has others.
    """

    def __init__(self) -> None:
        self.mark: tuple[Any, ...] | None = None
        self.file: Any = None
        self.header: bytes = b""
        self.objects: dict[str, Any] = {}


_held = _Held()
_open_files: WeakValueDictionary[int, Any] = WeakValueDictionary()
"""What the threads of this process hold open, by identity."""


@atexit.register
def _close_all() -> None:
    """Close every file before the interpreter ends.

    A file that is still open closes itself when it is deleted, and from Python 3.13 on waits for ever for its
    threads, which no longer run then.
    """
    for file in list(_open_files.values()):
        file.close()


def planned_file(identity: str, state: State | None) -> dict[str, Any]:
    """Return what the chunks of a file are to say of it, as plain values; their `usermeta`."""
    return {IDENTITY: identity, STATE: None if state is None else list(state), MACHINE: machine()}


def runner_options(paths: Iterable[str]) -> dict[str, Any]:
    """Return how coffea is to open files: such that it finds the tree that is held."""
    return {"object_cache": Objects(), **opening_options(paths)}


@contextmanager
def open_tree(item: WorkItem) -> Iterator[Callable[[], int]]:
    """Hold the tree of a chunk open, and yield what tells how many bytes were read for it.

    It stays open afterwards, until the thread opens another; what fails closes it. Of a file that is not
    there none is held, and whoever opens it will find out.

    Raises:
        ReadError: If it is not the file that was planned, or was changed while the block ran.
    """
    try:
        _require_planned_state(item)
        mark = _mark(item)
        if mark != _held.mark:
            close_tree()
        before = _read_so_far()
        if mark is not None and _held.file is None:
            _open(item)
            _held.mark = mark
        yield lambda: _read_so_far() - before
        if _mark(item) != mark or _header() != _held.header:
            raise changed(item.filename)
    except BaseException:
        close_tree()
        raise


def damage_of(item: WorkItem, branches: frozenset[str]) -> str | None:
    """Return what is wrong with some branches of a chunk, in a sentence that names the file; None if nothing.

    All of them are read: asked only where the work on a chunk failed.
    """
    try:
        with open_root(item.filename) as file:
            tree = file.tree(item.treename)
            tree.require_sound(branches, start=item.entrystart, stop=item.entrystop)
    except FileError as error:
        return f"{error.path}: cannot be read, the file is damaged ({error.reason})"
    return None


def _open(item: WorkItem) -> None:
    # Arrays are not kept, as every chunk reads others.
    options = runner_options([item.filename])
    _held.file = uproot.open({item.filename: None}, array_cache=None, **options)
    _open_files[id(_held.file)] = _held.file
    _held.header = _header()
    file = RootFile(item.filename, _held.file)
    identity = identity_of(file, file.tree(item.treename))
    if identity != (item.usermeta or {}).get(IDENTITY, identity):
        raise changed(item.filename)


def changed(path: str) -> ReadError:
    """Return what is to be raised of a file that is no longer the one that was planned."""
    return ReadError(
        f"{path}: was replaced or changed since the run began: leave inputs alone while they are processed, "
        "and run again"
    )


def _require_planned_state(item: WorkItem) -> None:
    """Raise if a local file is not in the state in which it was planned."""
    usermeta = item.usermeta or {}
    planned, now = usermeta.get(STATE), state_of(item.filename)
    if planned is None or now is None:
        return
    if not now.fits(State(*planned), same_machine=usermeta.get(MACHINE) == machine()):
        raise changed(item.filename)


def _header() -> bytes:
    """Return the first bytes of the file that is held, as they are now."""
    if _held.file is None:
        return b""
    chunk = _held.file.file.source.chunk(0, _HEADER_BYTES)
    return bytes(chunk.raw_data)


def _read_so_far() -> int:
    return 0 if _held.file is None else int(_held.file.file.source.num_requested_bytes)


def close_tree() -> None:
    """Close the file that this thread holds, if any."""
    if _held.file is not None:
        _held.file.close()
    _held.mark, _held.file, _held.header, _held.objects = None, None, b"", {}


def _mark(item: WorkItem) -> tuple[Any, ...] | None:
    state = state_of(item.filename)
    if state is None and not is_remote(item.filename):
        return None
    return item.filename, item.treename, item.fileuuid, (item.usermeta or {}).get(IDENTITY), state
