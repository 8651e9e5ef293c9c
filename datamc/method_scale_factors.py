"""Scale factors of methods of training on the same footing: how far from 1 they are, seeds averaged."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2 as chi2_distribution

from datamc.history import HistoryRow, history_rows
from datamc.scale_factors import ScaleFactors

ALL = "all"
"""All flavours together."""


class MethodScaleFactors(NamedTuple):
    """One flavour's scale factors of a method, or those of `all`. Numbers are means over the seeds."""

    scenario: str
    method: str
    flavour: str
    n_seeds: int
    n_ok: float
    """Cells that could be measured."""
    deviation: float
    """Mean of |SF - 1|, weighted with simulated jets."""
    error: float
    """`fit_error` and `seeds_error` in quadrature."""
    fit_error: float
    """From the errors of the fits. Fits of all seeds see the same events, so that more seeds do not help."""
    seeds_error: float
    """From the scatter of the seeds, all methods together. A part of it is the fits' errors once more, as
    fits hold no replicas: the sum is rather too large than too small."""
    expected: float
    """What statistics alone make of `deviation` if all factors are 1."""
    excess: float
    """Root of the mean square of SF - 1 beyond statistics."""
    chi2_per_degree: float
    """Of all factors against 1; 0 where data are the events of the simulation: it is for independent ones."""
    p_value: float
    """Of the mean chi2 and its mean degrees of freedom: on a null data set this is a test of closure."""


def method_scale_factors(
    scale_factors: Iterable[ScaleFactors],
    *,
    scenario: str,
    methods: Mapping[str, Sequence[str]],
    variant: str = "raw",
    same_events: bool = False,
) -> list[MethodScaleFactors]:
    """Return one row per method and flavour, at the last epoch of each training.

    Args:
        scale_factors: Fits of all taggers; methods without any are left out.
        scenario: What their data are.
        methods: The taggers of each method, one per seed.
        variant: The inputs of the simulation.
        same_events: Whether data are the events of the simulation. Errors, and what statistics alone make,
            are then those of independent events, and so too large; there is no chi2.
    """
    last: dict[str, ScaleFactors] = {}
    for each in scale_factors:
        if each.variant == variant and (each.tagger not in last or each.epoch > last[each.tagger].epoch):
            last[each.tagger] = each
    found = {
        method: [last[tagger] for tagger in taggers if tagger in last] for method, taggers in methods.items()
    }
    found = {method: fits for method, fits in found.items() if fits}
    flavours = list(dict.fromkeys(f for fits in found.values() for fit in fits for f in (*fit.flavours, ALL)))
    histories = {method: history_rows(fits) for method, fits in found.items()}
    rows = []
    for flavour in flavours:
        own = {m: [row for row in history if row.flavour == flavour] for m, history in histories.items()}
        scatter = _pooled_scatter([[row.mean_deviation for row in several] for several in own.values()])
        rows += [_row(scenario, method, own[method], fits, scatter) for method, fits in found.items()]
    return [row._replace(chi2_per_degree=0.0, p_value=1.0) for row in rows] if same_events else rows


def chi2_of_one(scale_factors: ScaleFactors, flavour: str = ALL) -> tuple[float, int]:
    """Return the chi2 of the factors that are `ok` against 1, with their covariance, and their number."""
    chosen = [i for i, name in enumerate(scale_factors.flavours) if flavour in (ALL, name)]
    chi2, n_degrees = 0.0, 0
    for value, covariance, status in zip(
        scale_factors.value, scale_factors.covariance, scale_factors.status, strict=True
    ):
        ok = [i for i in chosen if status[i] == "ok"]
        if ok:
            difference = value[ok] - 1
            chi2 += float(difference @ np.linalg.solve(covariance[np.ix_(ok, ok)], difference))
            n_degrees += len(ok)
    return chi2, n_degrees


def _pooled_scatter(several: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation of seeds around the mean of their method, of all methods together."""
    squares = [(len(values) - 1) * float(np.var(values, ddof=1)) for values in several if len(values) > 1]
    degrees = sum(len(values) - 1 for values in several)
    return math.sqrt(sum(squares) / degrees) if degrees else 0.0


def _row(
    scenario: str, method: str, rows: Sequence[HistoryRow], fits: Sequence[ScaleFactors], scatter: float
) -> MethodScaleFactors:
    def mean(name: str) -> float:
        values = [float(getattr(row, name)) for row in rows]
        return float(np.mean(values)) if np.isfinite(values).all() else 0.0

    flavour = rows[0].flavour
    chi2, degrees = np.mean([chi2_of_one(fit, flavour) for fit in fits], axis=0)
    fit_error, seeds_error = mean("error"), scatter / math.sqrt(len(rows))
    return MethodScaleFactors(
        scenario, method, flavour, len(rows), mean("n_ok"), mean("mean_deviation"),
        math.hypot(fit_error, seeds_error), fit_error, seeds_error, mean("expected"), mean("excess"),
        float(chi2 / degrees) if degrees else 0.0,
        float(chi2_distribution.sf(chi2, degrees)) if degrees else 1.0,
    )  # fmt: skip
