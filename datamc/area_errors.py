"""Errors of differences of areas, as `advtag evaluate` leaves them, for what is compared at equal AUC."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from storage.tables import read_table

UNDISTORTED = "raw"

AreaErrors = Mapping[tuple[str, int, str, int, str], float]
"""By tagger, epoch, reference, its epoch and score: of the difference of both areas on the same jets."""


class AreaDifference(NamedTuple):
    """A row of `auc_differences.csv`: the area of a tagger minus another's on the same jets (DeLong)."""

    tagger: str
    epoch: int
    reference: str
    reference_epoch: int
    variant: str
    score: str
    difference: float
    error: float


def read_area_errors(path: Path) -> AreaErrors:
    """Return the errors of undistorted inputs; none without the file.

    Raises:
        ValueError: If it is another table.
    """
    rows = read_table(path, kind=AreaDifference, unknown=("difference", "error")) if path.is_file() else []
    return {
        (row.tagger, row.epoch, row.reference, row.reference_epoch, row.score): row.error
        for row in rows
        if row.variant == UNDISTORTED and row.error > 0 and math.isfinite(row.error)
    }
