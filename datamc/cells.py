"""Cells of the plane (CvsL, CvsB): how fine bins are merged until a scale factor can be measured in each.

One binning serves the three flavours of a CvsB slice, since the fit solves them together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.histograms import Floats
from datamc.planes import PlaneTemplates

DEFAULT_BOUNDS = (-1.0, 0.0)
"""Where the cell of the default scores lies in both CvsL and CvsB: a score below 0 is a default."""


class Binning(NamedTuple):
    """When fine CvsL bins make a cell, merged from the left.

    A cell is full once, in each selection, the relative errors of the data minus the other flavours and of
    the signature template sum to `target_error`, or once it holds `max_merge` fine bins.

    Source:
        The published fit: relative error 0.02, at most five bins, ten slices of CvsB (CMS-BTV-20-001).
    """

    target_error: float = 0.02
    max_merge: int = 5
    cvsb_merge: int = 1
    """How many CvsB slices make one; it must divide their number."""


PUBLISHED_BINNING = Binning()
COARSE_BINNING = Binning(target_error=0.5, max_merge=50, cvsb_merge=5)
"""For some thousand jets, as a laptop simulates: a handful of cells with errors of a few tens of per cent."""


class CellSameSign(NamedTuple):
    """The same-sign jets of W+c per cell."""

    data: Floats
    """Shape `(n_cells,)`."""
    mc: Floats
    """Shape `(n_cells, n_flavours)`. So is the variance."""
    mc_variance: Floats


class CellTemplates(NamedTuple):
    """Data and simulation per cell; the last cell of a plane holds the default scores."""

    cvsl: Floats
    """Lower and upper bound, shape `(n_cells, 2)`."""
    cvsb: Floats
    """Lower and upper bound, shape `(n_cells, 2)`."""
    data: Floats
    """Shape `(n_cells, n_selections)`. So are the variances."""
    data_variance: Floats
    mc: Floats
    """Shape `(n_cells, n_selections, n_flavours)`. So are the variances."""
    mc_variance: Floats
    same_sign: CellSameSign | None = None


class CellLayout(NamedTuple):
    """Which fine bins make a cell."""

    is_start: NDArray[np.bool_]
    """Whether a cell begins at a fine bin, shape `(n_slices, n_bins)`."""
    cvsb_merge: int


def cell_templates(
    plane: PlaneTemplates, binning: Binning = PUBLISHED_BINNING, *, like: PlaneTemplates | None = None
) -> CellTemplates:
    """Return a plane summed to cells.

    Args:
        plane: The templates to sum.
        binning: When a cell is full.
        like: The plane that decides the cells, where it is not `plane` itself (a systematic variation is
            summed in the cells of the nominal templates).

    Raises:
        ValueError: If the number of CvsB slices is no multiple of `binning.cvsb_merge`.
    """
    return sum_cells(plane, cell_layout(plane if like is None else like, binning))


def cell_layout(plane: PlaneTemplates, binning: Binning = PUBLISHED_BINNING) -> CellLayout:
    """Return the cells that the templates of a plane ask for.

    Bins left over at the right end of a slice join its last cell if it stays within `max_merge`, and are a
    cell of their own else.

    Raises:
        ValueError: If the number of CvsB slices is no multiple of `binning.cvsb_merge`.
    """
    n_slices = plane.data.shape[1]
    if binning.cvsb_merge < 1 or n_slices % binning.cvsb_merge:
        raise ValueError(
            f"cvsb_merge is {binning.cvsb_merge}: choose a divisor of the {n_slices} slices of CvsB"
        )
    merged = [_merge_slices(part, binning.cvsb_merge) for part in _fine_parts(plane)]
    return CellLayout(_cell_starts(merged, binning), binning.cvsb_merge)


def sum_cells(plane: PlaneTemplates, layout: CellLayout) -> CellTemplates:
    """Return a plane summed to the cells of a layout, the cell of the default scores last."""
    starts = np.flatnonzero(layout.is_start)
    n_slices, n_bins = layout.is_start.shape

    def summed(part: Floats, default: Floats) -> Floats:
        """Return `(n_cells, ...)` from `(..., n_cvsb, n_cvsl)` and `(...)`."""
        merged = _merge_slices(part, layout.cvsb_merge)
        flat = merged.reshape(*merged.shape[:-2], n_slices * n_bins)
        inside = np.moveaxis(np.add.reduceat(flat, starts, axis=-1), -1, 0)
        return np.concatenate([inside, default[np.newaxis]])

    same = plane.same_sign
    outside = np.array([DEFAULT_BOUNDS])
    stops = np.append(starts[1:], layout.is_start.size)
    cvsl = np.stack([plane.cvsl_edges[starts % n_bins], plane.cvsl_edges[(stops - 1) % n_bins + 1]], axis=1)
    cvsb_edges = plane.cvsb_edges[:: layout.cvsb_merge]
    cvsb = np.stack([cvsb_edges[starts // n_bins], cvsb_edges[starts // n_bins + 1]], axis=1)
    return CellTemplates(
        np.concatenate([cvsl, outside]),
        np.concatenate([cvsb, outside]),
        summed(plane.data, plane.default_data),
        summed(plane.data_variance, plane.default_data_variance),
        summed(plane.mc, plane.default_mc),
        summed(plane.mc_variance, plane.default_mc_variance),
        same
        and CellSameSign(
            summed(same.data, same.default_data),
            summed(same.mc, same.default_mc),
            summed(same.mc_variance, same.default_mc_variance),
        ),
    )


def _cell_starts(fine: Sequence[Floats], binning: Binning) -> NDArray[np.bool_]:
    """Return where cells begin in all slices at once, shape `(n_slices, n_bins)`."""
    n_slices, n_bins = fine[0].shape[-2:]
    # (n_bins + 1, ..., n_slices): sums up to each edge
    sums = [
        np.moveaxis(np.concatenate([np.zeros((*part.shape[:-1], 1)), part.cumsum(axis=-1)], axis=-1), -1, 0)
        for part in fine
    ]
    slices = np.arange(n_slices)
    is_start = np.zeros((n_slices, n_bins), dtype=bool)
    is_start[:, 0] = True
    start, previous = np.zeros(n_slices, dtype=np.intp), np.full(n_slices, -1)
    for stop in range(1, n_bins + 1):
        # (n_slices, ...): of each slice the sum from its own last start on
        parts = [np.moveaxis(part[stop], -1, 0) - part[start, ..., slices] for part in sums]
        error = relative_errors(*parts).max(axis=-1)
        is_full = (error <= binning.target_error) | (stop - start >= binning.max_merge)
        if stop < n_bins:
            is_start[is_full, stop] = True
            previous = np.where(is_full, start, previous)
            start = np.where(is_full, stop, start)
    joins = ~is_full & (previous >= 0) & (n_bins - previous <= binning.max_merge)
    is_start[slices[joins], start[joins]] = False
    return is_start


def relative_errors(data: Floats, data_variance: Floats, mc: Floats, mc_variance: Floats) -> Floats:
    """Return per selection the relative error of a target of the fit, before any scale factor.

    It is the error of the data minus the other flavours plus that of the signature template, each relative;
    infinite where either is 0. The signature flavour has the number of its selection.

    Args:
        data: Jets, shape `(..., n_selections)`.
        data_variance: Its variances.
        mc: Jets, shape `(..., n_selections, n_flavours)`.
        mc_variance: Its variances.

    Source:
        The published fit's merging rule, with the scale factors of the other flavours at 1.
    """
    signature = np.diagonal(mc, axis1=-2, axis2=-1)
    signature_variance = np.diagonal(mc_variance, axis1=-2, axis2=-1)
    target = data - (mc.sum(axis=-1) - signature)
    target_variance = data_variance + mc_variance.sum(axis=-1) - signature_variance
    return _ratio(np.sqrt(np.abs(target_variance)), np.abs(target)) + _ratio(
        np.sqrt(np.abs(signature_variance)), np.abs(signature)
    )


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.inf), where=denominator > 0)


def _fine_parts(plane: PlaneTemplates) -> list[Floats]:
    return [plane.data, plane.data_variance, plane.mc, plane.mc_variance]


def _merge_slices(part: Floats, n: int) -> Floats:
    # (..., n_cvsb, n_cvsl) -> (..., n_cvsb / n, n, n_cvsl), summed over the n
    shape = (*part.shape[:-2], part.shape[-2] // n, n, part.shape[-1])
    return np.asarray(part.reshape(shape).sum(axis=-2))
