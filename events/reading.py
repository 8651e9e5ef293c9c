"""Errors of reading, told apart from errors of the code that reads."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from events.errors import FileError
from storage.disk import DiskFullError

_READERS = ("uproot", "coffea.nanoevents.schemas", "coffea.nanoevents.mapping")
"""Whose errors mean a damaged file: of what is in it, and of how its branches belong together."""


_MOST_EXPANSION = 1000
"""How many times larger than its whole file an array may be: events are compressed to a tenth at best."""


class ReadError(OSError):
    """A file that could be opened beforehand but cannot be read now."""


class DamagedValueError(ReadError, ValueError):
    """A file that can be read, but holds what no such file can hold."""


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is being read into one sentence.

    Columns are read where they are first used, so a damaged file fails in the middle of a selection, with any
    of a dozen exceptions (of zlib, struct, uproot, ...). What they share: they were raised below uproot. Lack
    of memory may strike there, too, and so may a full disk where a copy is written; neither says anything of
    the file.

    Raises:
        ReadError: If something was raised below uproot.
    """
    try:
        yield
    except FileError as error:
        raise ReadError(str(error)) from error
    except Exception as error:
        # awkward raises errors of its own on top, so the whole chain is looked through.
        chain = list(_chain(error))
        for one in chain:
            # coffea wraps what is raised in a processor.
            if isinstance(one, ReadError):
                raise type(one)(str(one)) from error
        if is_out_of_room(error) and not any(_is_absurd(one, path) for one in chain):
            raise
        if not any(_raised_by_reading(one.__traceback__) for one in chain):
            raise
        kind = type(chain[-1]).__name__
        raise ReadError(f"{path}: cannot be read, the file is damaged or gone ({kind})") from error


def is_out_of_room(error: BaseException) -> bool:
    """Say whether memory or a disk was full, which says nothing of a file that is read."""
    return any(isinstance(one, MemoryError | DiskFullError) for one in _chain(error))


def _is_absurd(error: BaseException, path: str) -> bool:
    """Say whether an error is that of an array which no such small file can hold: its length is damaged."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    if not isinstance(error, MemoryError) or shape is None or dtype is None or not Path(path).is_file():
        return False
    return bool(math.prod(shape) * dtype.itemsize > _MOST_EXPANSION * Path(path).stat().st_size)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raised_by_reading(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if any(module == name or module.startswith(f"{name}.") for name in _READERS):
            return True
        traceback = traceback.tb_next
    return False
