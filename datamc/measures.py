"""Measures of how far two shapes are apart, for many histograms at once, and the bins they are taken in.

Along the last axis are bins; sums of weights may be negative where same sign is subtracted. Only shapes
count.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import chi2 as chi2_distribution

Floats = NDArray[np.float64]

EMPTY_BIN = 1e-5
"""What replaces an empty bin of the normalised simulation where data have jets (thesis, section A.5.3)."""

MIN_JETS = 25
"""Jets that a bin of a chi2 holds at least, in data and in simulation: below, it is no sum of squares of
normal deviates."""


class ShapeTest(NamedTuple):
    """The chi2 of two shapes, its degrees of freedom, and how often chance alone exceeds it."""

    chi2: float
    n_degrees: int
    p_value: float


def normalised(data: Floats, mc: Floats) -> tuple[Floats, Floats]:
    """Return both as shapes: bins in which either is negative are empty in both, the sums are 1, or 0."""
    is_kept = (data >= 0) & (mc >= 0)
    return _unit_sum(np.where(is_kept, data, 0.0)), _unit_sum(np.where(is_kept, mc, 0.0))


def kullback_leibler(p: Floats, q: Floats) -> Floats:
    """Return the divergence of shapes p from q in nats; an empty bin of q is `EMPTY_BIN` where p has some.

    Source:
        Thesis, Eq. A.1 and section A.5.3.
    """
    filled = np.where((p > 0) & (q == 0), EMPTY_BIN, q)
    filled = filled / np.maximum(filled.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    return np.asarray(np.maximum(rel_entr(p, filled).sum(axis=-1), 0.0))


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    r"""Return the Jensen-Shannon divergence of shapes, between 0 and ln 2, the same with p and q exchanged.

    .. math:: \tfrac12 D(P \parallel M) + \tfrac12 D(Q \parallel M), \quad M = \tfrac12 (P + Q)

    Source:
        J. Lin, IEEE Transactions on Information Theory 37 (1991) 145.
    """
    middle = 0.5 * (p + q)
    return np.asarray(0.5 * (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1))


def earth_movers_distance(p: Floats, q: Floats, centres: Floats) -> Floats:
    """Return by how much the score of a jet must move on average to turn one shape into the other.

    It is the area between the cumulative distributions, with all jets of a bin at its centre.
    """
    steps = np.cumsum(p - q, axis=-1)[..., :-1]
    return np.asarray(np.abs(steps) @ np.diff(centres))


def earth_movers_offset(shape: Floats, centres: Floats, *, n_data: float, n_mc: float) -> float:
    r"""Return the distance that two samples of one shape have on average.

    The difference of the cumulative distributions is normal with variance :math:`F (1 - F) (1/n + 1/m)`; its
    absolute value has the mean :math:`\sqrt{2 / \pi}` times the square root.
    """
    if n_data <= 0 or n_mc <= 0:
        return 0.0
    below = np.cumsum(shape)[:-1]
    spread = np.sqrt(np.clip(below * (1 - below), 0.0, None) * (1 / n_data + 1 / n_mc))
    return float(np.sqrt(2 / np.pi) * spread @ np.diff(centres))


def data_mc_area(data: Floats, mc: Floats) -> Floats:
    r"""Return the area under the ROC curve of data against simulation: how often a jet of data scores higher.

    .. math:: P(x_\mathrm{data} > x_\mathrm{mc}) + \tfrac12 P(x_\mathrm{data} = x_\mathrm{mc})

    1/2 where they agree, and where one is empty. Sums of weights count with their signs: the area is linear
    in both, and no bin needs to be left out. No monotone change of the score changes it, but for jets of one
    bin, which count as equal.
    """
    p, q = _unit_sum(data), _unit_sum(mc)
    area = (p * (np.cumsum(q, axis=-1) - 0.5 * q)).sum(axis=-1)
    return np.where(p.any(axis=-1) & q.any(axis=-1), area, 0.5)


def rank_divergence(area: Floats) -> Floats:
    r"""Return the divergence that a trend linear in the rank of a score has: :math:`6 (A - 1/2)^2` nats.

    With the ratio of data to simulation :math:`1 + \delta(u)` at the quantile u, a small divergence is
    :math:`\tfrac12 \int \delta^2 du`, and by Schwarz's inequality with :math:`u - 1/2` this is at least
    :math:`6 (\int \delta (u - 1/2) du)^2`: `auc` is the part of the divergence that the area sees. Unlike
    :math:`|A - 1/2|` it is quadratic as the others are, so that what statistics add is the same everywhere.
    """
    return np.asarray(6.0 * (area - 0.5) ** 2)


def rank_offset(shape: Floats, *, n_data: float, n_mc: float) -> float:
    r"""Return the `rank_divergence` that two samples of one shape have on average.

    Six times the variance of the area, :math:`(1 - \sum_k t_k^3) (1/n + 1/m) / 12` with the shares t of jets
    that tie: half a degree of freedom of a chi2, as `statistical_offset` with two bins.

    Source:
        E. L. Lehmann, Nonparametrics (1975), section 1.4 (ties).
    """
    if n_data <= 0 or n_mc <= 0:
        return 0.0
    return float(0.5 * (1 - (shape**3).sum()) * (1 / n_data + 1 / n_mc))


def shape_test(
    data: Floats, data_variance: Floats, mc: Floats, mc_variance: Floats, *, n_data: Floats, n_mc: Floats
) -> ShapeTest:
    r"""Return the chi2 of two shapes, with the factor between them free, and its p-value.

    .. math:: \min_f \sum_k (d_k - f m_k)^2 / (V(d_k) + f^2 V(m_k))

    With a free factor there is one degree of freedom less than bins whatever the weights, also where same
    sign is subtracted. Neighbouring bins are added until each holds `MIN_JETS` jets in both. With one such
    bin nothing is left to test: the p-value is 1.

    Args:
        data: Sums of weights per bin, may be negative, shape `(n_bins,)`; so are all others.
        data_variance: Sums of squared weights.
        mc: Simulation.
        mc_variance: Of simulation.
        n_data: Jets per bin, opposite and same sign added.
        n_mc: Jets per bin in simulation (effective ones: the weights cancel).
    """
    starts = bins_of_content(np.minimum(n_data, n_mc), MIN_JETS)
    d, vd, m, vm = (np.add.reduceat(part, starts, axis=-1) for part in (data, data_variance, mc, mc_variance))
    if len(starts) < 2 or not m.any() or not (vd + vm > 0).all():
        return ShapeTest(0.0, 0, 1.0)
    factor = d.sum() / m.sum() if m.sum() > 0 else 1.0
    for _ in range(5):
        weight = 1 / (vd + factor**2 * vm)
        factor = float((weight * d * m).sum() / (weight * m**2).sum())
    chi2 = float(((d - factor * m) ** 2 / (vd + factor**2 * vm)).sum())
    n_degrees = len(starts) - 1
    return ShapeTest(chi2, n_degrees, float(chi2_distribution.sf(chi2, n_degrees)))


def bins_of_content(content: Floats, least: float) -> NDArray[np.intp]:
    """Return where groups of neighbouring bins begin that hold `least` each, from the left, `(n_groups,)`.

    What is left over at the right end joins the last group.
    """
    starts, held = [0], 0.0
    for i, each in enumerate(content):
        if held >= least:
            starts.append(i)
            held = 0.0
        held += each
    if held < least and len(starts) > 1:
        starts.pop()
    return np.array(starts, dtype=np.intp)


def equal_population_bins(mc: Floats, n_bins: int) -> NDArray[np.intp]:
    """Return where groups of fine bins begin that hold about the same share of simulation, `(n_groups,)`.

    A group ends at the fine edge that is closest to a multiple of 1 / n_bins. Where one fine bin holds more
    than such a share there are fewer groups. Negative bins count as empty.

    Args:
        mc: Simulation in fine bins, shape `(n_fine,)`.
        n_bins: How many groups are wanted.
    """
    below = np.concatenate([[0.0], np.cumsum(np.maximum(mc, 0.0))])
    if below[-1] <= 0:
        return np.zeros(1, dtype=np.intp)
    wanted = np.arange(1, n_bins) / n_bins
    share = below / below[-1]
    above = np.clip(np.searchsorted(share, wanted), 1, len(share) - 1)
    closest = np.where(wanted - share[above - 1] < share[above] - wanted, above - 1, above)
    # A group that begins where nothing lies to its left or right would be empty.
    inner = np.unique(closest[(share[closest] > 0) & (share[closest] < 1)])
    return np.asarray(np.concatenate([[0], inner]), dtype=np.intp)


def _unit_sum(counts: Floats) -> Floats:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros_like(counts), where=total > 0))
