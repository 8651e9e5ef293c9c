"""Ranges of events, and whether two of them share any: then events would be counted twice."""

from collections.abc import Iterable
from typing import NamedTuple


class EventRange(NamedTuple):
    """Events `[start, stop)` of a file.

    Attributes:
        identity: What the file has in common with its copies, and with no other file.
        start: The first event.
        stop: The one after the last.
        dataset: The dataset it is listed in.
        file: Under which name.
    """

    identity: str
    start: int
    stop: int
    dataset: str
    file: str

    @property
    def key(self) -> str:
        """What names the range, by whatever name the file is called."""
        return f"{self.identity}@{self.start}"


def first_overlap(ranges: Iterable[EventRange]) -> tuple[EventRange, EventRange] | None:
    """Return two ranges that share an event, or None; empty ranges share none."""
    longest: EventRange | None = None
    filled = (part for part in ranges if part.stop > part.start)
    for part in sorted(filled, key=lambda part: (part.identity, part.start)):
        if longest is not None and longest.identity == part.identity and part.start < longest.stop:
            return longest, part
        if longest is None or longest.identity != part.identity or part.stop > longest.stop:
            longest = part
    return None


def refuse_overlaps(ranges: Iterable[EventRange]) -> None:
    """Raise if two ranges share an event, be it under two names, in a copy or in two datasets.

    Raises:
        ValueError: If so; the sentence names both.
    """
    found = first_overlap(ranges)
    if found is None:
        return
    first, second = found
    same = (first.start, first.stop) == (second.start, second.stop)
    shared = "the very events" if same else f"events {second.start} to {min(first.stop, second.stop)}"
    raise ValueError(
        f"{second.file}: dataset {second.dataset} has {shared} of {first.file} in dataset {first.dataset}: "
        "list them once"
    )
