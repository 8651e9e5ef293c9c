"""One chunk in a worker: read again what cannot be read, or declare it lost; keep to the memory allowed."""

import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from coffea.processor.executor import WorkItem

from events.open_trees import damage_of, open_tree
from events.reading import ReadError, is_out_of_room, reading
from storage.memory import memory_limit as limited_memory

log = logging.getLogger(__name__)

T = TypeVar("T")

_BYTES_PER_MB = 1024**2


class ChunkMemoryError(ValueError):
    """A chunk that needs more memory than a worker may take."""


@dataclass(frozen=True)
class Limits:
    """What a worker does about trouble.

    Attributes:
        skip_unreadable: Whether a chunk that cannot be read is declared lost, as `{"lost": {(dataset, file):
            {reason}}}` in place of what the processor returns, instead of ending everything.
        retries: How often a chunk that cannot be read is tried again; other errors never are.
        first_wait: Seconds before the first time; each further wait is twice as long.
        memory_mb: Memory a worker may take, in MiB; None for no limit.
    """

    skip_unreadable: bool = False
    retries: int = 0
    first_wait: float = 1.0
    memory_mb: int | None = None


class Usage(NamedTuple):
    """What a chunk took: the most memory its process ever had, in MiB, and what was read of its file."""

    peak_memory_mb: float
    read_bytes: int


@dataclass(frozen=True)
class ChunkTask:
    """The work on one chunk, in a form that travels to workers.

    What cannot be opened (coffea does that, outside of the processor) or read is one sentence, or a loss.

    Attributes:
        function: The work itself.
        limits: What is done about trouble.
        branches: What it reads: looked through where it fails, to tell a damaged file from another error.
    """

    function: Callable[[WorkItem], Any]
    limits: Limits
    branches: frozenset[str] = frozenset()

    def __call__(self, item: WorkItem) -> tuple[Any, Usage]:
        """Return what the function returns, and what that took."""
        with memory_limit(self.limits.memory_mb):
            result, read_bytes = raise_original(self._read, item)
        return result, Usage(peak_memory_mb(), read_bytes)

    def _read(self, item: WorkItem) -> tuple[Any, int]:
        try:
            return again_if_unreadable(lambda: self._read_once(item), self.limits)
        except ReadError as error:
            if not self.limits.skip_unreadable:
                raise
            lost = {"lost": {(item.dataset, item.filename): {str(error)}}}
            return {"out": lost, "processed": {item}}, 0

    def _read_once(self, item: WorkItem) -> tuple[Any, int]:
        try:
            with reading(item.filename), open_tree(item) as read_bytes:
                return self.function(item), read_bytes()
        except ReadError:
            raise
        except Exception as error:
            # What a damaged file holds may fail far from where it is read.
            looks = self.branches and not is_out_of_room(error)
            damage = damage_of(item, self.branches) if looks else None
            if damage is None:
                raise
            raise ReadError(damage) from error


def again_if_unreadable(read: Callable[[], T], limits: Limits) -> T:
    """Return what `read` returns, after as many further tries as the limits allow.

    Raises:
        ReadError: If the last of them fails, too.
    """
    for attempt in range(limits.retries):
        try:
            return read()
        except ReadError as error:
            wait = limits.first_wait * 2**attempt
            log.warning("%s: tried again in %g s (%d of %d)", error, wait, attempt + 1, limits.retries)
            time.sleep(wait)
    return read()


def raise_original(function: Callable[[WorkItem], T], item: WorkItem) -> T:
    """Return `function(item)`; an error that coffea wrapped is raised as it was."""
    try:
        return function(item)
    except Exception as error:
        log.debug("a chunk failed", exc_info=error)
        original: BaseException = error
    while type(original) is Exception and original.__cause__ is not None:
        original = original.__cause__
    # What lies behind may not survive the way from a worker, and the error would be lost with it.
    original.__cause__ = original.__context__ = None
    raise original


@contextmanager
def memory_limit(megabytes: int | None) -> Iterator[None]:
    """Let this process take no more memory than that while the block runs.

    Raises:
        ChunkMemoryError: If it needed more.
    """
    try:
        with limited_memory(None if megabytes is None else megabytes * _BYTES_PER_MB):
            yield
    except MemoryError as error:
        if megabytes is None:
            raise
        raise ChunkMemoryError(
            f"a chunk needs more than the {megabytes} MB of memory a worker may take: use smaller chunks"
        ) from error


def peak_memory_mb() -> float:
    """Return the most memory this process has taken so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak / (_BYTES_PER_MB if sys.platform == "darwin" else 1024)
