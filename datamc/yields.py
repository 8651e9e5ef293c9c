"""Jets before and after the scale factors, and factors that keep the number of jets of each flavour."""

from typing import NamedTuple

import numpy as np

from datamc.histograms import Floats
from datamc.scale_factors import ScaleFactors


class YieldRow(NamedTuple):
    """One flavour in one selection, all cells together."""

    tagger: str
    epoch: int
    variant: str
    selection: str
    flavour: str
    before: float
    after: float
    ratio: float


def yield_rows(scale_factors: ScaleFactors) -> list[YieldRow]:
    """Return the jets of every flavour and selection before and after the scale factors."""
    before = scale_factors.mc.sum(axis=0)
    ratio = scale_factors.yield_ratio
    return [
        YieldRow(
            scale_factors.tagger,
            scale_factors.epoch,
            scale_factors.variant,
            selection,
            flavour,
            float(before[s, f]),
            float(before[s, f] * ratio[s, f]),
            float(ratio[s, f]),
        )
        for s, selection in enumerate(scale_factors.selections)
        for f, flavour in enumerate(scale_factors.flavours)
    ]


def normalise_yields(scale_factors: ScaleFactors) -> ScaleFactors:
    r"""Return factors that keep the number of jets of each flavour in its own selection.

    What was measured is multiplied by one number per flavour, so that the sum over all cells, those with a
    factor of 1 among them, is as before; a flavour for which that cannot be done stays as it is. With w the
    share of a cell in the measured jets and y the factors after that, the errors follow
    :math:`\mathrm{d}y_i = k (\mathrm{d}x_i - y_i \sum_j w_j \mathrm{d}x_j)`.
    """
    jets = np.diagonal(scale_factors.mc, axis1=-2, axis2=-1)
    weight = np.where(scale_factors.status == "ok", jets, 0.0)
    total, after = weight.sum(axis=0), (weight * scale_factors.value).sum(axis=0)
    is_possible = (total > 0) & (after > 0)
    k = np.divide(total, after, out=np.ones_like(total), where=is_possible)
    is_scaled = (scale_factors.status == "ok") & is_possible
    share = np.divide(weight, total, out=np.zeros_like(weight), where=is_possible)
    value = np.where(is_scaled, k * scale_factors.value, scale_factors.value)
    covariance = _covariance(scale_factors.covariance, np.where(is_scaled, value, 0.0), share)
    scaling = np.where(is_scaled, k, 1.0)
    covariance = covariance * scaling[:, :, None] * scaling[:, None, :]
    systematics = scale_factors.systematics
    if systematics is not None:
        up, down = (
            _shift(each, np.where(is_scaled, value, 0.0), share, scaling)
            for each in (systematics.up, systematics.down)
        )
        systematics = systematics._replace(up=up, down=down)
    return scale_factors._replace(value=value, covariance=covariance, systematics=systematics)


def _covariance(covariance: Floats, value: Floats, share: Floats) -> Floats:
    """Return the covariance within each cell, `(n_cells, n_flavours, n_flavours)`, before the factor k."""
    # of the common sum: sum_j w_j^f w_j^g C_j^fg
    common = np.einsum("cf,cg,cfg->fg", share, share, covariance)
    left = value[:, :, None] * share[:, :, None] * covariance
    right = covariance * share[:, None, :] * value[:, None, :]
    return np.asarray(covariance - left - right + value[:, :, None] * value[:, None, :] * common)


def _shift(shift: Floats, value: Floats, share: Floats, scaling: Floats) -> Floats:
    common = np.einsum("cf,scf->sf", share, shift)
    return np.asarray(scaling * (shift - value * common[:, None, :]))
