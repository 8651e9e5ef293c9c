"""Files and folders that are either whole or not there, and have one writer at a time."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from storage.disk import disk_full_said, make_folder, settle, settle_all
from storage.locks import claim, is_still, locked

LOCK_NAME = ".lock"
"""A file in a folder that a process writes into, for as long as it does."""
_ONE_DAY_S = 86400
_SHORT = 200
"""Characters of a name that leave room for what is put around it: file systems take 255 bytes."""


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well, else vanishes.

    The folder is made if it is missing; after an error an older file of that name is still there. Content is
    on the disk before the name points to it. What a killed process left is overwritten by the next.

    Raises:
        IsADirectoryError: If there is a folder of that name.
        OSError: If the disk is full; the message says which file, and what to do.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, where a file is to be written: choose another name")
    with disk_full_said(path), _own_temporary(path) as temporary:
        yield temporary
        settle(temporary)
        temporary.replace(path)
        settle(path.parent)


@contextmanager
def _own_temporary(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path` in which no other process writes; it vanishes after an error."""
    temporary = _hidden(path, "partial")
    descriptor = _opened(temporary)
    claimed = claim(descriptor)
    if not (claimed and is_still(temporary, descriptor)):
        os.close(descriptor)
        if claimed is None:
            temporary.unlink(missing_ok=True)
        temporary = _hidden(path, f"{os.urandom(6).hex()}.partial")
        descriptor = _opened(temporary)
        claim(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        raise PermissionError(
            f"{path.parent}: may not be written to: choose another folder for the output"
        ) from None


def _hidden(path: Path, ending: str) -> Path:
    """Return the path of something hidden beside `path`, named after it."""
    name = path.name
    if len(os.fsencode(name)) > _SHORT:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f".{name}.{ending}")


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Make sure that no other process writes into a folder while the block runs; it is made if missing.

    Remnants of killed processes are removed from it. A folder that is still empty in the end vanishes.

    Raises:
        ValueError: If another process writes into it.
    """
    with _gone_if_empty(folder), ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK_NAME, again=True))
        except BlockingIOError as holder:
            raise ValueError(
                f"{folder}: another process is writing into it ({holder}): "
                "wait until it has ended, or choose another folder"
            ) from None
        remove_remnants(folder)
        yield


@contextmanager
def _gone_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder in the end, and those above it, if they were made in the block and hold nothing."""
    missing = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    try:
        yield
    finally:
        for place in missing:
            with suppress(OSError):  # it holds something
                place.rmdir()


@contextmanager
def held_file(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Make sure that no other process that asks writes a file while the block runs; its folder is made.

    Args:
        path: The file, which need not be there.
        wait: Whether to wait for another process, where that is brief: for adding to a list, say.

    Raises:
        ValueError: If another process holds it and `wait` is not set.
    """
    with _gone_if_empty(path.parent), ExitStack() as stack:
        try:
            stack.enter_context(locked(_hidden(path, "lock"), wait=wait))
        except BlockingIOError as holder:
            raise ValueError(
                f"{path}: another process is making it ({holder}): "
                "wait until it has ended, or choose another name"
            ) from None
        yield


def require_writable(folder: Path) -> None:
    """Raise unless files can be put into a folder, which need not be there yet.

    Work of hours should not find that out when it wants to write.

    Raises:
        ValueError: If the folder, or one above it, is a file or may not be written to.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ValueError(f"{existing}: a file, where a folder for the output is wanted: choose another name")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"{existing}: may not be written to: choose another folder for the output")


def require_writable_file(path: Path) -> None:
    """Raise unless a file can be put at a path, whose folder need not be there yet.

    Raises:
        ValueError: If there is a folder of that name, or `require_writable` raises for its folder.
    """
    if path.is_dir():
        raise ValueError(f"{path}: a folder, where a file is to be written: choose another name")
    require_writable(path.parent)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its place when the block ends well, else vanishes.

    After an error an older folder of that name is still there.

    Raises:
        ValueError: If another process is making it.
        OSError: If the disk is full; the message says where, and what to do.
    """
    path = path.resolve()
    with temporary_folder(path) as temporary:
        yield temporary
        _put_in_place(temporary, path)


@contextmanager
def continued_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that takes its place when the block ends well, else stays to be continued.

    The next call yields the same folder with what the interrupted one left in it.

    Raises:
        ValueError: If another process works in it.
        OSError: If the disk is full; the message says where, and what to do.
    """
    path = path.resolve()
    with held_file(path), disk_full_said(path):
        _bring_back(path)
        unfinished = _hidden(path, "unfinished")
        make_folder(unfinished)
        yield unfinished
        _put_in_place(unfinished, path)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, for what will become it; it vanishes in the end.

    Raises:
        ValueError: If another process is making it.
        OSError: If the disk is full; the message says where, and what to do.
    """
    with held_file(path), disk_full_said(path):
        _bring_back(path)
        temporary = _hidden(path, "partial")
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(folder: Path, path: Path) -> None:
    """Move a folder to `path`; if that fails, what was there before is there again."""
    settle_all(folder)
    previous = _hidden(path, "previous")
    try:
        if path.exists():
            path.replace(previous)
        folder.replace(path)
        settle(path.parent)
    finally:
        _bring_back(path)


def _bring_back(path: Path) -> None:
    """Undo the first half of an interrupted replacement of a folder; after a whole one, remove the older."""
    previous = _hidden(path, "previous")
    if previous.exists() and not path.exists():
        previous.replace(path)
    shutil.rmtree(previous, ignore_errors=True)


def remove_remnants(folder: Path) -> None:
    """Remove what `replaced_file` left where its process was killed, and nothing that is still written.

    Where the file system knows no locks, what has not changed for a day counts as left.
    """
    for path in folder.glob(".*.partial"):
        if not path.is_file():
            continue
        descriptor = _opened(path)
        try:
            claimed = claim(descriptor)
            if claimed is None:
                claimed = time.time() - os.fstat(descriptor).st_mtime > _ONE_DAY_S
            if claimed and is_still(path, descriptor):
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one stroke."""
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
