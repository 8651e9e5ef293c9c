"""The published iteration for whole planes: their slices and the jets without scores, many planes at once."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.cells import PUBLISHED_BINNING, Binning, CellLayout, CellTemplates, cell_layout, sum_cells
from datamc.histograms import Floats
from datamc.iterative import DEFAULT_ITERATION, IterativeOptions, Slices, iterate, solution_of
from datamc.planes import PlaneTemplates
from datamc.scale_factors import ScaleFactors
from datamc.solve import CellSolution, scale_factors_of
from datamc.systematics import paired_shifts


class Convergence(NamedTuple):
    """How the iteration of one plane went, slice by slice; the last slice holds the default scores."""

    chi2: Floats
    """After every sweep, shape `(n_sweeps, n_slices)`; NaN once a slice is done."""
    best: NDArray[np.intp]
    """The sweep that was kept, from 0 on, shape `(n_slices,)`."""
    cvsb: Floats
    """Lower and upper bound of the slices, shape `(n_slices, 2)`."""


def iterate_planes(
    planes: Sequence[PlaneTemplates],
    *,
    variations: Sequence[Mapping[str, PlaneTemplates]] = (),
    binning: Binning = PUBLISHED_BINNING,
    options: IterativeOptions = DEFAULT_ITERATION,
) -> tuple[list[ScaleFactors], list[Convergence]]:
    """Return the scale factors of many checkpoints and variants by the published iteration.

    With `own_binning` the cells are the fine bins of the plane, of which each flavour merges its own: those
    share a factor. Else they are the common cells of `datamc.cells`, each fitted on its own.

    Args:
        planes: One per checkpoint and variant.
        variations: The shifted templates of each plane by name, the same names for all; or nothing.
        binning: When a merged bin is full.
        options: The constants of the iteration.
    """
    if not planes:
        return [], []
    layouts = [_layout(plane, binning, own=options.own_binning) for plane in planes]
    cells = [sum_cells(plane, layout) for plane, layout in zip(planes, layouts, strict=True)]
    stack = _Stack(
        tuple(len(each.data) for each in cells), planes[0].data.shape[-1] if options.own_binning else 1
    )
    slices = stack.slices(cells)
    iterated = iterate(slices, options, binning=binning)
    solution = stack.cells(solution_of(slices, iterated))
    is_measured = np.isin(solution.status, ("ok", "unconverged"))
    names = list(variations[0]) if variations else []
    shifts = []
    for name in names:
        shifted = stack.slices(
            [sum_cells(own[name], layout) for own, layout in zip(variations, layouts, strict=True)]
        )
        # From the nominal factors on: the way is short, and a slice that creeps does not add its own noise.
        varied = iterate(shifted, options, binning=binning, groups=iterated.group, start=iterated.value)
        value = stack.cells(solution_of(shifted, varied)).value
        shifts.append(np.where(is_measured, value - solution.value, 0.0))
    found, convergence = [], []
    for plane, own, place, rows in zip(planes, cells, stack.places, stack.rows, strict=True):
        systematics = paired_shifts(names, np.stack([each[place] for each in shifts])) if names else None
        found.append(
            scale_factors_of(plane, own, solution.part(place), engine="iterative", systematics=systematics)
        )
        bounds = np.unique(own.cvsb[:-1], axis=0) if options.own_binning else own.cvsb[:-1]
        convergence.append(
            Convergence(iterated.chi2[:, rows], iterated.best[rows], np.concatenate([bounds, own.cvsb[-1:]]))
        )
    return found, convergence


class _Stack(NamedTuple):
    """The cells of many planes as slices of `n_bins`; default scores fill the first bin of a slice."""

    n_cells: tuple[int, ...]
    """Of each plane, the cell of the default scores among them."""
    n_bins: int

    @property
    def places(self) -> list[slice]:
        """Where the cells of each plane are among all cells."""
        edges = np.cumsum([0, *self.n_cells])
        return [slice(first, last) for first, last in pairwise(edges.tolist())]

    @property
    def rows(self) -> list[slice]:
        """Where the slices of each plane are among all slices."""
        edges = np.cumsum([0, *((n - 1) // self.n_bins + 1 for n in self.n_cells)])
        return [slice(first, last) for first, last in pairwise(edges.tolist())]

    def slices(self, cells: Sequence[CellTemplates]) -> Slices:
        """Return the cells as slices."""
        columns = [
            np.concatenate([self._padded(part) for part in parts])
            for parts in zip(*(each[2:6] for each in cells), strict=True)
        ]
        return Slices(*columns)

    def _padded(self, part: Floats) -> Floats:
        missing = self.n_bins - 1
        padded = np.concatenate([part, np.zeros((missing, *part.shape[1:]))])
        # (n_slices * n_bins, ...) -> (n_slices, n_bins, ...) -> (n_slices, ..., n_bins)
        return np.moveaxis(padded.reshape(-1, self.n_bins, *part.shape[1:]), 1, -1)

    def cells(self, solution: CellSolution) -> CellSolution:
        """Return what was found in slices `(n_slices, n_bins)` as cells `(n_cells,)`."""
        is_cell = np.ones(solution.condition.shape, dtype=bool)
        for rows in self.rows:
            is_cell[rows.stop - 1, 1:] = False
        columns: Any = (column[is_cell] for column in solution)
        return CellSolution(*columns)


def _layout(plane: PlaneTemplates, binning: Binning, *, own: bool) -> CellLayout:
    layout = cell_layout(plane, binning)
    return layout._replace(is_start=np.ones_like(layout.is_start)) if own else layout
