"""Scale factors over a training: how far from 1 they are, epoch by epoch, and how much of that is noise."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from datamc.histograms import Floats
from datamc.scale_factors import ScaleFactors

N_REPLICAS = 400


class HistoryRow(NamedTuple):
    """One flavour of one checkpoint and variant; a cell weighs as its simulated jets of that flavour."""

    tagger: str
    epoch: int
    variant: str
    flavour: str
    n_cells: int
    n_ok: int
    mean_deviation: float
    """Mean of |SF - 1| over the cells that are `ok`; NaN if none is."""
    error: float
    """Its statistical error, from replicas drawn with the covariance of the fit."""
    expected: float
    """What statistics alone would make of it if all factors were 1."""
    excess: float
    """Root of the mean of (SF - 1)^2 less that of statistics: the deviation without noise, 0 if not seen."""
    mean_factor: float
    """Mean of the factors over the same cells."""
    systematic: float
    """Mean of the symmetrised systematic error over the same cells."""


def history_rows(scale_factors: Iterable[ScaleFactors], *, seed: int = 1) -> list[HistoryRow]:
    """Return one row per checkpoint, variant and flavour, and one for all flavours together (`all`).

    Args:
        scale_factors: Any number of fits.
        seed: Of the replicas.
    """
    rows = []
    for each in scale_factors:
        draws = _replicas(each, seed)
        columns = [
            *((name, [i]) for i, name in enumerate(each.flavours)),
            ("all", list(range(len(each.flavours)))),
        ]
        rows += [_row(each, draws, name, flavours) for name, flavours in columns]
    return rows


def _replicas(scale_factors: ScaleFactors, seed: int) -> Floats:
    """Return draws around the fitted factors, shape `(N_REPLICAS, n_cells, n_flavours)`."""
    random = np.random.default_rng(seed)
    normal = random.normal(size=(N_REPLICAS, *scale_factors.value.shape))
    root = np.linalg.cholesky(scale_factors.covariance)
    return np.asarray(scale_factors.value + np.einsum("cfg,ncg->ncf", root, normal))


def _row(scale_factors: ScaleFactors, draws: Floats, name: str, flavours: list[int]) -> HistoryRow:
    is_ok = (scale_factors.status == "ok")[:, flavours]
    jets = np.diagonal(scale_factors.mc, axis1=-2, axis2=-1)[:, flavours]
    # Flavours count alike, whatever the size of their selections.
    total = np.where(is_ok, jets, 0.0).sum(axis=0)
    weight = np.where(is_ok, jets, 0.0) / np.where(total > 0, total, 1.0)
    weight = weight / max(weight.sum(), 1e-300)
    value, error = scale_factors.value[:, flavours], scale_factors.error[:, flavours]
    n_ok = int(is_ok.sum())
    known = n_ok > 0 and weight.sum() > 0
    nan = float("nan")
    excess = float((weight * ((value - 1) ** 2 - error**2)).sum())
    replicas = (weight * np.abs(draws[..., flavours] - 1)).sum(axis=(1, 2))
    systematic = nan
    if known and scale_factors.systematics is not None:
        shift = np.sqrt(np.square(scale_factors.systematics.symmetric[..., flavours]).sum(axis=0))
        systematic = float((weight * shift).sum())
    return HistoryRow(
        scale_factors.tagger,
        scale_factors.epoch,
        scale_factors.variant,
        name,
        is_ok.size,
        n_ok,
        float((weight * np.abs(value - 1)).sum()) if known else nan,
        float(replicas.std()) if known else nan,
        float(np.sqrt(2 / np.pi) * (weight * error).sum()) if known else nan,
        float(np.sqrt(max(excess, 0.0))) if known else nan,
        float((weight * value).sum()) if known else nan,
        systematic,
    )
