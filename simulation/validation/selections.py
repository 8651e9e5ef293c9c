"""Checks of what the selections of the analysis make of simulated files: purities, and Data/MC of a score.

The selections themselves are run elsewhere; here are their numbers.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from simulation.validation import expectations
from simulation.validation.checks import Check, check, skipped
from simulation.validation.reading import Floats, Integers

MIN_EVENTS = 25.0
"""Of a bin, in data and in simulation (effective); below it a bin joins its neighbour."""

MAIN_PROCESSES = ("dy", "wc", "ttsl")
"""Of the selections dy, wc and ttsemilep."""

SAME_SETTINGS, ALL_DIFFERENCES = "null", "data"


class ShapeRatio(NamedTuple):
    """Data over simulation of one distribution, both of the same number of jets."""

    edges: Floats
    """Of the bins after merging, shape ``(n_bins + 1,)``; what follows has shape ``(n_bins,)``."""
    ratio: Floats
    error: Floats
    share: Floats
    """Of the simulated jets."""
    chi2: float
    ndf: int
    p_value: float
    rms: float
    """Of ratio - 1, each bin counting by its share, without what statistics alone would give."""
    rms_error: float


class PurityRow(NamedTuple):
    """The share of one flavour among the jets that a selection takes."""

    selection: str
    flavour: str
    fraction: float
    error: float


class CutflowRow(NamedTuple):
    """What one cut, after all above it, leaves of a sample."""

    selection: str
    sample: str
    cut: str
    n_events: int
    share: float
    """Of the sum of weights before any cut."""


class RatioRow(NamedTuple):
    """Data/MC of a score in one bin."""

    selection: str
    scenario: str
    score: str
    low: float
    high: float
    ratio: float
    error: float
    share: float


def shape_ratio(
    edges: Floats, *, data: Floats, data_variance: Floats, mc: Floats, mc_variance: Floats
) -> ShapeRatio | None:
    """Compare the shapes of two histograms, shape ``(n_bins,)`` each; None if fewer than two bins are filled.

    With f the share of a bin, r the ratio and s its error, the mean square of r - 1 without statistics is
    sum f ((r - 1)^2 - (1 - f) s^2), where 1 - f is what the common normalisation leaves of a fluctuation; its
    variance is sum f^2 (2 s^4 + 4 (r - 1)^2 s^2). Chi-square takes the variance that is expected of data.
    """
    groups = _merging(np.minimum(_effective(data, data_variance), _effective(mc, mc_variance)))
    n_bins = int(groups[-1]) + 1
    if n_bins < 2:
        return None
    d, d_variance, m, m_variance = (
        np.bincount(groups, part, minlength=n_bins) for part in (data, data_variance, mc, mc_variance)
    )
    factor = d.sum() / m.sum()
    m, m_variance = factor * m, factor**2 * m_variance
    share, ratio = m / m.sum(), d / m
    variance = (d_variance + m_variance) / m**2
    chi2 = float(((d - m) ** 2 / (d_variance * m / d + m_variance)).sum())
    square = float((share * ((ratio - 1) ** 2 - (1 - share) * variance)).sum())
    square_error = math.sqrt(float((share**2 * (2 * variance**2 + 4 * (ratio - 1) ** 2 * variance)).sum()))
    rms = math.sqrt(max(square, 0.0))
    return ShapeRatio(
        edges=np.append(edges[np.searchsorted(groups, np.arange(n_bins))], edges[-1]),
        ratio=ratio,
        error=np.sqrt(variance),
        share=share,
        chi2=chi2,
        ndf=n_bins - 1,
        p_value=float(stats.chi2.sf(chi2, n_bins - 1)),
        rms=rms,
        # Of a square compatible with zero, the root of its error is what the root can be.
        rms_error=min(square_error / (2 * rms), math.sqrt(square_error)) if rms else math.sqrt(square_error),
    )


def _effective(counts: Floats, variance: Floats) -> Floats:
    """Return the number of unweighted events that would know a bin as well; 0 of a negative one."""
    known = np.asarray(variance) > 0
    return np.asarray(np.divide(np.maximum(counts, 0) ** 2, variance, out=np.zeros(len(counts)), where=known))


def _merging(n_effective: Floats) -> Integers:
    """Return which bins make which merged one, from the left; too few at the end join the last."""
    groups, group, filled = [], 0, 0.0
    for n_events in n_effective:
        if filled >= MIN_EVENTS:
            group, filled = group + 1, 0.0
        groups.append(group)
        filled += n_events
    merged = np.array(groups, dtype=np.int64)
    if filled < MIN_EVENTS and group > 0:
        merged[merged == group] = group - 1
    return merged


def purity_checks(rows: Sequence[PurityRow], processes: Sequence[str]) -> list[Check]:
    """Return the share of the flavour that each selection is made for.

    Args:
        rows: The shares of all flavours.
        processes: What was simulated; a purity means something with all of `MAIN_PROCESSES` alone.
    """
    missing = [process for process in MAIN_PROCESSES if process not in processes]
    checks = []
    for row in rows:
        flavour, expected = expectations.PURITIES[row.selection]
        if row.flavour == flavour:
            name, mix = f"purity of the selection {row.selection} ({flavour} jets)", " + ".join(processes)
            checks.append(
                skipped(name, mix, f"no simulation of {', '.join(missing)}")
                if missing
                else check(name, mix, row.fraction, row.error, expected)
            )
    return checks


def ratio_checks(ratio: ShapeRatio | None, *, selection: str, scenario: str, score: str) -> list[Check]:
    """Return whether Data/MC of a score is 1, and how far it is from it, for one scenario.

    It is judged in Drell-Yan events: same settings must agree, and all differences together must show.
    """
    name, sample = f"Data/MC of {score} in {selection}", scenario
    if ratio is None:
        return [skipped(name, sample, "too few jets for two bins")]
    judged = selection == "dy" and score == "CvsB"
    agrees = expectations.SAME_SHAPE if scenario == SAME_SETTINGS else None
    spread = expectations.DATA_SPREAD if judged and scenario == ALL_DIFFERENCES else None
    note = f"chi2 {ratio.chi2:.1f} of {ratio.ndf} degrees of freedom"
    span = f"bins {ratio.ratio.min():.2f} to {ratio.ratio.max():.2f}, statistics taken out"
    return [
        check(f"{name}: p-value", sample, ratio.p_value, 0.0, agrees, note),
        check(f"{name}: rms of the ratio", sample, ratio.rms, ratio.rms_error, spread, span),
    ]


def ratio_rows(ratio: ShapeRatio, *, selection: str, scenario: str, score: str) -> list[RatioRow]:
    """Return the bins of a ratio as rows of a table."""
    columns = (ratio.edges[:-1], ratio.edges[1:], ratio.ratio, ratio.error, ratio.share)
    return [
        RatioRow(selection, scenario, score, *values)
        for values in zip(*(column.tolist() for column in columns), strict=True)
    ]
