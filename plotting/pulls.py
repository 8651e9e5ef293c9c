"""Whether errors can be trusted: pulls of toys and of two files; and how the iteration converges."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from scipy import stats

from datamc.comparison import ComparisonRow
from datamc.histograms import Floats
from datamc.iterative_planes import Convergence
from datamc.planes import FIT_FLAVOURS
from datamc.toys import Toys, toy_rows
from plotting.style import (
    FLAVOUR_COLOURS,
    FLAVOUR_LABELS,
    SIMULATION,
    EventLabel,
    draw_label,
    draw_legend,
    figure_style,
    plain,
)

PULL_RANGE = (-4.0, 4.0)
_BINS = 32


def draw_pulls(toys: Sequence[Toys]) -> Figure:
    """Return a figure of the pulls of every engine (row) and flavour (column) over a normal distribution."""
    with figure_style():
        figure = Figure(figsize=(14, 1.2 + 4 * len(toys)), layout="constrained")
        panels = figure.subplots(len(toys), len(FIT_FLAVOURS), squeeze=False, sharex=True)
        for row, thrown in zip(panels, toys, strict=True):
            for axes, flavour, numbers, pull in zip(
                row, FIT_FLAVOURS, toy_rows(thrown), thrown.pull.T, strict=True
            ):
                text = (
                    f"mean {numbers.pull_mean:.3f} ± {numbers.pull_mean_error:.3f}\n"
                    f"width {numbers.pull_width:.3f} ± {numbers.pull_width_error:.3f}"
                )
                _draw_distribution(axes, pull, text=text, colour=FLAVOUR_COLOURS[flavour])
                label = EventLabel(simulated=False, status="Pseudo-experiments", right=thrown.engine)
                draw_label(axes, label, title=FLAVOUR_LABELS[flavour])
            row[0].set_ylabel("Toys / bin")
        for axes in panels[-1]:
            axes.set_xlabel("(SF − true SF) / error")
    return figure


def _draw_distribution(axes: Axes, pull: Floats, *, text: str, colour: str) -> None:
    known = pull[np.isfinite(pull)]
    counts, edges = np.histogram(known, bins=_BINS, range=PULL_RANGE)
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.55)
    axes.stairs(counts, edges, color=colour, linewidth=1.2)
    x = np.linspace(*PULL_RANGE, 200)
    axes.plot(x, len(known) * (edges[1] - edges[0]) * stats.norm.pdf(x), color="#222222", linewidth=1.2)
    axes.set_ylim(0, 1.5 * max(counts.max(initial=0), 1))
    axes.text(0.96, 0.95, text, transform=axes.transAxes, va="top", ha="right", fontsize="small")


def draw_comparison(rows: Sequence[ComparisonRow], *, names: tuple[str, str]) -> Figure:
    """Return a figure of both files' factors and their pulls in the plane, a row per flavour."""
    with figure_style():
        figure = Figure(figsize=(16, 13.5), layout="constrained")
        panels = figure.subplots(len(FIT_FLAVOURS), 3, sharex=True, sharey=True)
        for row, flavour in zip(panels, FIT_FLAVOURS, strict=True):
            inside = [each for each in rows if each.flavour == flavour and each.cvsl_low >= 0]
            for axes, values, (centre, reach), name in (
                (row[0], [each.first for each in inside], (1.0, 0.5), names[0]),
                (row[1], [each.second for each in inside], (1.0, 0.5), names[1]),
                (row[2], [each.pull for each in inside], (0.0, 4.0), "pull of the difference"),
            ):
                _draw_grid(figure, axes, inside, values, centre=centre, reach=reach)
                axes.set_title(f"{plain(name)}\n{FLAVOUR_LABELS[flavour]}", fontsize="small")
            row[0].set_ylabel("CvsB")
        for axes in panels[-1]:
            axes.set_xlabel("CvsL")
    return figure


def _draw_grid(
    figure: Figure,
    axes: Axes,
    rows: Sequence[ComparisonRow],
    values: Sequence[float],
    *,
    centre: float,
    reach: float,
) -> None:
    x = np.unique([[row.cvsl_low, row.cvsl_high] for row in rows])
    y = np.unique([[row.cvsb_low, row.cvsb_high] for row in rows])
    # rows go through CvsB first: (n_x, n_y) -> (n_y, n_x)
    grid = np.reshape(np.asarray(values, dtype=np.float64), (len(x) - 1, len(y) - 1)).T
    norm = TwoSlopeNorm(centre, centre - reach, centre + reach)
    mesh = axes.pcolormesh(x, y, grid, cmap="RdBu_r", norm=norm, rasterized=True)
    figure.colorbar(mesh, ax=axes, extend="both")


def draw_convergence(convergence: Convergence, *, title: str = "", label: EventLabel = SIMULATION) -> Figure:
    """Return a figure of the iteration's chi2 over the sweeps, a line per slice; dots are what was kept."""
    with figure_style():
        figure = Figure(figsize=(9, 6.5), layout="constrained")
        axes = figure.subplots()
        n_slices = len(convergence.best) - 1
        colours = ["#222222", *(_shade(i, n_slices) for i in range(n_slices))]
        order = [n_slices, *range(n_slices)]
        for colour, i in zip(colours, order, strict=True):
            chi2 = convergence.chi2[:, i]
            low, high = convergence.cvsb[i]
            name = "default scores" if high <= 0 else f"CvsB {low:.2g}–{high:.2g}"
            sweeps = np.arange(1, len(chi2) + 1)
            axes.plot(sweeps, chi2, color=colour, linewidth=1.2, label=name)
            axes.plot(convergence.best[i] + 1, chi2[convergence.best[i]], "o", color=colour, markersize=4)
        seen = convergence.chi2[convergence.chi2 > 0]
        if seen.size:
            axes.set_yscale("log")
            axes.set_ylim(0.7 * seen.min(), seen.max() * (seen.max() / seen.min()) ** 0.3 * 1.5)
        axes.set_xlabel("Sweep")
        axes.set_ylabel("χ² of all fine bins")
        draw_label(axes, label, title=plain(title))
        draw_legend(figure, loc="outside right upper", fontsize="small")
    return figure


def _shade(i: int, n: int) -> tuple[float, float, float]:
    """Return the colour of slice i of n: dark blue to light orange."""
    share = i / max(n - 1, 1)
    return (0.15 + 0.8 * share, 0.3 + 0.35 * share, 0.75 - 0.6 * share)
