"""What can be wrong with a file of events, as one sentence that names it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from events.remote import is_remote, reason_of

log = logging.getLogger(__name__)


class FileError(OSError):
    """A file that cannot be read.

    Attributes:
        path: Where it is.
        reason: Why, without the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.path, self.reason)


@contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Turn whatever a damaged file makes uproot raise into a `FileError`.

    Only calls of uproot belong into the block: it fails in any place of the format, with any kind of error.

    Raises:
        FileError: If anything was raised.
    """
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        log.debug("cannot read %s", path, exc_info=True)
        reason = reason_of(path, error) if is_remote(path) else None
        raise FileError(path, reason or f"not a readable ROOT file ({cause_of(error)})") from error


def cause_of(error: BaseException) -> str:
    """Return the first line of an error without its last punctuation, or its kind if it says nothing."""
    return next(iter(str(error).splitlines()), "").rstrip(" :,.") or type(error).__name__
