"""Scale factors of the three flavours by solving three equations per cell of the plane (CvsL, CvsB).

The published fit moves one scale factor at a time towards its target. Where that converges, it ends at the
solution of A x = d (A the templates, d the data), which is solved here at once, for all cells, with its full
covariance.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.cells import PUBLISHED_BINNING, Binning, CellTemplates, cell_layout, cell_templates, sum_cells
from datamc.histograms import Floats
from datamc.planes import PlaneTemplates
from datamc.scale_factors import ScaleFactors, Statuses, Systematics
from datamc.systematics import paired_shifts

STATUS_TYPE = "<U15"
"""Of an array of statuses."""
_SINGULAR = 1e-9
"""Determinant of a matrix with rows of length one, below which it is not solved."""


class Thresholds(NamedTuple):
    """What a cell needs for its scale factors to be measured; a flavour that fails is fixed to 1.

    Source:
        The first two: the published fit (CMS-BTV-20-001).
    """

    min_jets: float = 5.0
    """Effective number of simulated jets, of the signature flavour and in all."""
    min_purity: float = 0.1
    """Share of the signature flavour in its selection."""
    max_condition: float = 100.0
    """Condition number of the matrix of templates, its rows normalised."""
    max_error: float = 1.0
    """Statistical error of a scale factor above which it is no measurement."""
    fixed_error: float = 1.0
    """Error of a scale factor fixed to 1; the other flavours of the cell feel it."""
    ridge_error: float = 0.0
    """Where the condition number passes `max_condition`, factors are drawn towards 1 within this error.

    They keep the status `ill_conditioned`. 0: they are fixed to 1.
    """


DEFAULT_THRESHOLDS = Thresholds()


class CellSolution(NamedTuple):
    """The solution in any number of cells (leading axes `...`)."""

    value: Floats
    """Scale factors, shape `(..., n_flavours)`."""
    covariance: Floats
    """Shape `(..., n_flavours, n_flavours)`."""
    status: Statuses
    """Shape `(..., n_flavours)`."""
    spectral_radius: Floats
    """Of the published iteration in these cells, shape `(...)`: at 1 and above it does not converge."""
    condition: Floats
    """Of the matrix of templates, its rows normalised, shape `(...)`."""
    n_effective: Floats
    """Effective number of simulated jets, shape `(..., n_selections, n_flavours)`."""

    def part(self, cells: slice) -> "CellSolution":
        """Return the solution in some of the cells of the first axis."""
        columns: Any = (column[cells] for column in self)
        return CellSolution(*columns)


def solve(
    plane: PlaneTemplates,
    *,
    binning: Binning = PUBLISHED_BINNING,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    like: PlaneTemplates | None = None,
) -> ScaleFactors:
    """Return the scale factors of one checkpoint and variant.

    Args:
        plane: The templates of the three selections.
        binning: How fine bins are merged to cells.
        thresholds: What a cell needs for a measurement.
        like: The plane that decides the cells, where it is not `plane` itself.
    """
    cells = cell_templates(plane, binning, like=like)
    solution = solve_cells(cells.data, cells.data_variance, cells.mc, cells.mc_variance, thresholds)
    return scale_factors_of(plane, cells, solution)


def solve_planes(
    planes: Sequence[PlaneTemplates],
    *,
    variations: Sequence[Mapping[str, PlaneTemplates]] = (),
    binning: Binning = PUBLISHED_BINNING,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> list[ScaleFactors]:
    """Return the scale factors of many checkpoints and variants, all their cells solved at once.

    Args:
        planes: One per checkpoint and variant.
        variations: The shifted templates of each plane by name, the same names for all; or nothing.
        binning: How fine bins are merged to cells; shifted templates are summed in the nominal cells.
        thresholds: What a cell needs for a measurement.
    """
    if not planes:
        return []
    layouts = [cell_layout(plane, binning) for plane in planes]
    cells = [sum_cells(plane, layout) for plane, layout in zip(planes, layouts, strict=True)]
    solution = solve_cells(
        np.concatenate([each.data for each in cells]),
        np.concatenate([each.data_variance for each in cells]),
        np.concatenate([each.mc for each in cells]),
        np.concatenate([each.mc_variance for each in cells]),
        thresholds,
    )
    names = list(variations[0]) if variations else []
    shifted = [
        np.concatenate(
            [sum_cells(own[name], layout).mc for own, layout in zip(variations, layouts, strict=True)]
        )
        for name in names
    ]
    shifts = _shifts(np.concatenate([each.data for each in cells]), shifted, solution)
    edges = np.cumsum([0, *(len(each.data) for each in cells)])
    found = []
    for plane, own, first, last in zip(planes, cells, edges[:-1], edges[1:], strict=True):
        systematics = paired_shifts(names, shifts[:, first:last]) if names else None
        part = solution.part(slice(first, last))
        found.append(scale_factors_of(plane, own, part, systematics=systematics))
    return found


def _shifts(data: Floats, shifted: Sequence[Floats], solution: "CellSolution") -> Floats:
    """Return what shifted simulation moves the factors by, shape `(n_variations, n_cells, n_flavours)`."""
    if not shifted:
        return np.zeros((0, *solution.value.shape))
    is_fixed = solution.status != "ok"
    value = solve_fixed(data, np.stack(shifted), is_fixed)
    return np.where(is_fixed, 0.0, value - solution.value)


def solve_fixed(data: Floats, mc: Floats, is_fixed: NDArray[np.bool_]) -> Floats:
    """Return the factors of the flavours that are not fixed to 1, the others 1, shape `(..., n_flavours)`.

    A factor stops at 0; simulation that cannot be solved leaves the factors of its cell at twice 1, so that
    its shift is as large as ignorance.

    Args:
        data: Jets, shape `(..., n_selections)`.
        mc: Scaled simulation, shape `(..., n_selections, n_flavours)`.
        is_fixed: Shape `(..., n_flavours)`.
    """
    n_flavours = mc.shape[-1]
    matrix = np.where(is_fixed[..., None], np.eye(n_flavours), mc)
    norm = np.sqrt(np.square(matrix).sum(axis=-1, keepdims=True))
    rows = np.divide(matrix, norm, out=np.zeros_like(matrix), where=norm > 0)
    is_singular = np.abs(np.linalg.det(rows)) < _SINGULAR
    matrix = np.where(is_singular[..., None, None], np.eye(n_flavours), matrix)
    target = np.broadcast_to(np.where(is_fixed, 1.0, data), matrix.shape[:-1])
    value = np.linalg.solve(matrix, target[..., None])[..., 0]
    value = np.where(is_singular[..., None] & ~is_fixed, 2.0, value)
    return np.maximum(value, 0.0)


def scale_factors_of(
    plane: PlaneTemplates,
    cells: CellTemplates,
    solution: "CellSolution",
    *,
    engine: str = "solve",
    systematics: Systematics | None = None,
) -> ScaleFactors:
    """Return the solution of a plane's cells as the result of a fit."""
    return ScaleFactors(
        cvsl=cells.cvsl,
        cvsb=cells.cvsb,
        value=solution.value,
        covariance=solution.covariance,
        status=solution.status,
        spectral_radius=solution.spectral_radius,
        condition=solution.condition,
        n_data=cells.data,
        n_effective=solution.n_effective,
        mc=cells.mc,
        factors=plane.factors,
        tagger=plane.tagger,
        epoch=plane.epoch,
        variant=plane.variant,
        engine=engine,
        systematics=systematics,
    )


def solve_cells(
    data: Floats,
    data_variance: Floats,
    mc: Floats,
    mc_variance: Floats,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> CellSolution:
    r"""Return the scale factors x with A x = d in every cell, with their covariance.

    .. math:: \mathrm{Cov}(x) = A^{-1} V A^{-T}, \quad V = \mathrm{diag}(\mathrm{Var} D_s + \sum_f x_f^2
    \mathrm{Var} N_{sf})

    Flavour f is the signature of selection number f. A flavour without enough jets or purity in its selection
    is fixed to 1 within `fixed_error`, and the others are solved with that. Negative data or templates
    (OS-SS) take part; a solution at or below 0 is not returned but fixed to 1.

    Args:
        data: Jets, shape `(..., n_selections)`.
        data_variance: Their variances.
        mc: Scaled simulation A, shape `(..., n_selections, n_flavours)`.
        mc_variance: Its variances.
        thresholds: What a cell needs for a measurement.
    """
    n_effective = effective_jets(mc, mc_variance)
    status = template_status(mc, mc_variance, thresholds)
    is_fixed = status != "ok"
    # A fixed flavour's row becomes x_f = 1, with variance fixed_error^2.
    identity = np.eye(mc.shape[-1])
    matrix = np.where(is_fixed[..., None], identity, mc)
    condition = row_condition(matrix)
    is_ill = condition > thresholds.max_condition
    status = np.where(is_ill[..., None] & ~is_fixed, "ill_conditioned", status).astype(STATUS_TYPE)
    radius = spectral_radius(matrix)
    drawn = _drawn_to_one(matrix, data, data_variance, mc_variance, is_fixed, thresholds)
    is_fixed |= is_ill[..., None]
    matrix = np.where(is_ill[..., None, None], identity, matrix)

    inverse = np.linalg.inv(matrix)
    value = np.einsum("...fs,...s->...f", inverse, np.where(is_fixed, 1.0, data))
    variance = data_variance + np.einsum("...f,...sf->...s", value**2, mc_variance)
    variance = np.where(is_fixed, thresholds.fixed_error**2, variance)
    covariance = np.einsum("...fs,...s,...gs->...fg", inverse, variance, inverse)
    value, covariance, status = refuse_bad_solutions(value, covariance, status, thresholds)
    if drawn is not None:
        is_drawn = is_ill & (drawn[0] > 0).all(axis=-1)
        value = np.where(is_drawn[..., None], drawn[0], value)
        covariance = np.where(is_drawn[..., None, None], drawn[1], covariance)
    return CellSolution(value, covariance, status, radius, condition, n_effective)


def _drawn_to_one(
    matrix: Floats,
    data: Floats,
    data_variance: Floats,
    mc_variance: Floats,
    is_fixed: NDArray[np.bool_],
    thresholds: Thresholds,
) -> tuple[Floats, Floats] | None:
    """Return factors and covariance with the added knowledge that factors are 1 within `ridge_error`.

    None without a ridge. Fixed flavours have their row x_f = 1.
    """
    if not thresholds.ridge_error:
        return None
    precision = np.eye(matrix.shape[-1]) / thresholds.ridge_error**2
    variance = np.where(is_fixed, thresholds.fixed_error**2, data_variance + mc_variance.sum(axis=-1))
    weight = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)
    information = np.einsum("...sf,...s,...sg->...fg", matrix, weight, matrix) + precision
    target = np.einsum("...sf,...s,...s->...f", matrix, weight, np.where(is_fixed, 1.0, data))
    covariance = np.linalg.inv(information)
    return np.einsum("...fg,...g->...f", covariance, target + precision.sum(axis=0)), covariance


def effective_jets(mc: Floats, mc_variance: Floats) -> Floats:
    """Return (sum of weights)^2 / sum of squared weights; 0 where there is nothing."""
    return np.divide(mc**2, mc_variance, out=np.zeros_like(mc), where=mc_variance > 0)


def row_condition(matrix: Floats) -> Floats:
    """Return the condition number of matrices with rows normalised to one, shape `(...)`.

    It is infinite for a singular matrix. The rows are normalised since the size of a selection says nothing
    about how well flavours are told apart.
    """
    norm = np.abs(matrix).sum(axis=-1, keepdims=True)
    rows = np.divide(matrix, norm, out=np.zeros_like(matrix), where=norm > 0)
    singular = np.linalg.svd(rows, compute_uv=False)
    largest, smallest = singular[..., 0], singular[..., -1]
    return np.divide(largest, smallest, out=np.full_like(largest, np.inf), where=smallest > 1e-300)


def spectral_radius(matrix: Floats) -> Floats:
    """Return the spectral radius of the Gauss-Seidel iteration G = -L^-1 U, shape `(...)`.

    L is the lower triangle with the diagonal, U the rest. Below 1 the published iteration converges. It does
    not change when rows or columns are scaled; infinite where the diagonal has a zero.
    """
    has_zero = (np.diagonal(matrix, axis1=-2, axis2=-1) == 0).any(axis=-1)
    safe = np.where(has_zero[..., None, None], np.eye(matrix.shape[-1]), matrix)
    eigenvalues = np.linalg.eigvals(np.linalg.solve(np.tril(safe), -np.triu(safe, 1)))
    return np.asarray(np.where(has_zero, np.inf, np.abs(eigenvalues).max(axis=-1)))


def standing_of(mc: Floats, mc_variance: Floats, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Statuses:
    """Return per flavour what the templates alone allow, `(..., n_flavours)`: `ok`, or why not.

    Args:
        mc: Scaled simulation, shape `(..., n_selections, n_flavours)`.
        mc_variance: Its variances.
        thresholds: What a cell needs for a measurement.
    """
    status = template_status(mc, mc_variance, thresholds)
    matrix = np.where((status != "ok")[..., None], np.eye(mc.shape[-1]), mc)
    is_ill = row_condition(matrix) > thresholds.max_condition
    return np.where(is_ill[..., None] & (status == "ok"), "ill_conditioned", status).astype(STATUS_TYPE)


def template_status(mc: Floats, mc_variance: Floats, thresholds: Thresholds) -> Statuses:
    """Return per flavour what the templates of its own selection say, before any data."""
    signature = np.diagonal(mc, axis1=-2, axis2=-1)
    total = mc.sum(axis=-1)
    n_signature = effective_jets(signature, np.diagonal(mc_variance, axis1=-2, axis2=-1))
    n_total = effective_jets(total, mc_variance.sum(axis=-1))
    is_rare = (n_signature < thresholds.min_jets) | (n_total < thresholds.min_jets)
    is_negative = (signature <= 0) | (total <= 0)
    is_impure = signature < thresholds.min_purity * total
    return np.select(
        [is_rare, is_negative, is_impure], ["low_stat", "nonpositive", "low_purity"], default="ok"
    ).astype(STATUS_TYPE)


def refuse_bad_solutions(
    value: Floats, covariance: Floats, status: Statuses, thresholds: Thresholds
) -> tuple[Floats, Floats, Statuses]:
    """Fix to 1 what is not positive or too uncertain; its correlations go with it."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    is_vague = variance > thresholds.max_error**2
    status = np.where((status == "ok") & (value <= 0), "nonpositive", status)
    status = np.where((status == "ok") & is_vague, "low_stat", status).astype(STATUS_TYPE)
    is_fixed = status != "ok"
    value = np.where(is_fixed, 1.0, value)
    identity = np.eye(value.shape[-1])
    either = is_fixed[..., :, None] | is_fixed[..., None, :]
    covariance = np.where(either, thresholds.fixed_error**2 * identity, covariance)
    return value, covariance, status
