"""Errors of reading, told apart from errors of the code that reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class ReadError(OSError):
    """A file that opened well but whose content cannot be read."""


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is being read into one sentence.

    Columns are read where they are first used, so a damaged file fails in the middle of a selection, with any
    of a dozen exceptions (of zlib, struct, uproot, ...). What they share: they were raised below uproot.

    Raises:
        ReadError: If something was raised below uproot, or by the operating system.
    """
    try:
        yield
    except Exception as error:
        # awkward raises errors of its own on top, so the whole chain is looked through.
        chain = list(_chain(error))
        if any(isinstance(one, OSError) or _raised_below("uproot", one.__traceback__) for one in chain):
            kind = type(chain[-1]).__name__
            raise ReadError(f"{path}: cannot be read, the file is damaged ({kind})") from error
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raised_below(package: str, traceback: TracebackType | None) -> bool:
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.split(".")[0] == package:
            return True
        traceback = traceback.tb_next
    return False
