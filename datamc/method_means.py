r"""Means over the seeds of a method, and how well they are known: few events, few seeds, none counted twice.

All trainings see the same events, and replicas of these (`datamc.replicas`) give the part of an error that
stays with ever more seeds. Replicas keep the trained networks as they are. Trainings that differ by their
seed scatter for two reasons: their networks differ, and so does what these make of the same fluctuation of
the events. The second is in the replicas already, and is therefore taken out of the scatter, by the replicas
of the deviations of each training from its method's mean:

.. math:: S = \sum_t (e_t - \bar e)^2 - \sum_t V_\mathrm{replicas}(e_t - \bar e)

Two to four seeds do not know their own scatter. What is left is taken to be the same fraction :math:`\rho` of
the excess for all methods, from all of them together:

.. math:: \rho^2 = \sum_m S_m / \sum_m (n_m - 1) E_m^2.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from datamc.differences import Measured, ratio_with_error
from datamc.measures import Floats
from datamc.reference_curve import Curve
from datamc.replicas import spread


class Training(NamedTuple):
    """One seed of a method in one measure."""

    tagger: str
    epoch: int
    auc: float
    own: Measured


class Mean(NamedTuple):
    """The trainings of a method and their mean."""

    trainings: Sequence[Training]
    auc: float
    own: Measured


class Ratio(NamedTuple):
    """An excess over another."""

    value: float
    events: float
    """Its error from the number of events."""
    moves: Floats
    """The replicas behind this error: how the ratio varies with the events."""


UNKNOWN = Ratio(0.0, 0.0, np.zeros(1))


def mean_of(trainings: Sequence[Training], *, n_blocks: int) -> Mean:
    """Return the mean of trainings, with the error from the events alone."""
    own = mean_measured([each.own for each in trainings], n_blocks=n_blocks)
    return Mean(trainings, float(np.mean([each.auc for each in trainings])), own)


def mean_measured(several: Sequence[Measured], *, n_blocks: int) -> Measured:
    """Return the mean of a measure that was replicated with the same events."""
    values = np.mean([each.values for each in several], axis=0)
    error = spread(values, n_blocks=n_blocks).error
    offset = float(np.mean([each.offset for each in several]))
    return Measured(values, offset, error if math.isfinite(error) else 0.0)


def mean_curve(curves: Sequence[Curve], *, n_blocks: int) -> Curve:
    """Return the mean of curves with the same steps of noise.

    Raises:
        ValueError: If the steps differ.
    """
    first = curves[0]
    if any(not np.array_equal(first.sigma, each.sigma) for each in curves):
        raise ValueError("the seeds of the reference have other sizes of noise: evaluate them together")
    points = [
        mean_measured(several, n_blocks=n_blocks)
        for several in zip(*(each.points for each in curves), strict=True)
    ]
    return Curve(first.sigma, np.mean([each.auc for each in curves], axis=0), tuple(points))


def early_curve(by_epoch: Mapping[int, Mean]) -> Curve:
    """Return the reference stopped early: the epochs at which its AUC first reached a value, the last first.

    Epochs above the AUC of the last one are left out, so that the curve ends at the reference itself.
    """
    last = max(by_epoch)
    chosen: list[int] = []
    for epoch in sorted(by_epoch):
        is_record = not chosen or by_epoch[epoch].auc > by_epoch[chosen[-1]].auc
        if is_record and by_epoch[epoch].auc < by_epoch[last].auc:
            chosen.append(epoch)
    order = [last, *reversed(chosen)]
    return Curve(
        np.array(order, dtype=np.float64),
        np.array([by_epoch[epoch].auc for epoch in order]),
        tuple(by_epoch[epoch].own for epoch in order),
    )


def ratio_of(one: Measured, other: Measured, *, n_blocks: int) -> Ratio:
    """Return one excess over another with its error from shared events; `UNKNOWN` if none of it is left."""
    if other.excess <= 0:
        return UNKNOWN
    value, error = ratio_with_error(one, other, n_blocks=n_blocks)
    return Ratio(value, error, (one.values - value * other.values) / other.excess)


def relative_scatter(means: Sequence[Mean], curve: Curve | None = None, *, n_blocks: int) -> float:
    """Return by which fraction of its excess a training differs from its method's mean, events left aside.

    Args:
        means: All methods; those with one seed tell nothing.
        curve: Where given, the scatter is that beside the curve: less is expected of a training with a
            smaller AUC.
        n_blocks: Blocks of events behind the replicas.
    """
    left, total = 0.0, 0.0
    for mean in means:
        n = len(mean.trainings)
        if n < 2:
            continue
        left += _scatter(mean, curve, n_blocks=n_blocks)
        total += (n - 1) * mean.own.excess**2
    return math.sqrt(max(left, 0.0) / total) if total > 0 else 0.0


def _scatter(mean: Mean, curve: Curve | None, *, n_blocks: int) -> float:
    """Return the squared deviations of the trainings from their mean, less what replicas expect of them."""
    parts = [each.own for each in mean.trainings]
    if curve is not None:
        at = curve.at(mean.auc)[0]
        ratio = mean.own.excess / at.excess if at.excess > 0 else 0.0
        parts = [_minus(each.own, curve.at(each.auc)[0], ratio) for each in mean.trainings]
    centre = mean_measured(parts, n_blocks=n_blocks)
    deviations = [_minus(each, centre, 1.0) for each in parts]
    expected = [spread(each.values, n_blocks=n_blocks).error for each in deviations]
    return sum(each.excess**2 for each in deviations) - sum(error**2 for error in expected)


def _minus(one: Measured, other: Measured, factor: float) -> Measured:
    return Measured(one.values - factor * other.values, one.offset - factor * other.offset, 0.0)


def seeds_error(ratio: float, n_seeds: int, *, n_reference: int, scatter: float) -> float:
    """Return the error of a ratio that is due to few seeds, of the method and of the reference."""
    return abs(ratio) * scatter * math.sqrt(1 / n_seeds + 1 / n_reference)


def difference_error(
    one: tuple[Ratio, int], other: tuple[Ratio, int], *, n_reference: int, scatter: float, n_blocks: int
) -> float:
    """Return the error of the difference of two ratios to one reference.

    Args:
        one: A ratio and its number of seeds; 0 for the reference, whose ratio is 1 by construction.
        other: The same.
        n_reference: Seeds of the reference.
        scatter: As `relative_scatter` returns it.
        n_blocks: Blocks of events behind the replicas.
    """
    (first, n), (second, m) = one, other
    events = spread(first.moves - second.moves, n_blocks=n_blocks).error
    own = sum(ratio.value**2 / count for ratio, count in (one, other) if count)
    shared = (first.value * bool(n) - second.value * bool(m)) ** 2 / n_reference
    return math.sqrt((events**2 if math.isfinite(events) else 0.0) + scatter**2 * (own + shared))
