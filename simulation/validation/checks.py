"""Single numbers of simulated samples, each against what is expected of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from simulation.validation.expectations import Expectation
from simulation.validation.reading import Floats

Verdict = Literal["pass", "warn", "fail", "shown", "skipped"]
"""Warn: too few events to say; shown: nothing is expected; skipped: the files do not hold it."""

CENTRAL = float(stats.norm.cdf(1) - stats.norm.cdf(-1))
"""Share of a normal distribution within one standard deviation."""


class Check(NamedTuple):
    """One number and what is expected of it; without expectation the bounds are NaN."""

    name: str
    sample: str
    value: float
    error: float
    low: float
    high: float
    source: str
    verdict: str
    note: str = ""


def judge(value: float, error: float, expected: Expectation) -> Verdict:
    """Return what a number says about an expectation.

    It warns outside the range by less than two errors, or where an error is as wide as the range.
    """
    if not math.isfinite(value):
        return "skipped"
    if expected.low <= value <= expected.high:
        return "warn" if error > expected.high - expected.low else "pass"
    near = expected.low - 2 * error <= value <= expected.high + 2 * error
    return "warn" if near else "fail"


def check(
    name: str, sample: str, value: float, error: float, expected: Expectation | None, note: str = ""
) -> Check:
    """Return a number with its verdict."""
    if expected is None:
        return Check(name, sample, value, error, math.nan, math.nan, "", "shown", note)
    verdict = judge(value, error, expected)
    return Check(name, sample, value, error, *expected[:2], expected.source, verdict, note)


def skipped(name: str, sample: str, reason: str) -> Check:
    """Return a check that could not be made."""
    return Check(name, sample, math.nan, math.nan, math.nan, math.nan, "", "skipped", reason)


def count_verdicts(checks: Sequence[Check]) -> Mapping[str, int]:
    """Return how many checks have each verdict."""
    names: tuple[Verdict, ...] = ("pass", "warn", "fail", "shown", "skipped")
    return {name: sum(check.verdict == name for check in checks) for name in names}


def rate_with_error(n: int, n_all: int) -> tuple[float, float]:
    """Return a fraction and its error; with none or all, the error is that of one jet more or less."""
    if n_all == 0:
        return math.nan, math.nan
    fraction = n / n_all
    return fraction, math.sqrt(max(fraction * (1 - fraction), 1 / n_all) / n_all)


def mean_with_error(values: Floats) -> tuple[float, float]:
    """Return the mean and its error; NaN of fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def median_and_width(values: Floats) -> tuple[float, float, float]:
    """Return the median, half the width of the central 68 %, and the error of that, as of a normal shape."""
    half = (1 - CENTRAL) / 2
    low, median, high = np.quantile(values, [half, 0.5, 1 - half]).tolist()
    width = (high - low) / 2
    # Variance of a quantile: p (1 - p) / (n density^2); the two quantiles are nearly independent.
    error = width * math.sqrt(half * (1 - half) / 2 / len(values)) / float(stats.norm.pdf(1))
    return median, width, error
