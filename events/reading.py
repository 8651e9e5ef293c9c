"""Errors of reading, told apart from errors of the code that reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from events.errors import FileError
from storage.disk import DiskFullError

_READERS = ("uproot", "coffea.nanoevents.schemas")
"""Whose errors mean a damaged file: of what is in it, and of how its branches belong together."""


class ReadError(OSError):
    """A file that could be opened beforehand but cannot be read now."""


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
        out_of_room = any(isinstance(one, MemoryError | DiskFullError) for one in chain)
        if out_of_room or not any(_raised_by_reading(one.__traceback__) for one in chain):
            raise
        kind = type(chain[-1]).__name__
        raise ReadError(f"{path}: cannot be read, the file is damaged or gone ({kind})") from error


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
