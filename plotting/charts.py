"""Charts of studies whose numbers are already there: lines, dots with errors, matrices, surfaces."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from plotting.style import (
    LINE_COLOURS,
    LINE_STYLES,
    MARKERS,
    SIMULATION,
    EventLabel,
    draw_label,
    draw_legend,
    figure_style,
    in_legend,
    plain,
)

_MOST_ANNOTATED = 150
_TURNED_FROM = 8
"""More columns than this have their names written upwards."""


class Line(NamedTuple):
    """One line of a chart; `colour` and `dashes` are numbers, equal for what belongs together."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    errors: Sequence[float] | None = None
    colour: int = 0
    dashes: int = 0


class Dots(NamedTuple):
    """One row of dots: a number with its error, or nan, for every name of the chart."""

    name: str
    values: Sequence[float]
    errors: Sequence[float] | None = None


class Surface(NamedTuple):
    """Numbers over a plane: `values` has shape ``(n_y, n_x)``."""

    title: str
    x: Sequence[float]
    y: Sequence[float]
    values: NDArray[np.float64]


def draw_lines(
    lines: Sequence[Line],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: bool = False,
    level: float | None = None,
    whole_numbers: bool = False,
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return lines with markers and error bars.

    Args:
        lines: In the order of the legend.
        xlabel: Below the axis.
        ylabel: Beside the axis.
        title: Inside, at the top left.
        log: Logarithmic y.
        level: Where a thin horizontal line is drawn, such as 1 for ratios.
        whole_numbers: Ticks of x at whole numbers only, as for epochs.
        label: What stands above the axes.
    """
    with figure_style():
        figure = Figure(figsize=(7.6, 6.4 + 0.16 * len(lines)), layout="constrained")
        axes = figure.subplots()
        if level is not None:
            axes.axhline(level, color="#999999", linewidth=0.8, zorder=0)
        for line in lines:
            axes.errorbar(
                line.x,
                line.y,
                yerr=line.errors,
                color=LINE_COLOURS[line.colour % len(LINE_COLOURS)],
                linestyle=LINE_STYLES[line.dashes % len(LINE_STYLES)],
                marker=MARKERS[line.dashes % len(MARKERS)],
                markersize=5,
                capsize=0,
                label=in_legend(line.name),
            )
        if log:
            axes.set_yscale("log")
        if whole_numbers:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.set(xlabel=xlabel, ylabel=plain(ylabel))
        _leave_room_for_title(axes, title, log=log)
        draw_label(axes, label, title=plain(title))
        draw_legend(figure, loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def draw_dots(
    names: Sequence[str],
    dots: Sequence[Dots],
    *,
    xlabel: str,
    title: str = "",
    level: float | None = None,
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return a row for every name, from the top, with a dot of every kind in it.

    Args:
        names: What the rows are of, at the left.
        dots: The kinds, in the order of the legend.
        xlabel: Below the axis.
        title: Above the rows.
        level: Where a thin vertical line is drawn.
        label: What stands above the axes.
    """
    with figure_style():
        height = 2.4 + 0.3 * max(len(names), 4) + 0.2 * len(dots)
        figure = Figure(figsize=(9.0, height), layout="constrained")
        axes = figure.subplots()
        if level is not None:
            axes.axvline(level, color="#999999", linewidth=0.8, zorder=0)
        for number, kind in enumerate(dots):
            # Kinds share a row, each a little below the one before.
            shift = 0.6 * ((number + 0.5) / len(dots) - 0.5)
            axes.errorbar(
                kind.values,
                np.arange(len(names)) + shift,
                xerr=kind.errors,
                color=LINE_COLOURS[number % len(LINE_COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                linestyle="none",
                markersize=5,
                capsize=0,
                label=in_legend(kind.name),
            )
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize="x-small")
        axes.tick_params(axis="y", which="minor", left=False, right=False)
        for place in range(1, len(names)):
            axes.axhline(place - 0.5, color="#dddddd", linewidth=0.6, zorder=0)
        axes.set_xlabel(xlabel)
        draw_label(axes, label._replace(right=plain(title) or label.right))
        draw_legend(figure, loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def draw_matrix(
    values: NDArray[np.float64],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    colour_label: str,
    row_label: str = "",
    column_label: str = "",
    title: str = "",
    centred: bool = False,
    number_format: str = ".3f",
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return a matrix in colours; the numbers stand in it where they are few.

    Args:
        values: Shape ``(n_rows, n_columns)``; nan is left white.
        rows: At the left, from the top.
        columns: Below.
        colour_label: What the colours mean.
        row_label: What the rows are.
        column_label: What the columns are.
        title: Above.
        centred: Blue below and red above 0, as for correlations.
        number_format: Of the numbers in the cells.
        label: What stands above the axes.
    """
    annotated = values.size <= _MOST_ANNOTATED
    cell = (0.75, 0.5) if annotated else (0.24, 0.17)
    turned = len(columns) > _TURNED_FROM or max(map(len, columns), default=0) > 6
    with figure_style():
        size = 4.6 + cell[0] * len(columns), 3.2 + cell[1] * len(rows)
        figure = Figure(figsize=(max(size[0], 7.0), max(size[1], 4.0)), layout="constrained")
        axes = figure.subplots()
        mesh = axes.pcolormesh(
            values,
            cmap="RdBu_r" if centred else "viridis",
            norm=CenteredNorm() if centred else None,
            rasterized=True,
        )
        figure.colorbar(mesh, ax=axes, label=colour_label, aspect=40)
        if annotated:
            _write_numbers(axes, values, number_format, centred=centred)
        small = "xx-small" if not annotated else "x-small"
        rows, columns = ([plain(name) for name in names] for names in (rows, columns))
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90 if turned else 0, fontsize=small)
        axes.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=small)
        axes.tick_params(which="both", length=0)
        axes.invert_yaxis()
        axes.set(xlabel=column_label, ylabel=row_label)
        draw_label(axes, label._replace(right=plain(title) or label.right))
    return figure


def draw_surfaces(
    surfaces: Sequence[Surface],
    *,
    xlabel: str,
    ylabel: str,
    colour_label: str,
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return planes side by side in the same colours, with lines of equal height."""
    finite = [surface.values[np.isfinite(surface.values)] for surface in surfaces]
    together = np.concatenate(finite) if finite else np.array([0.0, 1.0])
    levels = np.linspace(together.min(), max(together.max(), together.min() + 1e-9), 16)
    with figure_style():
        n_columns = min(max(len(surfaces), 1), 3)
        n_rows = max(math.ceil(len(surfaces) / n_columns), 1)
        figure = Figure(figsize=(1.6 + 4.6 * n_columns, 4.8 * n_rows), layout="constrained")
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for axes, surface in zip(panels, surfaces, strict=False):
            filled = axes.contourf(surface.x, surface.y, surface.values, levels=levels, cmap="viridis")
            axes.contour(surface.x, surface.y, surface.values, levels=levels, colors="white", linewidths=0.4)
            axes.plot(0, 0, "o", color="white", markersize=5)
            axes.set(xlabel=xlabel, ylabel=ylabel)
            draw_label(axes, label._replace(right=plain(surface.title)))
        for axes in panels[len(surfaces) :]:
            axes.set_axis_off()
        if surfaces:
            figure.colorbar(filled, ax=list(panels), label=colour_label)
    return figure


def _write_numbers(axes: Axes, values: NDArray[np.float64], number_format: str, *, centred: bool) -> None:
    middle = (np.nanmin(values) + np.nanmax(values)) / 2 if np.isfinite(values).any() else 0.0
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            is_dark = not centred and value < middle
            colour = "white" if is_dark else "black"
            axes.text(
                column + 0.5, row + 0.5, format(value, number_format),
                ha="center", va="center", fontsize="x-small", color=colour,
            )  # fmt: skip


def _leave_room_for_title(axes: Axes, title: str, *, log: bool) -> None:
    if not title:
        return
    bottom, top = axes.get_ylim()
    share = 0.12 + 0.07 * title.count("\n")
    axes.set_ylim(bottom, top * (top / bottom) ** share if log else top + share * (top - bottom))
