"""Templates with the scale factors in them, made from the plane: no event is read again."""

from typing import Literal

import numpy as np

from datamc.histograms import Floats
from datamc.planes import FIT_FLAVOURS, FIT_SELECTIONS, PlaneTemplates
from datamc.scale_factors import ScaleFactors, cell_of
from datamc.templates import Templates

Axis = Literal["CvsL", "CvsB"]

STACK_ORDER = ("b", "c", "light")
"""Flavours from the bottom of a stack to its top, as in every other one."""
BIN_OF_DEFAULT = 0.1
"""Width of the bin below 0 that holds jets without a score."""


def plane_view(
    plane: PlaneTemplates, selection: str, axis: Axis, *, scale_factors: ScaleFactors | None = None
) -> Templates:
    """Return one discriminator of one selection from its plane, before or after the scale factors.

    Jets without a score are in a bin of their own below 0. The errors of the scale factors are not part of
    the variances.

    Args:
        plane: The templates of the fit.
        selection: One of the fit's.
        axis: Which discriminator; the other one is summed over.
        scale_factors: Of the same checkpoint and variant; none for the stack before the fit.

    Raises:
        ValueError: If the selection is none of the fit's.
    """
    if selection not in FIT_SELECTIONS:
        raise ValueError(f"no selection {selection!r} in the fit: choose from {', '.join(FIT_SELECTIONS)}")
    s = FIT_SELECTIONS.index(selection)
    inside, default = _factors(plane, scale_factors)
    summed = 1 if axis == "CvsL" else 2
    edges = plane.cvsl_edges if axis == "CvsL" else plane.cvsb_edges
    order = [FIT_FLAVOURS.index(flavour) for flavour in STACK_ORDER]
    mc = _joined((plane.mc[s] * inside).sum(axis=summed), plane.default_mc[s] * default)
    variance = _joined(
        (plane.mc_variance[s] * inside**2).sum(axis=summed), plane.default_mc_variance[s] * default**2
    )
    return Templates(
        np.append(edges[0] - BIN_OF_DEFAULT, edges),
        _joined(plane.data[s].sum(axis=summed - 1), plane.default_data[s]),
        _joined(plane.data_variance[s].sum(axis=summed - 1), plane.default_data_variance[s]),
        mc[order],
        variance[order],
        STACK_ORDER,
        float(plane.factors[s]),
    )


def efficiencies(plane: PlaneTemplates, axis: Axis, *, scale_factors: ScaleFactors | None = None) -> Floats:
    """Return the share of simulated jets above each edge of a discriminator, before or after scale factors.

    Every flavour is that of its own selection; jets without a score are below every edge.

    Args:
        plane: The templates of the fit.
        axis: Which discriminator.
        scale_factors: Of the same checkpoint and variant; none for the shares before the fit.

    Returns:
        Shape `(n_flavours, n_edges)`, flavours as in `STACK_ORDER`; 0 for a flavour without jets.
    """
    rows = []
    for i, flavour in enumerate(STACK_ORDER):
        selection = FIT_SELECTIONS[FIT_FLAVOURS.index(flavour)]
        jets = plane_view(plane, selection, axis, scale_factors=scale_factors).mc[i]
        above = np.append(jets[::-1].cumsum()[::-1], 0.0)
        rows.append(above[1:] / above[0] if above[0] > 0 else np.zeros(len(above) - 1))
    return np.array(rows)


def _factors(plane: PlaneTemplates, scale_factors: ScaleFactors | None) -> tuple[Floats, Floats]:
    """Return the factors in the fine bins `(n_flavours, n_cvsb, n_cvsl)` and of the default scores."""
    n_flavours = plane.mc.shape[1]
    if scale_factors is None:
        return np.ones((n_flavours, 1, 1)), np.ones(n_flavours)
    x, y = ((edges[1:] + edges[:-1]) / 2 for edges in (plane.cvsl_edges, plane.cvsb_edges))
    cell = cell_of(scale_factors, *np.meshgrid(x, y))
    return np.moveaxis(scale_factors.value[cell], -1, 0), scale_factors.value[-1]


def _joined(inside: Floats, default: Floats) -> Floats:
    return np.concatenate([np.asarray(default)[..., np.newaxis], inside], axis=-1)
