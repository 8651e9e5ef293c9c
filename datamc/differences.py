"""Which of two trainings agrees better with data: differences and ratios, with errors of their own.

Both see the same events. Where replicas share them, a difference of two measures is known better than
either.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datamc.measures import Floats
from datamc.replicas import spread
from storage.tables import read_table, write_table


class DifferenceRow(NamedTuple):
    """One training minus another in one selection, score, variant and measure, both beyond statistics."""

    selection: str
    score: str
    variant: str
    measure: str
    """`kl`, `kl_equal` (bins of equal population), `js`, `emd` or `auc`, as in a `DivergenceRow`."""
    tagger: str
    epoch: int
    reference: str
    reference_epoch: int
    difference: float
    """The measure of `tagger` minus that of `reference`, less the offsets: negative if `tagger` is better."""
    error: float
    """One standard deviation; 0 where unknown."""
    significance: float
    """The difference over its error, with its sign; 0 where the error is unknown."""
    ratio: float
    """The measure of `tagger` over that of `reference`, less the offsets; 0 if `reference` has none left."""
    ratio_error: float
    n_blocks: int
    """Blocks of events that both share; 0: the errors are those of trainings that saw other events."""


class Measured(NamedTuple):
    """One measure of one checkpoint on one variant."""

    values: Floats
    """The value, then its replicas, shape `(1 + n_replicas,)`."""
    offset: float
    error: float
    """Of the value; 0 where unknown."""

    @property
    def excess(self) -> float:
        """The value beyond what statistics add."""
        return float(self.values[0]) - self.offset


Checkpoint = tuple[str, int]
"""Tagger and epoch."""


def pairs_of(checkpoints: Iterable[Checkpoint]) -> list[tuple[Checkpoint, Checkpoint]]:
    """Return which checkpoints are compared: every two taggers at the same epoch, and at the last of each.

    The second of a pair is the one it is compared with: `basic` if it is there, then by name.
    """
    checkpoints = sorted(set(checkpoints), key=lambda each: (each[0] != "basic", *each))
    last = dict(checkpoints)
    pairs = [
        (one, other)
        for i, other in enumerate(checkpoints)
        for one in checkpoints[i + 1 :]
        if one[0] != other[0] and (one[1] == other[1] or (last[one[0]], last[other[0]]) == (one[1], other[1]))
    ]
    return sorted(pairs, key=lambda pair: (pair[0][0] != "basic", pair[1][0], pair[0][0], pair[0][1]))


def difference_rows(
    selection: str,
    score: str,
    measured: Mapping[tuple[str, int, str], Mapping[str, Measured]],
    *,
    n_blocks: int,
) -> list[DifferenceRow]:
    """Return the differences of all pairs of checkpoints of one score.

    Args:
        selection: The selection.
        score: The score.
        measured: By tagger, epoch and variant, then by measure.
        n_blocks: Blocks of events that the replicas share; 0 if they share none.
    """
    rows = []
    for one, other in pairs_of((tagger, epoch) for tagger, epoch, _ in measured):
        for variant in dict.fromkeys(variant for *_, variant in measured):
            if (*one, variant) not in measured or (*other, variant) not in measured:
                continue
            ours, theirs = measured[*one, variant], measured[*other, variant]
            for measure, each in ours.items():
                found = _compare(each, theirs[measure], n_blocks=n_blocks)
                rows.append(DifferenceRow(selection, score, variant, measure, *one, *other, *found, n_blocks))
    return rows


def ratio_with_error(one: Measured, other: Measured, *, n_blocks: int) -> tuple[float, float]:
    """Return one measure over another, both beyond statistics, and its error; 0 if `other` has nothing left.

    To first order the error of a / b is that of a - (a / b) b, divided by b.
    """
    if other.excess <= 0:
        return 0.0, 0.0
    ratio = one.excess / other.excess
    return ratio, _error(one, other, ratio, n_blocks=n_blocks) / other.excess


def write_differences(rows: Iterable[DifferenceRow], path: Path) -> None:
    """Write the table as CSV with a header line."""
    write_table(rows, path, kind=DifferenceRow)


def read_differences(path: Path) -> list[DifferenceRow]:
    """Read a table of differences.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a table of differences.
    """
    return read_table(path, kind=DifferenceRow, unknown=())


def expected_by_chance(rows: Sequence[DifferenceRow], *, claim: float = 2.0) -> float:
    """Return how many rows chance alone brings to `claim` standard deviations, had they no difference."""
    known = sum(row.error > 0 for row in rows)
    return known * math.erfc(claim / math.sqrt(2.0))


def _compare(one: Measured, other: Measured, *, n_blocks: int) -> tuple[float, float, float, float, float]:
    difference = one.excess - other.excess
    error = _error(one, other, 1.0, n_blocks=n_blocks)
    significance = difference / error if error > 0 else 0.0
    return difference, error, significance, *ratio_with_error(one, other, n_blocks=n_blocks)


def _error(one: Measured, other: Measured, factor: float, *, n_blocks: int) -> float:
    """Return the error of one measure minus `factor` times another; 0 if unknown."""
    if not n_blocks:
        return math.hypot(one.error, factor * other.error) if one.error > 0 and other.error > 0 else 0.0
    error = spread(one.values - factor * other.values, n_blocks=n_blocks).error
    return error if math.isfinite(error) else 0.0
