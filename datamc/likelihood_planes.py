"""The likelihood fit of whole planes: from templates to `CellLikelihood`, from its best fit to factors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamc.cells import PUBLISHED_BINNING, Binning, CellTemplates, cell_layout, sum_cells
from datamc.histograms import Floats
from datamc.likelihood import (
    BACKGROUND,
    N_LOCAL,
    CellLikelihood,
    LikelihoodFit,
    maximise,
    statistics_precision,
)
from datamc.planes import FIT_SELECTIONS, PlaneTemplates
from datamc.scale_factors import ScaleFactors, Statuses, Systematics
from datamc.solve import (
    DEFAULT_THRESHOLDS,
    CellSolution,
    Thresholds,
    refuse_bad_solutions,
    scale_factors_of,
    solve_cells,
    standing_of,
)
from datamc.systematics import DOWN, UP, source_of

SOURCE_CHANNEL = (0, 0, 1, 2)
"""The selection of the fit that each channel belongs to."""

_SMALLEST = 0.02
"""A smaller factor counts as 0: it is the edge of what the likelihood knows."""


_VAGUE = 1e-6
"""Precision of what is not known beforehand: a factor of 1 within 1000, so that there is always a minimum."""


def maximise_planes(
    planes: Sequence[PlaneTemplates],
    *,
    variations: Sequence[Mapping[str, PlaneTemplates]] = (),
    binning: Binning = PUBLISHED_BINNING,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    charge_symmetric: bool = True,
    nuisances: bool = True,
) -> list[ScaleFactors]:
    """Return the scale factors of each checkpoint and variant that make data most likely.

    The covariance is that of statistics, with the nuisance parameters held; the sources come with the shift
    by one standard deviation after the fit.

    Args:
        planes: One per checkpoint and variant.
        variations: The shifted templates of each plane by name, the same names for all; or nothing.
        binning: How fine bins are merged to cells.
        thresholds: What a cell needs for a measurement.
        charge_symmetric: A free background of the same size in both signs of W+c, in every cell.
        nuisances: Sources of systematic uncertainty as parameters that all cells share.

    Raises:
        ValueError: If a plane does not hold the same-sign jets of W+c.
    """
    found = []
    for plane, shifted in zip(planes, variations or [{}] * len(planes), strict=True):
        layout = cell_layout(plane, binning)
        cells = sum_cells(plane, layout)
        wanted = shifted if nuisances else {}
        varied = {name: sum_cells(each, layout) for name, each in wanted.items()}
        found.append(_fit_plane(plane, cells, varied, thresholds, charge_symmetric=charge_symmetric))
    return found


def _fit_plane(
    plane: PlaneTemplates,
    cells: CellTemplates,
    varied: Mapping[str, CellTemplates],
    thresholds: Thresholds,
    *,
    charge_symmetric: bool,
) -> ScaleFactors:
    solution = solve_cells(cells.data, cells.data_variance, cells.mc, cells.mc_variance, thresholds)
    status = standing_of(cells.mc, cells.mc_variance, thresholds)
    chosen = np.flatnonzero((status == "ok").any(axis=-1))
    sources = list(dict.fromkeys(source_of(name)[0] for name in varied))
    value, covariance = np.ones_like(solution.value), solution.covariance.copy()
    covariance[:] = thresholds.fixed_error**2 * np.eye(value.shape[-1])
    impact = np.zeros((len(sources), *value.shape))
    standing = status.copy()
    tools: dict[str, Any] = {"status": standing, "thresholds": thresholds}
    tools["charge_symmetric"] = charge_symmetric
    # Each cell by itself first: one that has no minimum must not spoil what all cells share.
    for part in chosen[:, None]:
        fitted = maximise(cell_likelihood(cells, {}, chosen=part, **tools), solution.value[part])
        _keep(fitted, part, value, covariance, status)
    is_free = standing == "ok"
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    is_measured = (
        (status == "ok") & (value > _SMALLEST) & (variance > 0) & (variance < thresholds.max_error**2)
    )
    joint = np.flatnonzero(is_free.any(axis=-1) & (is_measured | ~is_free).all(axis=-1))
    if sources and len(joint):
        fitted = maximise(cell_likelihood(cells, varied, chosen=joint, **tools), value[joint])
        _keep(fitted, joint, value, covariance, status)
        impact[:, joint] = _impacts(fitted)
    value = np.where(value < _SMALLEST, 0.0, value)
    value, covariance, status = refuse_bad_solutions(value, covariance, status, thresholds)
    impact = np.where(status == "ok", impact, 0.0)
    found = CellSolution(
        value, covariance, status, solution.spectral_radius, solution.condition, solution.n_effective
    )
    systematics = Systematics(tuple(sources), impact, -impact) if sources else None
    return scale_factors_of(plane, cells, found, engine="likelihood", systematics=systematics)


def _keep(
    fitted: LikelihoodFit, cells: NDArray[np.intp], value: Floats, covariance: Floats, status: Statuses
) -> None:
    """Write the best fit of some cells among those of all."""
    value[cells], covariance[cells] = fitted.local[:, :BACKGROUND], fitted.statistical
    is_lost = ~fitted.is_valid[:, None] & (status[cells] == "ok")
    status[cells] = np.where(is_lost, "unconverged", status[cells])


def cell_likelihood(
    cells: CellTemplates,
    varied: Mapping[str, CellTemplates],
    *,
    status: Statuses,
    chosen: NDArray[np.intp],
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    charge_symmetric: bool = True,
) -> CellLikelihood:
    """Return the likelihood of some cells.

    A flavour that is not `ok` is 1 within the error of ignorance, and its selection takes no part.

    Args:
        cells: Data and templates.
        varied: Shifted templates in the same cells by the name of the variation.
        status: What the templates allow, shape `(n_cells, n_flavours)`.
        chosen: The cells to take.
        thresholds: Give the error of ignorance.
        charge_symmetric: A free background of the same size in both signs of W+c.

    Raises:
        ValueError: If the same-sign jets of W+c are missing.
    """
    if cells.same_sign is None:
        raise ValueError("the likelihood needs the same-sign jets of W+c: fit templates made of results")
    templates, variance = channel_templates(cells)
    data = np.stack(
        [cells.data[:, 0] + cells.same_sign.data, cells.same_sign.data, cells.data[:, 1], cells.data[:, 2]],
        axis=1,
    )
    background = np.zeros(data.shape)
    if charge_symmetric:
        background[:, :2] = np.maximum(templates[:, 1].sum(axis=-1), 1.0)[:, None]
    up, down = _shifts(varied, templates)
    is_free = status == "ok"
    precision = np.zeros((len(data), N_LOCAL))
    precision[:, :BACKGROUND] = np.where(is_free, _VAGUE, 1 / thresholds.fixed_error**2)
    is_held = ~is_free[:, FIT_SELECTIONS.index("wc")] | (not charge_symmetric)
    precision[:, BACKGROUND] = np.where(is_held, 1.0, _VAGUE)
    precision[:, BACKGROUND + 1 :] = statistics_precision(templates, variance)
    return CellLikelihood(
        np.maximum(data, 0.0)[chosen],
        templates[chosen],
        up[:, chosen],
        down[:, chosen],
        background[chosen],
        is_free[:, SOURCE_CHANNEL][chosen],
        precision[chosen],
    )


def channel_templates(cells: CellTemplates) -> tuple[Floats, Floats]:
    """Return scaled simulation by channel, and its variance, each `(n_cells, n_channels, n_flavours)`.

    Sums of weights below 0 count as 0.
    """
    same = cells.same_sign
    if same is None:
        raise ValueError("the likelihood needs the same-sign jets of W+c: fit templates made of results")
    opposite = cells.mc[:, 0] + same.mc
    opposite_variance = np.maximum(cells.mc_variance[:, 0] - same.mc_variance, 0.0)
    templates = np.stack([opposite, same.mc, cells.mc[:, 1], cells.mc[:, 2]], axis=1)
    variance = np.stack(
        [opposite_variance, same.mc_variance, cells.mc_variance[:, 1], cells.mc_variance[:, 2]], axis=1
    )
    return np.maximum(templates, 0.0), variance


def _shifts(varied: Mapping[str, CellTemplates], central: Floats) -> tuple[Floats, Floats]:
    """Return what each source adds to the templates going up and down; one side alone is mirrored."""
    found: dict[str, dict[str, Floats]] = {}
    for name, cells in varied.items():
        source, direction = source_of(name)
        found.setdefault(source, {})[direction] = channel_templates(cells)[0] - central
    shape = (0, *central.shape)
    up = [shifts.get(UP, -shifts.get(DOWN, central)) for shifts in found.values()]
    down = [shifts.get(DOWN, -shifts.get(UP, central)) for shifts in found.values()]
    return np.array(up).reshape(-1, *shape[1:]), np.array(down).reshape(-1, *shape[1:])


def _impacts(fitted: LikelihoodFit) -> Floats:
    """Return the shift of the factors with each nuisance parameter, `(n_sources, n_cells, n_flavours)`."""
    n_cells, n = len(fitted.local), fitted.local.size
    variance = np.diagonal(fitted.covariance)[n:]
    together = fitted.covariance[n:, :n].reshape(-1, n_cells, N_LOCAL)[..., :BACKGROUND]
    return np.asarray(together / np.sqrt(variance)[:, None, None])
