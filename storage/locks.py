"""Locks between processes, by files that vanish with their holder."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.disk import make_folder

_TAKEN = {errno.EACCES, errno.EAGAIN}
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
"""The answers of file systems that know no locks."""
_PAUSE_S = 0.1

_held: dict[Path, int] = {}
"""The locks of this process, and how often it holds each."""


@contextmanager
def locked(path: Path, *, wait: bool = False, again: bool = False) -> Iterator[None]:
    """Hold a lock while the block runs; the file of the lock is there only meanwhile.

    A process that is killed loses its locks, also where workers of it live on, and the file that it leaves
    does not bar the next. Where the file system knows no locks, the process named in the file counts as the
    holder if it runs on this machine.

    Args:
        path: The file of the lock; its folder is made if it is missing.
        wait: Whether to wait until another process gives it back.
        again: Whether this process may take it while it holds it already, for a part of the same work.

    Raises:
        BlockingIOError: If another process holds it and `wait` is not set; the message says which.
        PermissionError: If the file cannot be made.
    """
    key = path.parent.resolve() / path.name
    if key in _held:
        if not again:
            raise BlockingIOError(f"process {os.getpid()}")
        _held[key] += 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    descriptor = _acquired(path, wait=wait)
    _held[key] = 1
    holder = os.getpid()
    try:
        yield
    finally:
        del _held[key]
        if os.getpid() == holder:  # a forked child that leaves the block does not give its parent's lock back
            # Removed while it is held: whoever opened the file before finds that it is no longer there.
            path.unlink(missing_ok=True)
        os.close(descriptor)


def claim(descriptor: int) -> bool | None:
    """Lock a file that is written, without waiting; forked processes share the lock.

    Returns:
        False if another process holds it, None if the file system knows no locks.
    """
    return _granted(fcntl.flock, descriptor)


def _granted(ask: Callable[[int, int], None], descriptor: int, *, wait: bool = False) -> bool | None:
    try:
        ask(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_still(path: Path, descriptor: int) -> bool:
    """Return whether an open file is the one that has a path now, and not one removed since."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _acquired(path: Path, *, wait: bool) -> int:
    while True:
        descriptor = _opened(path)
        try:
            # Locks of this kind belong to one process: its forked workers do not inherit them.
            outcome = _granted(fcntl.lockf, descriptor, wait=wait)
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").split()
            if (outcome or (outcome is None and not _runs_here(holder))) and is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
                return descriptor
            if not outcome and not wait:
                raise BlockingIOError(f"process {' on '.join(holder)}" if holder else "its number is unknown")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if outcome is None:
            time.sleep(_PAUSE_S)


def _opened(path: Path) -> int:
    while True:
        make_folder(path.parent)  # a process that ends removes it if it is empty
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue
        except PermissionError:
            advice = (
                "left by a process of another user: remove it if none is running"
                if path.exists()
                else "cannot be made: choose another folder for the output"
            )
            raise PermissionError(f"{path}: {advice}") from None


def _runs_here(holder: list[str]) -> bool:
    """Return whether the process that a lock file names runs on this machine, and is another one."""
    match holder:
        case [number, host] if number.isdecimal() and host == socket.gethostname():
            return int(number) != os.getpid() and _is_alive(int(number))
    return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
