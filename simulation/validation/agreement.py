"""Do two samples agree in the shape of every input? Chi-square tests that know of weights and of events.

Jets of one event are not independent, and they share its weight. So the event is what fluctuates: each adds a
vector (its weighted jets per bin, for all inputs at once), and covariances are sums over events.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.features import BRANCHES, N_FEATURES, default_mask
from simulation.validation.reading import Floats, Integers, Jets, Sample

N_BINS = 8
MIN_EFFECTIVE_EVENTS = 25.0
"""Of a bin in each sample; below it a bin joins its neighbour, so that errors are Gaussian."""

_BLOCK = 4000
_DRAWS = 2000


class AgreementRow(NamedTuple):
    """One input compared in two samples."""

    process: str
    scenario: str
    input: str
    chi2: float
    ndf: int
    p_value: float


class Agreement(NamedTuple):
    """All inputs of two samples compared, and whether the p-values are those of equal samples."""

    rows: tuple[AgreementRow, ...]
    skipped: tuple[str, ...]
    """Inputs with too few jets for two bins."""
    flatness_p_value: float
    """Of the distance (Kolmogorov-Smirnov) of the p-values from flat ones, with all correlations."""
    smallest_p_value: float
    """How often equal samples have a smallest p-value below the one found."""


class ShapeSums(NamedTuple):
    """Shapes of all inputs behind one another, each adding up to one, and their covariance."""

    shape: Floats
    covariance: Floats
    n_effective: Floats
    """Of the events that fill each bin: (sum of weights)^2 / sum of squares."""


def compare_inputs(mc: Sample, data: Sample) -> Agreement:
    """Compare the shapes of all inputs of the accepted jets of two samples.

    Raises:
        ValueError: If a sample has no accepted jet.
    """
    jets = [sample.jets.accepted() for sample in (mc, data)]
    for sample, part in zip((mc, data), jets, strict=True):
        if len(part.raw) == 0:
            raise ValueError(f"{sample.name}: no jet above 20 GeV: simulate more events")
    edges = _edges(*jets)
    bins = [_bins(part.raw, edges) for part in jets]
    sums = [
        shape_sums(part, content, sample.weight)
        for part, content, sample in zip(jets, bins, (mc, data), strict=True)
    ]
    merging = _merging(sums[0].n_effective, sums[1].n_effective)
    return _tests(mc.process, data.scenario, sums, merging)


def _edges(mc: Jets, data: Jets) -> list[Floats]:
    """Return the inner edges of each input's bins: quantiles of both samples' values together."""
    mc_mask, data_mask = default_mask(mc.raw), default_mask(data.raw)
    probabilities = np.linspace(0, 1, N_BINS + 1)[1:-1]
    edges = []
    for column in range(N_FEATURES):
        values = np.concatenate(
            [mc.raw[~mc_mask[:, column], column], data.raw[~data_mask[:, column], column]]
        )
        inner = np.quantile(values, probabilities, method="lower") if len(values) else np.empty(0)
        edges.append(np.unique(inner).astype(np.float64))
    return edges


def _bins(raw: NDArray[np.float32], edges: list[Floats]) -> NDArray[np.int16]:
    """Return each value's bin, shape ``(n_jets, 67)``; a default is in the last of `N_BINS` + 1."""
    bins = np.empty(raw.shape, np.int16)
    for column, inner in enumerate(edges):
        bins[:, column] = np.searchsorted(inner, raw[:, column], side="left")
    bins[default_mask(raw)] = N_BINS
    return bins


def shape_sums(jets: Jets, bins: NDArray[np.int16], weight: Floats) -> ShapeSums:
    """Return the shapes of all inputs and their covariance, from sums over events.

    With v_e the weighted jets of event e per bin and w_e their number, the shape is p = sum v / sum w, and
    an event moves it by (v_e - p w_e) / sum w; the covariance is the sum of squares of that.
    """
    n_cells = N_FEATURES * (N_BINS + 1)
    cells = bins + (N_BINS + 1) * np.arange(N_FEATURES)
    events, row = np.unique(jets.event, return_inverse=True)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    total, cross, squares = np.zeros(n_cells), np.zeros(n_cells), np.zeros((n_cells, n_cells))
    sum_w = sum_w2 = 0.0
    for begin in range(0, len(events), _BLOCK):
        end = min(begin + _BLOCK, len(events))
        jet = slice(first[begin], first[end] if end < len(events) else len(row))
        place = (row[jet] - begin)[:, None] * n_cells + cells[jet]
        counts = np.bincount(place.ravel(), minlength=(end - begin) * n_cells).reshape(-1, n_cells)
        v = counts * weight[events[begin:end], None]
        w = np.bincount(row[jet] - begin) * weight[events[begin:end]]
        total += v.sum(axis=0)
        cross += w @ v
        squares += v.T @ v
        sum_w, sum_w2 = sum_w + w.sum(), sum_w2 + float(w @ w)
    shape = total / sum_w
    mixed = np.outer(shape, cross)
    covariance = (squares - mixed - mixed.T + sum_w2 * np.outer(shape, shape)) / sum_w**2
    spread = np.diagonal(squares)
    n_effective = np.divide(total**2, spread, out=np.zeros(n_cells), where=spread > 0)
    return ShapeSums(shape, covariance, n_effective)


def _merging(first: Floats, second: Floats) -> list[Integers]:
    """Return for each input which of its bins makes which merged bin; bins are merged from the left.

    A bin needs `MIN_EFFECTIVE_EVENTS` in both samples. That they add up is nearly true, and enough here.
    """
    smaller = np.minimum(first, second).reshape(N_FEATURES, N_BINS + 1)
    merging = []
    for content in smaller:
        group, filled, groups = 0, 0.0, []
        for n_events in content:
            if filled >= MIN_EFFECTIVE_EVENTS:
                group, filled = group + 1, 0.0
            groups.append(group)
            filled += n_events
        result = np.array(groups)
        if filled < MIN_EFFECTIVE_EVENTS and group > 0:
            result[result == group] = group - 1
        merging.append(result)
    return merging


def _tests(process: str, scenario: str, sums: list[ShapeSums], merging: list[Integers]) -> Agreement:
    """Return the tests of all inputs, each whitened by its own covariance."""
    difference = sums[1].shape - sums[0].shape
    covariance = sums[0].covariance + sums[1].covariance
    tested = [column for column in range(N_FEATURES) if merging[column][-1] > 0]
    whitening, ndf = [], []
    for column in tested:
        # All bins but the last: a shape adds up to one.
        summing = (merging[column] == np.arange(merging[column][-1])[:, None]).astype(np.float64)
        cells = slice(column * (N_BINS + 1), (column + 1) * (N_BINS + 1))
        lower = np.linalg.cholesky(summing @ covariance[cells, cells] @ summing.T)
        rows = np.zeros((len(lower), len(difference)))
        rows[:, cells] = np.linalg.solve(lower, summing)
        whitening.append(rows)
        ndf.append(len(lower))
    names = [BRANCHES[column] for column in tested]
    skipped = tuple(branch for branch in BRANCHES if branch not in names)
    if not tested:
        return Agreement((), skipped, float("nan"), float("nan"))
    white = np.concatenate(whitening)
    p_values = _p_values((white @ difference)[None], ndf)[0]
    chi2 = _chi2((white @ difference)[None], ndf)[0]
    rows_of_table = tuple(
        AgreementRow(process, scenario, *values)
        for values in zip(names, chi2.tolist(), ndf, p_values.tolist(), strict=True)
    )
    flatness, smallest = _joint_tests(p_values, white @ covariance @ white.T, ndf)
    return Agreement(rows_of_table, skipped, flatness, smallest)


def _chi2(residuals: Floats, ndf: list[int]) -> Floats:
    """Return the sums of squares input by input, shape ``(n, n_inputs)``, of residuals ``(n, sum(ndf))``."""
    starts = np.cumsum([0, *ndf[:-1]])
    return np.asarray(np.add.reduceat(residuals**2, starts, axis=1))


def _p_values(residuals: Floats, ndf: list[int]) -> Floats:
    return np.asarray(stats.chi2.sf(_chi2(residuals, ndf), ndf))


def _joint_tests(p_values: Floats, correlation: Floats, ndf: list[int]) -> tuple[float, float]:
    """Return how often equal samples have p-values as far from flat, and a smallest one as small.

    The inputs are strongly correlated, so tables for independent p-values do not hold. Instead residuals are
    drawn with the correlation that was found.
    """
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    draws = np.random.default_rng(1).standard_normal((_DRAWS, len(values))) @ root.T
    expected = _p_values(draws, ndf)
    distance, found = _distance(expected), _distance(p_values[None])[0]
    smallest = expected.min(axis=1)
    return float(np.mean(distance >= found)), float(np.mean(smallest <= p_values.min()))


def _distance(p_values: Floats) -> Floats:
    """Return the Kolmogorov-Smirnov distance from a flat distribution, row by row."""
    ordered = np.sort(p_values, axis=1)
    n = ordered.shape[1]
    above = np.arange(1, n + 1) / n - ordered
    below = ordered - np.arange(n) / n
    return np.asarray(np.maximum(above.max(axis=1), below.max(axis=1)))
