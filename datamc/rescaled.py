"""Stacks of CvsL and CvsB with the scale factors in them: by flavour, by process, in any view of the signs.

They are made from the plane in which the factors were fitted; no event is read again. What the errors of the
factors do to the sum of simulation is part of it.
"""

from typing import Any, NamedTuple

import numpy as np

from datamc.after_fit import BIN_OF_DEFAULT, Axis
from datamc.histograms import GROUPS, Floats, bin_edges, content_of, fold_overflow
from datamc.normalisation import View, combine_signs, normalisation
from datamc.records import Result
from datamc.scale_factors import ScaleFactors, cell_of
from datamc.stacks import process_contents
from datamc.templates import Templates

AXES: tuple[Axis, ...] = ("CvsL", "CvsB")


class Rescaled(NamedTuple):
    """Data and rescaled simulation of one discriminator; jets without a score are in a bin below 0."""

    templates: Templates
    """By flavour; the variances are those of the simulation alone."""
    processes: dict[str, Floats]
    """The same simulation by process, shape `(n_bins,)` each."""
    error: Floats
    """What one standard deviation of the scale factors (statistics and all sources) does to the sum of
    simulation, shape `(n_bins,)`."""


class RescaledPlane:
    """One selection's plane with the scale factors of one checkpoint and variant.

    Args:
        result: The result of the selection.
        scale_factors: Of the same training, epoch and inputs.

    Raises:
        ValueError: If the result holds no plane, or a cross section is missing.
    """

    def __init__(self, result: Result, scale_factors: ScaleFactors) -> None:
        point: dict[str, Any] = {
            "tagger": scale_factors.tagger, "epoch": scale_factors.epoch, "variant": scale_factors.variant,
        }  # fmt: skip
        content = content_of(result, "plane", **point)
        by_process = process_contents(result, "plane", **point)
        self._factor = normalisation(result).factor
        self._fit = scale_factors
        self._edges = {axis: bin_edges(result, "plane", axis=axis.lower()) for axis in AXES}
        middles = [np.append(-_BELOW, (edges[1:] + edges[:-1]) / 2) for edges in self._edges.values()]
        # (n_cvsb, n_cvsl), the first row and column without score
        self._cell = cell_of(scale_factors, *np.meshgrid(*middles))
        order = [scale_factors.flavours.index(group) for group in GROUPS]
        self._values = np.moveaxis(scale_factors.value[self._cell], -1, 0)[order][:, np.newaxis]
        self._order = order
        # (sign, n_cvsb, n_cvsl), of simulation with the flavour groups first
        self._data, self._data_variance, mc, mc_variance = (_upright(part) for part in content)
        self._mc, self._mc_variance = self._factor * mc, self._factor**2 * mc_variance
        self._processes = {
            name: (self._factor * _upright(each.mc) * self._values).sum(axis=0)
            for name, each in by_process.items()
        }

    def stack(self, axis: Axis, view: View) -> Rescaled:
        """Return one discriminator in one view of the signs; the other one is summed over."""
        edges = self._edges[axis]
        data = combine_signs(self._data, self._data_variance, view, axis=0)
        mc = combine_signs(self._mc * self._values, self._mc_variance * self._values**2, view, axis=1)
        templates = Templates(
            np.append(edges[0] - BIN_OF_DEFAULT, edges),
            _projected(data[0], axis),
            _projected(data[1], axis),
            _projected(mc[0], axis),
            _projected(mc[1], axis),
            GROUPS,
            self._factor,
        )
        processes = {
            name: _projected(combine_signs(jets, jets, view, axis=0)[0], axis)
            for name, jets in self._processes.items()
        }
        return Rescaled(templates, processes, self._error(axis, view, n_bins=len(edges)))

    def _error(self, axis: Axis, view: View, *, n_bins: int) -> Floats:
        """Propagate the covariance of the factors: statistics of each cell, and sources common to all."""
        jets = combine_signs(self._mc, self._mc, view, axis=1)[0]
        # (bin, cell, flavour as in the fit): what each factor multiplies
        weights = np.zeros((n_bins, *self._fit.value.shape))
        rows, columns = np.indices(self._cell.shape)
        place = columns if axis == "CvsL" else rows
        without = (rows == 0) | (columns == 0)
        bins = np.where(without, 0, place)
        for group, flavour in enumerate(self._order):
            np.add.at(weights[..., flavour], (bins, self._cell), jets[group])
        variance = np.einsum("bcf,cfg,bcg->b", weights, self._fit.covariance, weights)
        if self._fit.systematics is not None:
            shifts = np.einsum("bcf,scf->sb", weights, self._fit.systematics.symmetric)
            variance = variance + np.square(shifts).sum(axis=0)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


_BELOW = 0.5


def _upright(plane: Floats) -> Floats:
    """Return `(..., cvsb, cvsl)` from `(..., cvsl, cvsb)`, overflows folded in, underflows first."""
    return fold_overflow(fold_overflow(plane).swapaxes(-1, -2))[..., :-1, :-1]


def _projected(plane: Floats, axis: Axis) -> Floats:
    """Return the bins of one discriminator, those without a score (either is an underflow) first."""
    default = plane[..., 0, :].sum(axis=-1) + plane[..., 1:, 0].sum(axis=-1)
    inside = plane[..., 1:, 1:].sum(axis=-2 if axis == "CvsL" else -1)
    return np.concatenate([default[..., np.newaxis], inside], axis=-1)
