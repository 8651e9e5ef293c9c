"""Distributions over each other, with their ratio below."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plotting.style import (
    LINE_COLOURS,
    LINE_STYLES,
    SIMULATION,
    EventLabel,
    draw_label,
    draw_legend,
    entries_of,
    figure_style,
    in_legend,
    plain,
)


class Shape(NamedTuple):
    """One distribution: numbers per bin, and its ratio to the first of its panel where it is to be shown.

    All arrays have shape ``(n_bins,)``.
    """

    name: str
    counts: NDArray[np.float64]
    ratio: NDArray[np.float64] | None = None
    ratio_error: NDArray[np.float64] | None = None
    colour: int = 0
    dashes: int = 0


class ShapePanel(NamedTuple):
    """Distributions drawn over each other; `edges` has shape ``(n_bins + 1,)``."""

    title: str
    edges: NDArray[np.float64]
    shapes: Sequence[Shape]


def draw_shapes(
    panels: Sequence[ShapePanel],
    *,
    xlabel: str,
    ylabel: str = "Jets, normalised",
    normalised: bool = True,
    log: bool = False,
    n_columns: int | None = None,
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return panels of distributions, with their ratios below where shapes have any.

    Args:
        panels: From the left.
        xlabel: Below every panel.
        ylabel: Beside the first panel of a row.
        normalised: Every distribution is divided by its sum and the width of its bins.
        log: Logarithmic y.
        n_columns: Panels in a row; None for all. Panels with ratios all stand in one row.
        label: What stands above the panels.
    """
    has_ratios = any(shape.ratio is not None for panel in panels for shape in panel.shapes)
    columns = len(panels) if has_ratios or n_columns is None else min(n_columns, len(panels))
    columns = max(columns, 1)
    rows = -(-max(len(panels), 1) // columns)
    with figure_style(font_size=13.0):
        size = 1.0 + 4.4 * columns, (6.0 if has_ratios else 4.4 * rows) + 0.8
        figure = Figure(figsize=(max(size[0], 6.4), size[1]), layout="constrained")
        if has_ratios:
            upper, lower = figure.subplots(2, columns, squeeze=False, sharex="col", height_ratios=[2.4, 1.0])
            places = list(zip(upper.ravel(), lower.ravel(), strict=True))
        else:
            places = [(axes, None) for axes in figure.subplots(rows, columns, squeeze=False).ravel()]
        for (axes, below), panel in zip(places, panels, strict=False):
            _draw_panel(axes, panel, normalised=normalised, log=log)
            draw_label(axes, label._replace(right=plain(panel.title)))
            if below is not None:
                _draw_ratios(below, panel)
            (below or axes).set_xlabel(plain(xlabel))
        for axes, _ in places[len(panels) :]:
            axes.set_axis_off()
        places[0][0].set_ylabel(ylabel)
        entries = entries_of([places[0][0]])
        columns = min(len(entries), 4)
        draw_legend(figure, entries, loc="outside lower center", ncols=columns, fontsize="x-small")
    return figure


def _draw_panel(axes: Axes, panel: ShapePanel, *, normalised: bool, log: bool) -> None:
    widths = np.diff(panel.edges)
    for shape in panel.shapes:
        total = shape.counts.sum()
        heights = shape.counts / (total * widths) if normalised and total > 0 else shape.counts
        axes.stairs(
            heights,
            panel.edges,
            color=LINE_COLOURS[shape.colour % len(LINE_COLOURS)],
            linestyle=LINE_STYLES[shape.dashes % len(LINE_STYLES)],
            linewidth=1.4,
            label=in_legend(shape.name),
        )
    if log and any((shape.counts > 0).any() for shape in panel.shapes):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlim(panel.edges[0], panel.edges[-1])


def _draw_ratios(axes: Axes, panel: ShapePanel) -> None:
    centres = (panel.edges[1:] + panel.edges[:-1]) / 2
    axes.axhline(1.0, color="#999999", linewidth=0.8)
    for shape in panel.shapes:
        if shape.ratio is not None:
            axes.errorbar(
                centres,
                shape.ratio,
                yerr=shape.ratio_error,
                color=LINE_COLOURS[shape.colour % len(LINE_COLOURS)],
                marker="o",
                markersize=2.5,
                linestyle="none",
                linewidth=0.8,
                capsize=0,
            )
    axes.set_ylim(0.0, 2.0)
    axes.set_ylabel("Distorted / raw")
