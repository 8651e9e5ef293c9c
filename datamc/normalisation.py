"""Signs, the one factor data/MC per selection, and the flavour content: numbers of probe jets, no shapes.

This is the only place where same sign is subtracted from opposite sign: where the row of the selection says
so (W+c), in data and in simulation.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from datamc.histograms import GROUPS, Content, Floats, content_of, control_variables_of, scores_of, taggers_of
from datamc.records import Result
from datamc.regions import View, default_view, view_of

__all__ = [
    "Normalisation",
    "PurityRow",
    "View",
    "combine_signs",
    "data_over_mc",
    "default_view",
    "normalisation",
    "probe_jet_counts",
    "purity_table",
    "view_of",
]

_SIGN_COEFFICIENTS: Mapping[View, tuple[float, float]] = {
    "OS": (1.0, 0.0),
    "SS": (0.0, 1.0),
    "OS+SS": (1.0, 1.0),
    "OS-SS": (1.0, -1.0),
}

logger = logging.getLogger(__name__)


class Normalisation(NamedTuple):
    """Data/MC of one selection, from the number of probe jets (OS-SS where same sign is subtracted)."""

    factor: float
    error: float
    n_data: float
    n_mc: float


class PurityRow(NamedTuple):
    """The share of one flavour group among the simulated probe jets of a selection."""

    selection: str
    view: str
    group: str
    n_jets: float
    fraction: float
    error: float


def combine_signs(values: Floats, variances: Floats, view: View, *, axis: int) -> tuple[Floats, Floats]:
    """Return values and variances in one view of the signs, without the sign axis.

    The variance of OS-SS is that of OS plus that of SS: two independent counts.
    """
    opposite, same = _SIGN_COEFFICIENTS[view]
    (os, ss), (os_variance, ss_variance) = np.moveaxis(values, axis, 0), np.moveaxis(variances, axis, 0)
    value = np.asarray(opposite * os + same * ss)
    variance = np.asarray(opposite**2 * os_variance + same**2 * ss_variance)
    return value, variance


def probe_jet_counts(result: Result) -> Content:
    """Return the number of probe jets, data `(2,)` and scaled simulation `(n_groups, 2)`, with variances.

    Every jet is filled once into any control variable, and once per checkpoint into any score.

    Raises:
        ValueError: If the result holds no histogram of jets.
    """
    controls = sorted(control_variables_of(result), key=lambda name: name != "jet_pt")
    for name in [*controls, *scores_of(result)]:
        tagger, epoch = next(iter(taggers_of(result)), (None, None))
        content = content_of(result, name, tagger=tagger, epoch=epoch)
        return Content(*(part.sum(axis=-1) for part in content))
    raise ValueError(f"{result.selection}: no histogram of jets in this result: process this selection again")


def normalisation(result: Result) -> Normalisation:
    """Return the factor data/MC of a selection: one for every variable, score and variant.

    Where data or simulation hold no jets (or OS-SS is negative) the factor is 1, which the log tells.
    """
    found = data_over_mc(probe_jet_counts(result), view_of(result))
    if found.n_data <= 0 or found.n_mc <= 0:
        logger.warning(
            "%s: %g jets in data, %g in simulation: factor 1", result.selection, found.n_data, found.n_mc
        )
    return found


def data_over_mc(counts: Content, view: View) -> Normalisation:
    """Return the factor of data `(2,)` over simulation `(n_groups, 2)`, numbers of jets; 1 if unknown."""
    data, data_variance = combine_signs(counts.data, counts.data_variance, view, axis=0)
    mc, mc_variance = combine_signs(counts.mc.sum(axis=0), counts.mc_variance.sum(axis=0), view, axis=0)
    n_data, n_mc = float(data), float(mc)
    if n_data <= 0 or n_mc <= 0:
        return Normalisation(1.0, 0.0, n_data, n_mc)
    factor = n_data / n_mc
    relative_variance = float(data_variance) / n_data**2 + float(mc_variance) / n_mc**2
    return Normalisation(factor, factor * float(np.sqrt(relative_variance)), n_data, n_mc)


def purity_table(results: Iterable[Result]) -> list[PurityRow]:
    """Return the flavour content of simulated probe jets per selection; of OS-SS also for OS and SS alone.

    Errors come from the sums of squared weights; in OS-SS a share may lie outside 0 to 1.
    """
    rows = []
    for result in results:
        counts = probe_jet_counts(result)
        view = view_of(result)
        views: tuple[View, ...] = ("OS", "SS", view) if view == "OS-SS" else (view,)
        for each in views:
            jets, variance = combine_signs(counts.mc, counts.mc_variance, each, axis=1)
            rows += _purities(result.selection, each, jets, variance)
    return rows


def _purities(selection: str, view: str, jets: Floats, variance: Floats) -> list[PurityRow]:
    total = jets.sum()
    share = jets / total if total > 0 else np.zeros_like(jets)
    # d(A / (A + B)) = ((1 - p) dA - p dB) / (A + B), with A and B independent
    spread = np.sqrt((1 - share) ** 2 * variance + share**2 * (variance.sum() - variance))
    error = spread / total if total > 0 else np.zeros_like(jets)
    return [
        PurityRow(selection, view, group, float(jets[i]), float(share[i]), float(error[i]))
        for i, group in enumerate(GROUPS)
    ]
