"""The truth behind "data" against the fit: scale factors counted by flavour, and how far off the fit is.

Only simulated events in the role of data know their flavours. There the true factor of a flavour in a cell is
its number of jets in data over that in the scaled simulation.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from datamc.cells import Binning, CellTemplates, cell_templates
from datamc.histograms import Floats
from datamc.planes import PlaneTemplates, plane_templates
from datamc.records import Result
from datamc.scale_factors import ScaleFactors

_SAME = 1e-6


class TrueScaleFactors(NamedTuple):
    """True scale factors in the cells of a fit; flavours and selections in the fit's order.

    The factor of a flavour is the one in its own selection, as the fit calibrates it there; those in the
    others tell whether one factor serves all.
    """

    value: Floats
    """Data over scaled simulation, shape `(n_cells, n_selections, n_flavours)`; NaN without simulation."""
    error: Floats
    """Statistical, of data and simulation; same shape."""
    n_data: Floats
    """Jets in data, same shape; W+c is OS-SS."""
    pull: Floats
    """(Fitted - true) / error of the difference, shape `(n_cells, n_flavours)`; NaN where the fit did not
    measure all flavours of the cell."""
    fitted: ScaleFactors

    @property
    def own_value(self) -> Floats:
        """True factors in the selections that the fit takes them from, shape `(n_cells, n_flavours)`."""
        return np.diagonal(self.value, axis1=-2, axis2=-1)

    @property
    def own_error(self) -> Floats:
        """Their errors, shape `(n_cells, n_flavours)`."""
        return np.diagonal(self.error, axis1=-2, axis2=-1)


class TrueRow(NamedTuple):
    """One flavour in one cell and selection, as a row of a table; default scores have bounds below 0."""

    tagger: str
    epoch: int
    variant: str
    flavour: str
    selection: str
    is_own: int
    """1 where the fit takes the flavour's factor from this selection, else 0; only there is a pull."""
    cvsl_low: float
    cvsl_high: float
    cvsb_low: float
    cvsb_high: float
    n_data: float
    n_mc: float
    value: float
    error: float
    fitted: float
    fitted_error: float
    status: str
    pull: float


class ClosureRow(NamedTuple):
    """One flavour's fitted factors against the truth, over the cells where the fit measured all flavours."""

    tagger: str
    epoch: int
    variant: str
    flavour: str
    n_cells: int
    n_compared: int
    true_deviation: float
    """Mean of |true - 1|, weighted with the simulated jets."""
    fit_deviation: float
    """Mean of |fitted - true|, likewise."""
    pull_mean: float
    pull_width: float
    """Root of the mean square of the pulls."""
    p_value: float
    """Of the sum of their squares: closure, and one factor for all selections."""


def true_scale_factors(
    fitted: ScaleFactors, *, results: Mapping[str, Result], revealed: Mapping[str, Result], binning: Binning
) -> TrueScaleFactors:
    """Return the true scale factors in the cells of a fit, normalised as the fit normalises.

    Args:
        fitted: What the fit found.
        results: Data and simulation, by selection, that the fit was made of.
        revealed: The same data twice, by selection: as data, and as simulation of known flavour.
        binning: That of the fit.

    Raises:
        ValueError: If the revealed jets are not those of the data, or the cells are not those of the fit.
    """
    names = {"tagger": fitted.tagger, "epoch": fitted.epoch}
    plane = plane_templates(results, tagger=fitted.tagger, epoch=fitted.epoch, variant=fitted.variant)
    truth = plane_templates(revealed, tagger=fitted.tagger, epoch=fitted.epoch)
    _require_same_jets(plane, truth, names)
    cells = cell_templates(plane, binning)
    if not np.array_equal(cells.cvsl, fitted.cvsl) or not np.array_equal(cells.cvsb, fitted.cvsb):
        raise ValueError("the binning does not give the cells of the fit: choose the binning of the fit")
    data = cell_templates(truth, binning, like=plane)
    # A cell without jets is not known to have none: its error is that of one jet.
    variance = np.maximum(data.mc_variance, 1.0)
    value = _ratio(data.mc, cells.mc)
    error = np.sqrt(_ratio(variance, cells.mc**2) + value**2 * _ratio(cells.mc_variance, cells.mc**2))
    pull = closure_pulls(data._replace(mc_variance=variance), cells, fitted)
    return TrueScaleFactors(value, error, data.mc, pull, fitted)


def closure_pulls(data: CellTemplates, cells: CellTemplates, fitted: ScaleFactors) -> Floats:
    r"""Return how far the fit is from the truth in errors of the difference, shape `(n_cells, n_flavours)`.

    Fit and truth are of the same jets, so what they share drops out. With N the simulation, D the data by
    flavour, and x the true factors of each flavour in its own selection,

    .. math:: x_\mathrm{fit} - x = N^{-1} r, \quad r_s = \sum_{f \ne s} (D_{sf} - N_{sf} x_f):

    only the jets that are not the signature of their selection make a difference. A common shift of a
    flavour between selections is no statistical error: it shows as a pull.

    Args:
        data: Data by flavour in place of simulation.
        cells: Data and scaled simulation of the fit.
        fitted: The fit.
    """
    usable = (fitted.status == "ok").all(axis=-1)
    n_flavours = cells.mc.shape[-1]
    matrix = np.where(usable[:, None, None], cells.mc, np.eye(n_flavours))
    own = np.diagonal(matrix, axis1=-2, axis2=-1)
    true = np.diagonal(data.mc, axis1=-2, axis2=-1) / own
    variance = _diagonal(data.mc_variance) / own**2 + true**2 * _diagonal(cells.mc_variance) / own**2
    others = matrix * (1 - np.eye(n_flavours))
    spread = data.mc_variance + true[:, None, :] ** 2 * cells.mc_variance
    of_others = (spread * (1 - np.eye(n_flavours))).sum(axis=-1)
    # (cell, s, t) from (cell, s, f), (cell, f), (cell, t, f)
    covariance = np.einsum("csf,cf,ctf->cst", others, variance, others)
    covariance += of_others[..., None] * np.eye(n_flavours)
    inverse = np.linalg.inv(matrix)
    error = np.sqrt(_diagonal(inverse @ covariance @ inverse.swapaxes(-1, -2)))
    return np.where(usable[:, None], (fitted.value - true) / error, np.nan)


def true_rows(true: TrueScaleFactors) -> list[TrueRow]:
    """Return one row per cell, flavour and selection."""
    fitted = true.fitted
    return [
        _true_row(true, cell, f, s)
        for cell in range(len(fitted.cvsl))
        for f in range(len(fitted.flavours))
        for s in range(len(fitted.selections))
    ]


def _true_row(true: TrueScaleFactors, cell: int, f: int, s: int) -> TrueRow:
    fitted = true.fitted
    return TrueRow(
        tagger=fitted.tagger,
        epoch=fitted.epoch,
        variant=fitted.variant,
        flavour=fitted.flavours[f],
        selection=fitted.selections[s],
        is_own=int(s == f),
        cvsl_low=float(fitted.cvsl[cell, 0]),
        cvsl_high=float(fitted.cvsl[cell, 1]),
        cvsb_low=float(fitted.cvsb[cell, 0]),
        cvsb_high=float(fitted.cvsb[cell, 1]),
        n_data=float(true.n_data[cell, s, f]),
        n_mc=float(fitted.mc[cell, s, f]),
        value=float(true.value[cell, s, f]),
        error=float(true.error[cell, s, f]),
        fitted=float(fitted.value[cell, f]),
        fitted_error=float(fitted.error[cell, f]),
        status=str(fitted.status[cell, f]),
        pull=float(true.pull[cell, f]) if s == f else float("nan"),
    )


def closure_rows(trues: Sequence[TrueScaleFactors]) -> list[ClosureRow]:
    """Return one row per checkpoint, variant and flavour."""
    rows = []
    for true in trues:
        fitted = true.fitted
        for f, flavour in enumerate(fitted.flavours):
            pull = true.pull[:, f]
            used = np.isfinite(pull)
            jets, value = fitted.mc[used, f, f], true.own_value[used, f]
            squares = float(np.square(pull[used]).sum())
            n = int(used.sum())
            rows.append(
                ClosureRow(
                    fitted.tagger,
                    fitted.epoch,
                    fitted.variant,
                    flavour,
                    len(pull),
                    n,
                    _average(np.abs(value - 1), jets),
                    _average(np.abs(fitted.value[used, f] - value), jets),
                    float(pull[used].mean()) if n else float("nan"),
                    float(np.sqrt(squares / n)) if n else float("nan"),
                    float(stats.chi2.sf(squares, n)) if n else float("nan"),
                )
            )
    return rows


def _require_same_jets(plane: PlaneTemplates, truth: PlaneTemplates, names: Mapping[str, object]) -> None:
    """Raise unless the jets of known flavour are the data that were fitted."""
    for fitted_data, own_data, by_flavour in (
        (plane.data, truth.data, truth.mc),
        (plane.default_data, truth.default_data, truth.default_mc),
    ):
        summed = by_flavour.sum(axis=1)
        if not (np.allclose(fitted_data, own_data) and np.allclose(own_data, summed, atol=_SAME)):
            raise ValueError(
                f"{names['tagger']}, epoch {names['epoch']}: the jets of known flavour are not those of the "
                "data that were fitted: process both again, from the same files"
            )


def _diagonal(matrix: Floats) -> Floats:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator > 0)


def _average(values: Floats, weights: Floats) -> float:
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else float("nan")
