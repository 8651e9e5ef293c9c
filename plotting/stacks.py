"""Data over stacked simulation, with the ratio below."""

from typing import Any, NamedTuple

import numpy as np
from hist.intervals import poisson_interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from datamc.templates import Templates
from plotting.style import (
    FLAVOUR_COLOURS,
    FLAVOUR_LABELS,
    SIMULATION,
    EventLabel,
    data_name,
    draw_label,
    draw_legend,
    entries_of,
    figure_style,
    in_legend,
)

Floats = NDArray[np.float64]

PROCESS_COLOURS = ("#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
"""Of processes, where simulation is not stacked by flavour. Source: M. A. Petroff, arXiv:2107.02270."""

RATIO_RANGE = (0.4, 1.6)
"""The ratio panel's range; what lies outside is marked by a triangle at its edge."""


class Ratio(NamedTuple):
    """Data over simulation, all of shape ``(n_bins,)``; NaN where simulation is not positive.

    `low` and `high` are the ends of the data's error bar divided by the simulation; `mc_error` is the
    relative statistical error of the simulation, drawn around one.
    """

    value: Floats
    low: Floats
    high: Floats
    mc_error: Floats


def data_interval(data: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of the error bars of data, each of shape ``(n_bins,)``.

    Counts (variance equal to content) get the central 68 % Poisson interval; anything else, such as OS-SS,
    gets content -+ sqrt(variance), since a difference of counts has no Poisson interval.

    Source:
        F. Garwood, Biometrika 28 (1936) 437.
    """
    data, variance = np.asarray(data, float), np.asarray(variance, float)
    if np.array_equal(data, variance) and (data >= 0).all():
        low, high = poisson_interval(data)
        return low, high
    error = np.sqrt(np.maximum(variance, 0.0))
    return data - error, data + error


def data_mc_ratio(templates: Templates) -> Ratio:
    """Return data / simulation with the errors of either kept apart."""
    total, variance = np.sum(templates.mc, axis=0), np.sum(templates.mc_variance, axis=0)
    divisor = np.where(total > 0, total, np.nan)
    low, high = data_interval(templates.data, templates.data_variance)
    return Ratio(
        templates.data / divisor, low / divisor, high / divisor, np.sqrt(np.maximum(variance, 0)) / divisor
    )


def draw_stack(
    templates: Templates,
    *,
    xlabel: str = "",
    title: str = "",
    label: EventLabel = SIMULATION,
    log: bool = False,
    systematic: Floats | None = None,
) -> Figure:
    """Return a figure with the stack (by flavour, or whatever the groups are), the data, and their ratio.

    Negative bins (OS-SS) are drawn downwards. On a logarithmic axis, what is not positive cannot be seen;
    simulation without any positive bin gets a linear one.

    Args:
        templates: What to draw, as it stands: `templates.factor` is written down, not applied.
        xlabel: The score or variable, with its unit.
        title: What the figure shows; several lines are fine.
        label: What stands above the axes.
        log: A logarithmic vertical axis.
        systematic: How far variations move the sum of simulation, down and up, both positive, shape
            ``(2, n_bins)``; drawn together with the statistical error, around that alone.
    """
    with figure_style():
        figure = Figure(figsize=(8, 7.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_simulation(upper, templates, systematic)
        _draw_data(upper, templates, name=data_name(simulated=label.simulated))
        _set_range(upper, templates, log=log)
        _draw_ratio(lower, templates, systematic)
        upper.set_xlim(templates.edges[0], templates.edges[-1])
        upper.set_ylabel("Jets / bin")
        lower.set_xlabel(xlabel)
        lower.set_ylabel("Data / MC", loc="center")
        factor = f"MC × {templates.factor:.3g} (Data / MC)" if templates.factor != 1 else ""
        draw_label(upper, label, title="\n".join(filter(None, (title, factor))))
        draw_legend(upper, entries_of([upper])[::-1], loc="upper right")
        figure.align_ylabels()
    return figure


def _draw_simulation(axes: Axes, templates: Templates, systematic: Floats | None) -> None:
    """Draw each group from the sum of those before it, so that a negative bin goes down."""
    below = np.zeros(len(templates.edges) - 1)
    for i, (group, values) in enumerate(zip(templates.groups, templates.mc, strict=True)):
        axes.stairs(
            below + values,
            templates.edges,
            baseline=below,
            fill=True,
            color=FLAVOUR_COLOURS.get(group, PROCESS_COLOURS[i % len(PROCESS_COLOURS)]),
            edgecolor="white",
            linewidth=0.3,
            label=in_legend(FLAVOUR_LABELS.get(group, group)),
        )
        below = below + values
    error = np.sqrt(np.maximum(np.sum(templates.mc_variance, axis=0), 0.0))
    if systematic is not None:
        down, up = np.hypot(systematic, error)
        axes.stairs(
            below + up, templates.edges, baseline=below - down, **_WIDE_BAND, label="MC stat. + syst."
        )
    axes.stairs(below + error, templates.edges, baseline=below - error, **_BAND, label="MC stat. unc.")


_WIDE_BAND: dict[str, Any] = {"fill": True, "facecolor": "#999999", "alpha": 0.35, "linewidth": 0}
_BAND: dict[str, Any] = {
    "fill": True,
    "facecolor": "none",
    "edgecolor": "#333333",
    "hatch": "//////",
    "linewidth": 0.0,
}


def _draw_data(axes: Axes, templates: Templates, *, name: str) -> None:
    low, high = data_interval(templates.data, templates.data_variance)
    # A bin that neither data nor simulation reach says nothing; an upper limit there would only be ink.
    seen = (templates.data != 0) | (np.sum(templates.mc, axis=0) != 0)
    _draw_points(axes, templates.edges, np.where(seen, templates.data, np.nan), low, high, name=name)


def _draw_points(
    axes: Axes, edges: Floats, values: Floats, low: Floats, high: Floats, *, name: str = ""
) -> None:
    centres = (edges[1:] + edges[:-1]) / 2
    errors = np.maximum([values - low, high - values], 0.0)
    axes.errorbar(
        centres, values, yerr=errors, fmt="o", color="black", markersize=3.5, linewidth=1, label=name
    )


def _draw_ratio(axes: Axes, templates: Templates, systematic: Floats | None) -> None:
    ratio = data_mc_ratio(templates)
    axes.axhline(1.0, color="#777777", linewidth=1)
    if systematic is not None:
        total = np.sum(templates.mc, axis=0)
        down, up = np.hypot(systematic / np.where(total > 0, total, np.nan), ratio.mc_error)
        axes.stairs(1 + up, templates.edges, baseline=1 - down, **_WIDE_BAND)
    axes.stairs(1 + ratio.mc_error, templates.edges, baseline=1 - ratio.mc_error, **_BAND)
    seen = np.where((templates.data != 0) | np.isfinite(ratio.value), ratio.value, np.nan)
    _draw_points(axes, templates.edges, seen, ratio.low, ratio.high)
    centres = (templates.edges[1:] + templates.edges[:-1]) / 2
    for outside, edge, marker in (
        (seen > RATIO_RANGE[1], RATIO_RANGE[1], "^"),
        (seen < RATIO_RANGE[0], RATIO_RANGE[0], "v"),
    ):
        # An empty line that may leave the axes would pull the whole layout to the figure's corner.
        if outside.any():
            axes.plot(centres[outside], np.full(outside.sum(), edge), marker, color="black", clip_on=False)
    axes.set_ylim(*RATIO_RANGE)


def _set_range(axes: Axes, templates: Templates, *, log: bool) -> None:
    """Leave room for the legend above, and show negative bins whole."""
    total = np.sum(templates.mc, axis=0)
    low, high = data_interval(templates.data, templates.data_variance)
    top = max(np.max(high, initial=0.0), np.max(total, initial=0.0), 1.0)
    positive = total[total > 0]
    if not (log and positive.size):
        bottom = min(np.min(low, initial=0.0), np.min(total, initial=0.0))
        axes.set_ylim(1.1 * bottom, 1.55 * top)
        axes.axhline(0.0, color="#777777", linewidth=0.6, zorder=0)
        return
    bottom = max(0.5 * positive.min(), 1e-4 * top)
    axes.set_yscale("log")
    axes.set_ylim(bottom, top * (top / bottom) ** 0.55)
