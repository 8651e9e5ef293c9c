"""Cells of the plane (CvsL, CvsB): how fine bins are merged until a scale factor can be measured in each.

One binning serves the three flavours of a CvsB slice, since the fit solves them together.
"""

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


class CellTemplates(NamedTuple):
    """Data and simulation per cell; the last cell holds the default scores."""

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
    n_slices = plane.data.shape[1]
    if binning.cvsb_merge < 1 or n_slices % binning.cvsb_merge:
        raise ValueError(
            f"cvsb_merge is {binning.cvsb_merge}: choose a divisor of the {n_slices} slices of CvsB"
        )
    merged = _merge_slices(plane, binning.cvsb_merge)
    guide = merged if like is None else _merge_slices(like, binning.cvsb_merge)
    bounds, sums = [], []
    for i in range(merged.data.shape[1]):
        starts = cell_starts(_slice(guide, i), binning)
        edges = np.append(starts, merged.data.shape[2])
        cvsl = np.stack([merged.cvsl_edges[edges[:-1]], merged.cvsl_edges[edges[1:]]], axis=1)
        cvsb = np.broadcast_to(merged.cvsb_edges[i : i + 2], cvsl.shape)
        bounds.append((cvsl, cvsb))
        sums.append([np.add.reduceat(part, starts, axis=-1) for part in _slice(merged, i)])
    default = [
        merged.default_data,
        merged.default_data_variance,
        merged.default_mc,
        merged.default_mc_variance,
    ]
    parts = [
        np.concatenate([*(np.moveaxis(slice_sums[k], -1, 0) for slice_sums in sums), last[np.newaxis]])
        for k, last in enumerate(default)
    ]
    outside = np.array([DEFAULT_BOUNDS])
    return CellTemplates(
        np.concatenate([*(cvsl for cvsl, _ in bounds), outside]),
        np.concatenate([*(cvsb for _, cvsb in bounds), outside]),
        *parts,
    )


class SliceTemplates(NamedTuple):
    """One CvsB slice of a plane: data `(n_selections, n_bins)`, simulation with `n_flavours` between."""

    data: Floats
    data_variance: Floats
    mc: Floats
    mc_variance: Floats


def cell_starts(fine: SliceTemplates, binning: Binning) -> NDArray[np.intp]:
    """Return the fine bin each cell of a slice starts at, shape `(n_cells,)`.

    Bins left over at the right end join the last cell if it stays within `max_merge`, and are a cell of their
    own else.
    """
    n_bins = fine.data.shape[-1]
    sums = [np.concatenate([np.zeros((*part.shape[:-1], 1)), part.cumsum(axis=-1)], axis=-1) for part in fine]
    starts, is_full = [0], False
    for stop in range(1, n_bins + 1):
        start = starts[-1]
        data, data_variance, mc, mc_variance = (part[..., stop] - part[..., start] for part in sums)
        error = relative_errors(data, data_variance, mc, mc_variance).max()
        is_full = error <= binning.target_error or stop - start >= binning.max_merge
        if is_full and stop < n_bins:
            starts.append(stop)
    if not is_full and len(starts) > 1 and n_bins - starts[-2] <= binning.max_merge:
        starts.pop()
    return np.array(starts, dtype=np.intp)


def relative_errors(data: Floats, data_variance: Floats, mc: Floats, mc_variance: Floats) -> Floats:
    """Return per selection the relative error of a target of the fit, before any scale factor.

    It is the error of the data minus the other flavours plus that of the signature template, each relative;
    infinite where either is 0. The signature flavour has the number of its selection.

    Args:
        data: Jets, shape `(n_selections,)`.
        data_variance: Its variances.
        mc: Jets, shape `(n_selections, n_flavours)`.
        mc_variance: Its variances.

    Source:
        The published fit's merging rule, with the scale factors of the other flavours at 1.
    """
    signature, signature_variance = mc.diagonal(), mc_variance.diagonal()
    target = data - (mc.sum(axis=-1) - signature)
    target_variance = data_variance + mc_variance.sum(axis=-1) - signature_variance
    return _ratio(np.sqrt(np.abs(target_variance)), np.abs(target)) + _ratio(
        np.sqrt(np.abs(signature_variance)), np.abs(signature)
    )


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.inf), where=denominator > 0)


def _merge_slices(plane: PlaneTemplates, n: int) -> PlaneTemplates:
    def merged(part: Floats) -> Floats:
        # (..., n_cvsb, n_cvsl) -> (..., n_cvsb / n, n, n_cvsl), summed over the n
        shape = (*part.shape[:-2], part.shape[-2] // n, n, part.shape[-1])
        return np.asarray(part.reshape(shape).sum(axis=-2))

    return plane._replace(
        cvsb_edges=plane.cvsb_edges[::n],
        data=merged(plane.data),
        data_variance=merged(plane.data_variance),
        mc=merged(plane.mc),
        mc_variance=merged(plane.mc_variance),
    )


def _slice(plane: PlaneTemplates, i: int) -> SliceTemplates:
    parts = (plane.data, plane.data_variance, plane.mc, plane.mc_variance)
    return SliceTemplates(*(part[..., i, :] for part in parts))
