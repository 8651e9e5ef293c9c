"""Files and folders that are either whole or not there."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well, else vanishes.

    The folder is made if it is missing; after an error an older file of that name is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Raise unless files can be put into a folder, which need not be there yet.

    Work of hours should not find that out when it wants to write.

    Raises:
        ValueError: If the folder, or one above it, is a file or may not be written to.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ValueError(f"{existing}: a file, where a folder for the output is wanted: choose another name")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"{existing}: may not be written to: choose another folder for the output")


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its place when the block ends well, else vanishes.

    After an error an older folder of that name is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def continued_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that takes its place when the block ends well, else stays to be continued.

    The next call yields the same folder with what the interrupted one left in it.

    Raises:
        ValueError: If another process works in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.mkdir(exist_ok=True)
    lock = os.open(unfinished, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{path}: another process is making it: wait until it has ended") from None
        yield unfinished
        _put_in_place(unfinished, path)
    finally:
        os.close(lock)


def _put_in_place(folder: Path, path: Path) -> None:
    """Move a folder to `path`; if that fails, what was there before is there again."""
    previous = folder.with_suffix(".previous")
    try:
        if path.exists():
            path.replace(previous)
        folder.replace(path)
    finally:
        if previous.exists() and not path.exists():
            previous.replace(path)
        shutil.rmtree(previous, ignore_errors=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, for what will become it; it vanishes in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".partial", dir=path.parent) as name:
        yield Path(name)


def remove_remnants(folder: Path) -> None:
    """Remove what `replaced_file` left where its process was killed; nobody may be writing in the folder."""
    for path in folder.glob(".*.partial"):
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in one stroke."""
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
