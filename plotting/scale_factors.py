"""Scale factors in the plane (CvsL, CvsB) and their errors, as in the thesis's Figs. A.20 and A.21."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from datamc.scale_factors import ScaleFactors
from plotting.style import (
    FLAVOUR_LABELS,
    SIMULATION,
    EventLabel,
    checkpoint_label,
    draw_label,
    figure_style,
)

VALUE_RANGE = (0.5, 1.5)
ERROR_RANGE = (0.0, 0.5)
"""Ranges of the colours; what lies outside takes the colour of the end."""

ROWS = ("light", "c", "b")
"""Flavours from top to bottom. Source: thesis, Fig. A.20."""


def draw_scale_factors(scale_factors: ScaleFactors, *, label: EventLabel = SIMULATION) -> Figure:
    """Return a figure of scale factors (left) and their statistical errors (right), a row per flavour.

    Cells whose status is not `ok` are hatched: their factor is 1 by lack of knowledge. What the jets without
    scores get is written into each row.
    """
    with figure_style():
        figure = Figure(figsize=(11.5, 13.5), layout="constrained")
        panels = figure.subplots(3, 2, sharex=True, sharey=True)
        for row, flavour in zip(panels, ROWS, strict=True):
            column = scale_factors.flavours.index(flavour)
            name = FLAVOUR_LABELS.get(flavour, flavour)
            usable = scale_factors.status[:, column] == "ok"
            for axes, values, limits, colours, quantity in (
                (row[0], scale_factors.value, VALUE_RANGE, "RdBu_r", f"SF, {name}"),
                (row[1], scale_factors.error, ERROR_RANGE, "cividis", f"Stat. error, {name}"),
            ):
                cells = _draw_cells(
                    axes, scale_factors, values[:, column], usable, limits=limits, colours=colours
                )
                figure.colorbar(
                    cells, ax=axes, label=quantity, extend="both" if limits is VALUE_RANGE else "max"
                )
            row[0].set_ylabel("CvsB")
            _write_default(row[0], scale_factors, column)
        for axes in panels[-1]:
            axes.set_xlabel("CvsL")
        checkpoint = checkpoint_label(scale_factors.tagger, scale_factors.epoch, scale_factors.variant)
        draw_label(panels[0, 0], label._replace(right=checkpoint))
        draw_label(panels[0, 1], label)
    return figure


def _draw_cells(
    axes: Axes,
    scale_factors: ScaleFactors,
    values: NDArray[np.float64],
    usable: NDArray[np.bool_],
    *,
    limits: tuple[float, float],
    colours: str,
) -> PatchCollection:
    inside = ~scale_factors.is_default
    shown = inside & usable
    cells = PatchCollection(
        _rectangles(scale_factors, shown), cmap=colours, norm=Normalize(*limits), linewidth=0
    )
    cells.set_array(values[shown])
    axes.add_collection(cells)
    hatched = _rectangles(scale_factors, inside & ~usable)
    axes.add_collection(
        PatchCollection(hatched, facecolor="#eeeeee", edgecolor="#999999", hatch="xxxx", linewidth=0)
    )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(which="both", color="#666666")
    return cells


def _rectangles(scale_factors: ScaleFactors, chosen: NDArray[np.bool_]) -> list[Rectangle]:
    return [
        Rectangle((left, bottom), right - left, top - bottom)
        for (left, right), (bottom, top) in zip(
            scale_factors.cvsl[chosen], scale_factors.cvsb[chosen], strict=True
        )
    ]


def _write_default(axes: Axes, scale_factors: ScaleFactors, column: int) -> None:
    """Write what the jets without scores get: they have no place in the plane."""
    for cell in np.flatnonzero(scale_factors.is_default):
        status = str(scale_factors.status[cell, column])
        factor = f"{scale_factors.value[cell, column]:.2f} ± {scale_factors.error[cell, column]:.2f}"
        axes.annotate(
            f"default scores: {factor if status == 'ok' else status}",
            xy=(0.02, 0.97),
            xycoords="axes fraction",
            va="top",
            fontsize="small",
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 2},
        )
