"""The result of a scale-factor fit: factors per cell and flavour, their covariance, and their standing."""

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datamc.histograms import Floats
from datamc.planes import FIT_FLAVOURS, FIT_SELECTIONS

Status = Literal["ok", "low_stat", "low_purity", "nonpositive", "ill_conditioned", "unconverged"]
Statuses = NDArray[np.str_]


class Systematics(NamedTuple):
    """What each source of systematic uncertainty does to the scale factors of a fit.

    A shift keeps its sign, so that sources stay correlated between cells and flavours. A factor that is fixed
    to 1 does not shift: its error says it all.
    """

    sources: tuple[str, ...]
    up: Floats
    """Shift of the factors when the source goes up, shape `(n_sources, n_cells, n_flavours)`."""
    down: Floats
    """When it goes down, same shape; 0 for a source of one side."""

    @property
    def error_up(self) -> Floats:
        """The larger upward shift per source, 0 if none, shape `(n_sources, n_cells, n_flavours)`.

        Two shifts of the same sign are not both counted.
        """
        return np.maximum(np.maximum(self.up, self.down), 0.0)

    @property
    def error_down(self) -> Floats:
        """The larger downward shift, as a positive number, likewise."""
        return -np.minimum(np.minimum(self.up, self.down), 0.0)

    @property
    def symmetric(self) -> Floats:
        """The larger of both shifts with the sign that the source going up has, same shape."""
        size = np.maximum(np.abs(self.up), np.abs(self.down))
        direction = np.where(self.up != 0, np.sign(self.up), -np.sign(self.down))
        return np.asarray(direction * size)


class ScaleFactors(NamedTuple):
    """Scale factors per cell and flavour for one checkpoint and variant.

    The last cell holds the default scores. A factor is 1 by lack of knowledge only where its status is not
    `ok`.
    """

    cvsl: Floats
    """Bounds of the cells, shape `(n_cells, 2)`."""
    cvsb: Floats
    """Bounds of the cells, shape `(n_cells, 2)`."""
    value: Floats
    """Shape `(n_cells, n_flavours)`, flavours as in `flavours`."""
    covariance: Floats
    """Statistical, shape `(n_cells, n_flavours, n_flavours)`."""
    status: Statuses
    """Shape `(n_cells, n_flavours)`."""
    spectral_radius: Floats
    """Shape `(n_cells,)`."""
    condition: Floats
    """Shape `(n_cells,)`."""
    n_data: Floats
    """Jets in data, shape `(n_cells, n_selections)`; W+c is OS-SS."""
    n_effective: Floats
    """Effective number of simulated jets, shape `(n_cells, n_selections, n_flavours)`."""
    mc: Floats
    """Scaled simulation the fit used, shape `(n_cells, n_selections, n_flavours)`."""
    factors: Floats
    """Data/MC per selection, contained in `mc`, shape `(n_selections,)`."""
    tagger: str
    epoch: int
    variant: str
    flavours: tuple[str, ...] = FIT_FLAVOURS
    selections: tuple[str, ...] = FIT_SELECTIONS
    engine: str = "solve"
    systematics: Systematics | None = None

    @property
    def error(self) -> Floats:
        """Statistical errors, shape `(n_cells, n_flavours)`."""
        return np.sqrt(np.diagonal(self.covariance, axis1=-2, axis2=-1))

    @property
    def total_error(self) -> tuple[Floats, Floats]:
        """Statistics and all sources in quadrature, up and down, each of shape `(n_cells, n_flavours)`."""
        variance = self.error**2
        if self.systematics is None:
            return self.error, self.error
        up, down = self.systematics.error_up, self.systematics.error_down
        return np.sqrt(variance + np.square(up).sum(axis=0)), np.sqrt(variance + np.square(down).sum(axis=0))

    @property
    def yield_ratio(self) -> Floats:
        """Jets after the scale factors over before, shape `(n_selections, n_flavours)`; 1 without any.

        Nothing in a fit keeps the number of jets of a flavour.
        """
        before, after = self.mc.sum(axis=0), np.einsum("cf,csf->sf", self.value, self.mc)
        return np.asarray(np.divide(after, before, out=np.ones_like(before), where=before != 0))

    @property
    def is_default(self) -> NDArray[np.bool_]:
        """Whether a cell holds the default scores, shape `(n_cells,)`."""
        return np.asarray(self.cvsl[:, 1] <= 0)


class Summary(NamedTuple):
    """One flavour's scale factors in three numbers, each averaged with the simulated jets as weights."""

    tagger: str
    epoch: int
    variant: str
    flavour: str
    n_cells: int
    n_ok: int
    mean_deviation: float
    """Mean of |SF - 1| over the cells that are `ok` (0 if none is).

    Statistical errors alone make it positive.
    """
    mean_error: float
    """Mean statistical error over the same cells."""
    yield_ratio: float
    """Jets of the flavour in its own selection after the scale factors, over before; all cells."""


class ScaleFactorRow(NamedTuple):
    """One flavour in one cell, as a row of a table; the cell of the default scores has bounds below 0."""

    tagger: str
    epoch: int
    variant: str
    flavour: str
    cvsl_low: float
    cvsl_high: float
    cvsb_low: float
    cvsb_high: float
    value: float
    error: float
    status: str
    n_data: float
    """Jets in data of the selection that calibrates the flavour."""
    n_effective: float
    """Effective number of simulated jets of the flavour in that selection."""
    spectral_radius: float
    condition: float


def scale_factor_rows(scale_factors: ScaleFactors) -> list[ScaleFactorRow]:
    """Return the scale factors as a table, cell by cell, the correlations left out."""
    error = scale_factors.error
    return [
        ScaleFactorRow(
            scale_factors.tagger,
            scale_factors.epoch,
            scale_factors.variant,
            flavour,
            float(scale_factors.cvsl[cell, 0]),
            float(scale_factors.cvsl[cell, 1]),
            float(scale_factors.cvsb[cell, 0]),
            float(scale_factors.cvsb[cell, 1]),
            float(scale_factors.value[cell, i]),
            float(error[cell, i]),
            str(scale_factors.status[cell, i]),
            float(scale_factors.n_data[cell, i]),
            float(scale_factors.n_effective[cell, i, i]),
            float(scale_factors.spectral_radius[cell]),
            float(scale_factors.condition[cell]),
        )
        for cell in range(len(scale_factors.value))
        for i, flavour in enumerate(scale_factors.flavours)
    ]


def cell_of(scale_factors: ScaleFactors, cvsl: ArrayLike, cvsb: ArrayLike) -> NDArray[np.intp]:
    """Return the number of the cell each jet falls into, shape of the scores.

    A jet with CvsL or CvsB below 0 (a default) belongs to the last cell; a score of 1 or above to the cell
    that ends at 1.
    """
    scores = np.broadcast_arrays(np.asarray(cvsl, dtype=np.float64), np.asarray(cvsb, dtype=np.float64))
    below_one = np.nextafter(1.0, 0.0)
    x, y = (np.minimum(score, below_one) for score in scores)
    cell = np.full(x.shape, len(scale_factors.cvsl) - 1, dtype=np.intp)
    is_slice = np.append(True, scale_factors.cvsb[1:, 0] != scale_factors.cvsb[:-1, 0])
    first = np.flatnonzero(is_slice)
    # first[-1] is the cell of the defaults: the slices are those between
    for start, stop in pairwise(first):
        low, high = scale_factors.cvsb[start]
        inside = (y >= low) & (y < high) & (x >= 0)
        cell[inside] = start + np.searchsorted(scale_factors.cvsl[start:stop, 0], x[inside], side="right") - 1
    return cell


def summarise(scale_factors: ScaleFactors) -> list[Summary]:
    """Return per flavour how far the scale factors are from 1, and how many could be measured."""
    rows = []
    for i, flavour in enumerate(scale_factors.flavours):
        jets = np.clip(scale_factors.mc[:, i, i], 0, None)
        value = scale_factors.value[:, i]
        is_ok = scale_factors.status[:, i] == "ok"
        rows.append(
            Summary(
                scale_factors.tagger,
                scale_factors.epoch,
                scale_factors.variant,
                flavour,
                len(value),
                int(is_ok.sum()),
                _mean(np.abs(value - 1)[is_ok], jets[is_ok]),
                _mean(scale_factors.error[is_ok, i], jets[is_ok]),
                _mean(value, jets) if jets.sum() > 0 else 1.0,
            )
        )
    return rows


def _mean(values: Floats, weights: Floats) -> float:
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else 0.0
