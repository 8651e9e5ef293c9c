"""The look-ups of corrections, and how many of them are doubtful, counted chunk by chunk."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamc.results import LookUps
from processors.lookup import Lookup

Counts = dict[str, NDArray[np.int64]]
"""By name of the correction, the numbers of `datamc.results.LookUps`; sums of chunks are sums of these."""


def count_look_ups(
    counts: Counts,
    name: str,
    table: Lookup,
    inputs: Mapping[str, Any],
    values: NDArray[np.float64],
    *,
    is_weight: bool = False,
) -> None:
    """Add the look-ups of some objects to the counts.

    Args:
        counts: They are added here.
        name: Of the correction.
        table: What was looked up.
        inputs: With what.
        values: What came of it, shape ``(n_objects,)``.
        is_weight: Whether values have to be positive.
    """
    size = len(values)
    strange = np.zeros(size, dtype=np.bool_)
    for value in inputs.values():
        if np.asarray(value).dtype.kind == "f":
            strange |= ~np.isfinite(value)
    found = LookUps(
        n=size,
        outside=int(np.count_nonzero(table.is_outside(inputs, size) & ~strange)),
        not_numbers=int(np.count_nonzero(strange)),
        not_finite=int(np.count_nonzero(~np.isfinite(values))),
        not_positive=int(np.count_nonzero(values <= 0)) if is_weight else 0,
    )
    counts[name] = counts.get(name, np.zeros(len(found), np.int64)) + np.array(found, np.int64)
