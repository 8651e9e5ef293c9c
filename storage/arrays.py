"""Arrays as `.npy` files, written so that a full disk is never a shorter file without a word.

numpy writes to a file through a buffer of its own, and says nothing if the last part of it no longer fits.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from storage.disk import disk_full_said, full_disk


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as an `.npy` file.

    Raises:
        DiskFullError: If the disk is full.
    """
    with disk_full_said(path), path.open("wb") as file:
        np.save(_Plain(file), array, allow_pickle=False)


def append_records(path: Path, records: NDArray[Any]) -> None:
    """Append the bytes of an array to a file, which is made if it is missing.

    Raises:
        DiskFullError: If the disk is full.
    """
    with disk_full_said(path), path.open("ab") as file:
        file.write(np.ascontiguousarray(records).tobytes())


def reserved_array(path: Path, *, dtype: DTypeLike, shape: Sequence[int]) -> "np.memmap[Any, np.dtype[Any]]":
    """Return a new array that lies in an `.npy` file, whose space on the disk is reserved.

    Without that, the process would be killed in the middle of an assignment if the disk is full.

    Raises:
        DiskFullError: If there is not enough space.
    """
    with disk_full_said(path):
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=tuple(shape))
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:  # some file systems cannot reserve
                if full_disk(error):
                    raise
    return array


class _Plain:
    """A file that numpy does not take for one, so that it writes through Python."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def read_array(path: Path, *, remedy: str, mapped: bool = False) -> NDArray[Any]:
    """Return the array of an `.npy` file; nothing in it is executed.

    Args:
        path: The file.
        remedy: What to do if it is missing or damaged.
        mapped: Whether it is mapped from the file and not read yet.

    Raises:
        ValueError: If it is missing, no array of numbers, or shorter than it says.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"{path}: missing: {remedy}") from None
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, TypeError, SyntaxError) as error:
        raise ValueError(f"{path}: cannot be read, it is no array of numbers or cut off: {remedy}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: not one array but a file of several: {remedy}")
    return array
