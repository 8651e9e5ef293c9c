r"""The reference at equal performance: a bare divergence rewards a worse tagger.

A tagger that separates less also disagrees less. Gaussian noise added to the log-odds of the basic tagger is
such a loss of performance, without any merit. Divergence against AUC for rising noise is the curve that a
training has to lie below, at its own AUC.

Histograms are folded with the noise, not jets: within a fine bin jets are spread evenly in log-odds. Folding
smooths fluctuations, too, so that offsets are those of the replicas. Jets without a score keep none.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import logit, ndtr

from datamc.area_errors import AreaErrors
from datamc.differences import Measured, ratio_with_error
from datamc.measures import Floats
from storage.tables import read_table, write_table
from storage.wording import few

logger = logging.getLogger(__name__)

UNDISTORTED = "raw"
_END = 1.0
"""How far the outermost bins reach beyond their finite edge, in log-odds."""


class NoisedArea(NamedTuple):
    """The AUC of a checkpoint on unseen jets with noise on its log-odds: a row of `noised_areas.csv`."""

    tagger: str
    epoch: int
    score: str
    sigma: float
    auc: float


class CurvePoint(NamedTuple):
    """One point of the reference curve: AUC and divergence of a checkpoint with noise on its log-odds."""

    selection: str
    score: str
    tagger: str
    epoch: int
    measure: str
    """`kl` or `kl_equal`."""
    sigma: float
    auc: float
    value: float
    offset: float
    """What statistics add, from replicas: noise smooths fluctuations, too."""
    error: float

    @property
    def excess(self) -> float:
        """The value beyond what statistics add."""
        return self.value - self.offset


class EqualAucRow(NamedTuple):
    """A checkpoint's divergence over that of the reference with as much noise as takes it to the same AUC."""

    selection: str
    score: str
    tagger: str
    epoch: int
    reference: str
    reference_epoch: int
    measure: str
    """`kl` or `kl_equal`."""
    auc: float
    sigma: float
    """The noise at which the reference has this AUC."""
    excess: float
    """The measure of the checkpoint beyond statistics."""
    curve: float
    """That of the reference with this noise."""
    ratio: float
    """Below 1 the training agrees better than a trivial loss of performance explains; 0 where unknown."""
    ratio_error: float
    """One standard deviation, that of the AUC in it where it was given; 0 where unknown."""
    status: str
    """`ok`; `above`: better than the reference, compared with it without noise; `below`: worse than with the
    largest noise, compared with that; `no_excess`: nothing is left of the curve beyond statistics."""


Areas = Mapping[tuple[str, int, str], Sequence[tuple[float, float]]]
"""Per tagger, epoch and score the (sigma, AUC) of rising noise, without noise first."""


class Curve(NamedTuple):
    """The curve of one checkpoint, score and measure, noise rising and AUC falling."""

    sigma: Floats
    auc: Floats
    points: tuple[Measured, ...]

    def at(self, auc: float) -> tuple[Measured, float, str]:
        """Return the measure at an AUC, linear between points, with the noise and the status there.

        Points with no less AUC than one before them are left out: very little noise may raise it by chance.
        """
        before = np.minimum.accumulate(np.concatenate([[np.inf], self.auc[:-1]]))
        kept = np.flatnonzero(self.auc < before)
        status = "above" if auc > self.auc[0] else "below" if auc < self.auc[kept[-1]] else "ok"
        # position on the curve: 0 without noise
        position = float(np.interp(-auc, -self.auc[kept], np.arange(len(kept))))
        first = int(position)
        part = position - first
        i, j = kept[first], kept[min(first + 1, len(kept) - 1)]
        one, other = self.points[i], self.points[j]
        values = (1 - part) * one.values + part * other.values
        offset = (1 - part) * one.offset + part * other.offset
        sigma = float((1 - part) * self.sigma[i] + part * self.sigma[j])
        return Measured(values, offset, (1 - part) * one.error + part * other.error), sigma, status

    def shift(self, auc: float, error: float) -> float:
        """Return by how much one standard deviation of an AUC moves the excess along the curve."""
        above, below = (self.at(auc + direction * error)[0].excess for direction in (1, -1))
        return 0.5 * (above - below)


def noise_matrix(edges: Floats, sigma: float) -> Floats:
    r"""Return which share of each bin of a score goes where with noise on log-odds, `(n_bins, n_bins)`.

    A jet of bin i is anywhere between its edges a and b in log-odds. It ends below the edge e with the
    probability

    .. math:: \frac{\sigma}{b - a} [G((e - a) / \sigma) - G((e - b) / \sigma)], \quad
        G(t) = t \Phi(t) + \phi(t).

    Args:
        edges: Bin edges of the score, shape `(n_bins + 1,)`; bins below 0 hold jets without a score.
        sigma: Width of the noise.
    """
    n_bins = len(edges) - 1
    matrix = np.eye(n_bins)
    first = int(np.searchsorted(edges, -1e-9))
    if sigma <= 0:
        return matrix
    with np.errstate(divide="ignore"):
        odds = logit(np.clip(edges[first:], 0.0, 1.0))
    finite = odds.copy()
    finite[0], finite[-1] = odds[1] - _END, odds[-2] + _END
    low, high = finite[:-1, np.newaxis], finite[1:, np.newaxis]
    inner = odds[1:-1]
    below = sigma / (high - low) * (_integral((inner - low) / sigma) - _integral((inner - high) / sigma))
    edge = np.ones((len(low), 1))
    matrix[first:, first:] = np.diff(np.concatenate([0 * edge, below, edge], axis=1), axis=1)
    return matrix


def equal_auc_rows(
    place: tuple[str, str],
    measured: Mapping[tuple[str, int], Mapping[str, Measured]],
    curves: Mapping[int, Mapping[str, Curve]],
    areas: Areas,
    *,
    reference: str,
    n_blocks: int,
    area_errors: AreaErrors | None = None,
) -> list[EqualAucRow]:
    """Return every checkpoint of a score over the curve at its AUC.

    The last epoch of a training is compared with the last of the reference, others with that of the same
    number or, where there is none, the last.

    Args:
        place: Selection and score.
        measured: Of every checkpoint (tagger, epoch) on undistorted inputs, with offsets from replicas.
        curves: Of the reference, by epoch, then by measure.
        areas: Of all checkpoints; those without are left out.
        reference: The tagger of the curves.
        n_blocks: Blocks of events that all share.
        area_errors: Of differences of areas on the same jets. A wrong AUC compares with a wrong point of the
            curve: what that does to the ratio is part of its error.
    """
    rows = []
    last = {tagger: max(at for name, at in measured if name == tagger) for tagger, _ in measured}
    for (tagger, epoch), own in measured.items():
        area = areas.get((tagger, epoch, place[1]))
        if not curves or not area:
            continue
        other = epoch if epoch in curves and epoch != last[tagger] else max(curves)
        for name, curve in curves[other].items():
            at, sigma, status = curve.at(area[0][1])
            ratio, error = ratio_with_error(own[name], at, n_blocks=n_blocks)
            if at.excess > 0:
                of_area = (area_errors or {}).get((tagger, epoch, reference, other, place[1]), 0.0)
                error = math.hypot(error, ratio * curve.shift(area[0][1], of_area) / at.excess)
            rows.append(
                EqualAucRow(
                    *place, tagger, epoch, reference, other, name, area[0][1], sigma,
                    own[name].excess, at.excess, ratio, error, status if at.excess > 0 else "no_excess",
                )
            )  # fmt: skip
    return rows


def curve_points(
    place: tuple[str, str], tagger: str, curves: Mapping[int, Mapping[str, Curve]]
) -> list[CurvePoint]:
    """Return the points of the curves of one selection and score."""
    return [
        CurvePoint(
            *place, tagger, epoch, name, float(curve.sigma[i]), float(curve.auc[i]),
            float(point.values[0]), point.offset, point.error,
        )
        for epoch, by_measure in curves.items()
        for name, curve in by_measure.items()
        for i, point in enumerate(curve.points)
    ]  # fmt: skip


def read_noised_areas(path: Path) -> Areas:
    """Return the AUC of all checkpoints with noise, as `advtag evaluate` left them; none without the file.

    A score whose AUC is unknown (a flavour without test jets) is left out, which the log tells.

    Raises:
        ValueError: If it is another table.
    """
    rows = sorted(read_table(path, kind=NoisedArea, unknown=("auc",))) if path.is_file() else []
    without = {row[:3] for row in rows if not math.isfinite(row.auc)}
    if without:
        logger.warning(
            "%s: %d of %d AUC with noise are unknown: %s are not compared at equal AUC",
            path, sum(not math.isfinite(row.auc) for row in rows), len(rows),
            few([f"{score} of {tagger}, epoch {epoch}" for tagger, epoch, score in sorted(without)]),
        )  # fmt: skip
    areas: dict[tuple[str, int, str], list[tuple[float, float]]] = {}
    for row in (each for each in rows if each[:3] not in without):
        areas.setdefault((row.tagger, row.epoch, row.score), []).append((row.sigma, row.auc))
    return areas


def write_curve(points: Sequence[CurvePoint], path: Path) -> None:
    """Write the reference curve as CSV with a header line."""
    write_table(points, path, kind=CurvePoint)


def write_equal_auc(rows: Sequence[EqualAucRow], path: Path) -> None:
    """Write the checkpoints over the curve as CSV with a header line."""
    write_table(rows, path, kind=EqualAucRow)


def read_curve(path: Path) -> list[CurvePoint]:
    """Return the points of `reference_curve.csv`; none without the file.

    Raises:
        ValueError: If it is another table.
    """
    return read_table(path, kind=CurvePoint, unknown=()) if path.is_file() else []


def read_equal_auc(path: Path) -> list[EqualAucRow]:
    """Return the rows of `equal_auc.csv`; none without the file.

    Raises:
        ValueError: If it is another table.
    """
    return read_table(path, kind=EqualAucRow, unknown=()) if path.is_file() else []


def _integral(t: Floats) -> Floats:
    return np.asarray(t * ndtr(t) + np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi))
