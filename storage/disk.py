"""What disks do: keep what was written, run out of space, make folders."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = {
    errno.ENOSPC: "No space left on the device",
    errno.EDQUOT: "The quota is used up",
    errno.EFBIG: "The file is too large",
}
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_SHORT_WRITE = " requested and "
"""What numpy says, without an error number, where it could not write all of an array."""


class DiskFullError(OSError):
    """A disk or a quota is full; the message says where, and what to do."""


@contextmanager
def disk_full_said(path: Path) -> Iterator[None]:
    """Say with the path, and what to do, that a disk is full while `path` is written.

    Raises:
        DiskFullError: In place of an error that says "No space left on device" and not where.
    """
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        reason = full_disk(error)
        if reason is None:
            raise
        said = DiskFullError(
            f"{path}: {reason} where it is written: free some space or choose another folder, "
            "then run the command again (nothing incomplete was left under that name)"
        )
        said.errno = error.errno
        raise said from error


def full_disk(error: OSError) -> str | None:
    """Return what is full, in words, or None if the error is about something else."""
    if error.errno is None and _SHORT_WRITE in str(error):
        return _FULL[errno.ENOSPC]
    return _FULL.get(error.errno or 0)


def settle(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk and survive a crash of the machine.

    A rename may reach the disk before the content of the file that it names: an empty file would then be
    found in the place of a whole one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder may be written to that may not be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:  # some file systems cannot: nothing better is to be had there
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def settle_all(folder: Path) -> None:
    """Wait until everything in a folder is on the disk."""
    for place, _, files in os.walk(folder):
        for name in files:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                settle(path)
        settle(Path(place))


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, with the rights that the user's umask leaves.

    Raises:
        NotADirectoryError: If it, or one above it, is a file.
    """
    try:
        with disk_full_said(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        raise NotADirectoryError(
            f"{existing}: a file, where a folder for the output is wanted: choose another name"
        ) from None


def make_private_folder(folder: Path, *, tighten: bool = False) -> bool:
    """Make a folder for what will be executed; its parent is there.

    Args:
        folder: The folder.
        tighten: Whether to take the rights of others from a folder that the user has already; not where
            others may have put something into it.

    Returns:
        Whether it is the user's own, and nobody else may write into it: in a folder that all share, another
        user may have made one of that name before.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if tighten and stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():
        folder.chmod(0o700)
        about = folder.lstat()
    others_may_write = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return (
        stat.S_ISDIR(about.st_mode)
        and about.st_uid == os.geteuid()
        and not others_may_write
        and os.access(folder, os.W_OK | os.X_OK)
    )
