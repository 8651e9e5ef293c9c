"""Ranges of the inputs, here and in a real PFNano file: units, signs and sizes must be the same."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from events.files import open_root
from models.features import BRANCHES, JET_FIELDS, default_mask, feature_matrix
from simulation.validation.reading import Jets

Inputs = NDArray[np.float32]
"""Inputs of jets in the order of `models.features`, shape ``(n_jets, 67)``."""

QUANTILES = (0.0, 0.01, 0.16, 0.5, 0.84, 0.99, 1.0)

MAX_OUTSIDE = 0.1
"""Of the real values, those that may lie beyond the simulated range."""


class RangeRow(NamedTuple):
    """The values of one input, defaults left out; NaN where there are none."""

    input: str
    sample: str
    n_values: int
    low: float
    q01: float
    q16: float
    median: float
    q84: float
    q99: float
    high: float
    share_inside: float
    """Of a reference: values within the range of the simulation; NaN for the simulation itself."""


def read_reference(path: Path) -> Inputs:
    """Return the inputs of the accepted jets of a PFNano file, shape ``(n_jets, 67)``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lacks an input.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: give a PFNano file as reference")
    with open_root(path) as file:
        tree = file.tree("Events")
        if missing := tree.missing(BRANCHES):
            raise ValueError(f"{path}: no branch {missing[0]}: is this a PFNano file?")
        columns = tree.read(BRANCHES)
    raw = feature_matrix({field: np.asarray(ak.flatten(columns[f"Jet_{field}"])) for field in JET_FIELDS})
    nothing = np.zeros(len(raw), np.int64)
    return Jets(raw, nothing.astype(np.int8), nothing).accepted().raw


def range_rows(
    samples: Sequence[Inputs], *, name: str, reference: Inputs | None, source: str
) -> list[RangeRow]:
    """Return the ranges of each input: of simulated jets, then of the reference.

    Args:
        samples: Inputs of simulated jets, shape ``(n_jets, 67)`` each, taken together.
        name: What the simulated jets are.
        reference: Inputs of real jets, shape ``(n_jets, 67)``.
        source: What the reference is.
    """
    together = np.concatenate(samples)
    present = ~default_mask(together)
    real_present = None if reference is None else ~default_mask(reference)
    rows = []
    for column, branch in enumerate(BRANCHES):
        simulated = together[present[:, column], column]
        rows.append(_row(branch, name, simulated, math.nan))
        if reference is not None and real_present is not None:
            real = reference[real_present[:, column], column]
            inside = math.nan
            if len(real) and len(simulated):
                inside = float(np.mean((real >= simulated.min()) & (real <= simulated.max())))
            rows.append(_row(branch, source, real, inside))
    return rows


def _row(branch: str, sample: str, values: Inputs, inside: float) -> RangeRow:
    quantiles = np.full(len(QUANTILES), math.nan)
    if len(values):
        quantiles = np.quantile(values.astype(np.float64), QUANTILES)
    low, q01, q16, median, q84, q99, high = quantiles.tolist()
    return RangeRow(branch, sample, len(values), low, q01, q16, median, q84, q99, high, inside)


def outside_reference(rows: Sequence[RangeRow]) -> list[str]:
    """Return the inputs of which more real values lie beyond the simulated range than chance allows."""
    outside = []
    for row in rows:
        if math.isfinite(row.share_inside):
            n_outside = round((1 - row.share_inside) * row.n_values)
            if stats.binom.sf(n_outside - 1, row.n_values, MAX_OUTSIDE) < 0.01:
                outside.append(row.input)
    return outside
