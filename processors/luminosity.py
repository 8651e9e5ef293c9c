"""Certified luminosity sections of data."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from storage.documents import Pairs, parse_json, read_bytes

_BITS = 32
"""Of a run and of a section, as CMS stores them."""
_Number = Annotated[int, Field(ge=0, lt=2**_BITS)]
_RANGES = TypeAdapter(list[tuple[_Number, _Number]])
"""The format of CMS: the first and last section of each certified range of a run."""

Sections = tuple[tuple[int, int], ...]
"""First and last of each range, sorted, no two of which touch; numbers as `_keys` makes them."""


class GoldenJson(NamedTuple):
    """The certified luminosity sections of a file.

    Attributes:
        path: Of the file, for messages.
        sha256: Of its content.
        sections: All that it certifies, in a form that travels to workers.
    """

    path: str
    sha256: str
    sections: Sections


def read_golden_json(path: Path) -> GoldenJson:
    """Return the certified luminosity sections of a file.

    Ranges may come in any order, overlap or hold each other, and a run may be there more than once: what one
    range certifies is certified.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not list ranges of sections by run.

    Source:
        CMS Data Quality Monitoring, format of the certification files.
    """
    text = read_bytes(path, kind="file of certified luminosity sections")
    wrong, remedy = f"{path}: no list of certified luminosity sections", 'write {"run": [[first, last], ...]}'
    content = parse_json(text, source=wrong, remedy=remedy, finite=False, pairs=True)
    try:
        sections = _sections(content)
    except ValueError as error:
        raise ValueError(f"{wrong} ({_cause(error)}): {remedy}") from error
    return GoldenJson(str(path), hashlib.sha256(text).hexdigest(), sections)


def certified(events: ak.Array, golden: GoldenJson | None) -> NDArray[np.bool_] | None:
    """Return which events lie in certified luminosity sections, shape ``(n_events,)``; None without a file.

    Args:
        events: A chunk of data.
        golden: The sections, by run.
    """
    if golden is None:
        return None
    keys = _keys(np.asarray(events.run, dtype=np.int64), np.asarray(events.luminosityBlock, dtype=np.int64))
    first, last = np.array(golden.sections, dtype=np.int64).reshape(-1, 2).T
    before = np.searchsorted(first, keys, side="right") - 1
    inside = np.zeros(len(keys), dtype=np.bool_)
    has_one = before >= 0
    inside[has_one] = keys[has_one] <= last[before[has_one]]
    return inside


def sections_of(events: ak.Array, chosen: NDArray[np.bool_] | None) -> set[tuple[int, int]]:
    """Return run and section of some events, each pair once.

    Args:
        events: A chunk of data.
        chosen: Which of them, shape ``(n_events,)``; None for all.
    """
    pairs = np.stack(
        [np.asarray(events[name], dtype=np.int64) for name in ("run", "luminosityBlock")], axis=1
    )
    unique = np.unique(pairs if chosen is None else pairs[chosen], axis=0)
    return {(run, section) for run, section in unique.tolist()}


def _sections(content: Any) -> Sections:
    """Return all certified sections of a file's content.

    Raises:
        ValueError: If it is no list of ranges by run.
    """
    if not isinstance(content, Pairs):
        raise ValueError("it holds no runs")
    ranges = []
    for name, listed in content.items:
        if not (name.isascii() and name.isdigit() and int(name) < 2 ** (_BITS - 1)):
            raise ValueError(f"'{name}' is no run")
        try:
            of_run = _RANGES.validate_python(listed)
        except ValidationError as error:
            raise ValueError(f"run {name}: {error.errors()[0]['msg']}") from None
        for first, last in of_run:
            if first > last:
                raise ValueError(f"run {name}: the range [{first}, {last}] ends before it begins")
            ranges.append((_key(int(name), first), _key(int(name), last)))
    return tuple(_merged(ranges))


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the union of ranges, sorted, as few as can be; no two runs touch each other."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _key(run: int, section: int) -> int:
    """Return one number for a section of a run, in the order of both."""
    return (run << _BITS) + section


def _keys(runs: NDArray[np.int64], sections: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each pair, as `_key` does."""
    return (runs << _BITS) + sections


def _cause(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
