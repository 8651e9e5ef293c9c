"""Methods of training against performance: is a divergence below that of a trivial loss of performance?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datamc.method_tables import MethodRow, ReferencePoint, SeedRow
from plotting.methods_summary import MEASURE_NAMES, chosen_rows, measure_of, says_something
from plotting.style import (
    SIMULATION,
    EventLabel,
    draw_label,
    draw_legend,
    figure_style,
    plain,
    score_label,
    selection_label,
)
from plotting.summary import CLAIM

UNIT = 1e4


class Look(NamedTuple):
    """How a verdict is drawn: colours are told apart with all colour visions, and shapes without any."""

    colour: str
    marker: str
    text: str


REFERENCE = Look("#1a1d22", "D", "the reference")
BETTER = Look("#1f5fbf", "v", f"below the curve by {CLAIM:g} σ")
WORSE = Look("#c8431f", "^", f"above the curve by {CLAIM:g} σ")
NEITHER = Look("#6d737d", "o", "not told from the curve")


def look_of(row: MethodRow) -> Look:
    """Return how a method is drawn."""
    if row.method == row.reference:
        return REFERENCE
    if not says_something(row) or abs(row.significance) < CLAIM:
        return NEITHER
    return BETTER if row.significance > 0 else WORSE


def draw_methods(
    rows: Sequence[MethodRow],
    seeds: Sequence[SeedRow],
    curves: Sequence[ReferencePoint],
    *,
    scenario: str,
    score: str,
    measure: str,
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return AUC against divergence, one point per method and a panel per selection.

    The error of a point is that of its distance to the curve, which all events share; the band is what is not
    known of the curve itself. Faint points are seeds.
    """
    selections = _selections(rows, scenario, score, measure)
    with figure_style():
        figure = Figure(figsize=(8.2, 1.0 + 5.6 * max(len(selections), 1)), layout="constrained")
        panels = figure.subplots(max(len(selections), 1), 1, squeeze=False)[:, 0]
        for axes, selection in zip(panels, selections, strict=False):
            own = measure_of(selection, measure)
            place = {"scenario": scenario, "selection": selection, "score": score, "measure": own}
            here = chosen_rows(rows, **place)
            names = tuple(place.values())
            _draw_curves(axes, [point for point in curves if point[:4] == names])
            _draw_points(axes, here, [seed for seed in seeds if seed[:4] == names])
            axes.set_xlabel(f"AUC of {score_label(score)}")
            axes.set_ylabel(f"{MEASURE_NAMES.get(own, own)}\nbeyond statistics  [$10^{{-4}}$]")
            draw_label(axes, label, title=selection_label(selection))
    return figure


def _selections(rows: Sequence[MethodRow], scenario: str, score: str, measure: str) -> list[str]:
    place = scenario, score, measure
    return list(dict.fromkeys(r.selection for r in rows if (r.scenario, r.score, r.measure) == place))


def _draw_curves(axes: Axes, points: Sequence[ReferencePoint]) -> None:
    noise = sorted((p for p in points if p.kind == "noise"), key=lambda p: p.auc)
    early = sorted((p for p in points if p.kind == "early"), key=lambda p: p.auc)
    axes.axhline(0.0, color="#999999", linewidth=0.7, zorder=0)
    if noise:
        auc, excess, error = (
            np.array([getattr(p, name) for p in noise]) for name in ("auc", "excess", "error")
        )
        axes.fill_between(
            auc, UNIT * (excess - error), UNIT * (excess + error), color="#000000", alpha=0.07, lw=0
        )
        axes.plot(auc, UNIT * excess, color=REFERENCE.colour, linewidth=1.6, label="reference with noise")
    if len(early) > 1:
        axes.plot(
            [p.auc for p in early], [UNIT * p.excess for p in early],
            color=REFERENCE.colour, linewidth=1.2, linestyle=(0, (4, 2)), label="reference stopped early",
        )  # fmt: skip


def _draw_points(axes: Axes, rows: Sequence[MethodRow], seeds: Sequence[SeedRow]) -> None:
    looks = {row.method: look_of(row) for row in rows}
    for seed in seeds:
        look = looks[seed.method]
        axes.plot(
            seed.auc, UNIT * seed.excess, look.marker, color=look.colour, alpha=0.3, markersize=4, mew=0
        )
    for row in rows:
        look = looks[row.method]
        # the error of the ratio, taken at the curve: what points share is in the band
        share = row.ratio_curve_error / row.ratio_curve if row.ratio_curve > 0 else 0.0
        axes.errorbar(
            row.auc, UNIT * row.excess, xerr=row.auc_error, yerr=UNIT * row.excess * share,
            color=look.colour, marker=look.marker, markersize=7, elinewidth=1.2, linestyle="", zorder=3,
        )  # fmt: skip
    _frame(axes, rows, seeds)
    _name_points(axes, rows, looks)
    _draw_key(axes, looks)


def _frame(axes: Axes, rows: Sequence[MethodRow], seeds: Sequence[SeedRow]) -> None:
    """Show the methods, with room for their names at the right; the curve goes on beyond."""
    auc = [*(row.auc for row in rows), *(seed.auc for seed in seeds)]
    height = [UNIT * each for each in (*(row.excess for row in rows), *(seed.excess for seed in seeds))]
    width = max(max(auc) - min(auc), 1e-3)
    tall = max(max(height) - min(0.0, *height), 1e-9)
    axes.set_xlim(min(auc) - 0.15 * width, max(auc) + 0.75 * width)
    axes.set_ylim(min(0.0, *height) - 0.06 * tall, max(height) + 0.45 * tall)


def _name_points(axes: Axes, rows: Sequence[MethodRow], looks: dict[str, Look]) -> None:
    """Write the names in a column at the right, each with a line to its point."""
    bottom, top = axes.get_ylim()
    left, right = axes.get_xlim()
    ordered = sorted(rows, key=lambda row: row.excess)
    low, high = bottom + 0.03 * (top - bottom), top - 0.2 * (top - bottom)
    heights = spread_out(
        [UNIT * row.excess for row in ordered],
        least=min(0.048 * (top - bottom), (high - low) / max(len(ordered) - 1, 1)),
        low=low,
        high=high,
    )
    at = left + 0.70 * (right - left)
    for row, height in zip(ordered, heights, strict=True):
        look = looks[row.method]
        axes.annotate(
            plain(row.method), (row.auc, UNIT * row.excess), xytext=(at, height), textcoords="data",
            color=look.colour, fontsize="x-small", va="center", ha="left",
            arrowprops={"arrowstyle": "-", "color": look.colour, "alpha": 0.35, "linewidth": 0.7,
                        "shrinkA": 1, "shrinkB": 5},
        )  # fmt: skip


def spread_out(wanted: Sequence[float], *, least: float, low: float, high: float) -> list[float]:
    """Return rising heights close to the wanted ones, `least` apart, between `low` and `high` if they fit.

    Args:
        wanted: Rising heights.
        least: Distance of neighbours.
        low: Where the first may be.
        high: Where the last may be.
    """
    heights: list[float] = []
    for each in wanted:
        heights.append(max(each, heights[-1] + least if heights else low))
    limit = high
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], limit)
        limit = heights[i] - least
    return heights


def _draw_key(axes: Axes, looks: dict[str, Look]) -> None:
    for look in (REFERENCE, BETTER, WORSE, NEITHER):
        if look in looks.values():
            axes.plot([], [], look.marker, color=look.colour, label=look.text)
    draw_legend(axes, loc="upper right", fontsize="xx-small", frameon=False)


def draw_ratios(
    rows: Sequence[MethodRow],
    *,
    scenarios: Sequence[str],
    score: str,
    measure: str,
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return the ratio at equal AUC of each method with its error, a panel per selection; the lowest on top.

    Filled: the first scenario. Open: the others. Selections in which nothing can be said are left out.
    """
    telling = [
        row for row in rows
        if row.scenario in scenarios and says_something(row)
        and (row.score, row.measure) == (score, measure_of(row.selection, measure))
    ]  # fmt: skip
    everywhere = _selections(rows, scenarios[0], score, measure)
    selections = [each for each in everywhere if any(r.selection == each for r in telling)] or everywhere
    order = _order(telling or rows)
    n_methods = len(order)
    with figure_style():
        size = (2.6 + 4.2 * max(len(selections), 1), 2.2 + 0.42 * n_methods)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, max(len(selections), 1), squeeze=False, sharey=True)[0]
        for axes, selection in zip(panels, selections, strict=False):
            place = {"selection": selection, "score": score, "measure": measure_of(selection, measure)}
            for i, scenario in enumerate(scenarios):
                here = chosen_rows(rows, scenario=scenario, **place)
                _draw_ratios(axes, here, order, shift=-0.22 * i, filled=i == 0)
            axes.axvline(1.0, color="#1a1d22", linewidth=1)
            axes.set_xlabel("Over the reference at equal AUC", fontsize="small")
            axes.set_yticks(range(len(order)), [plain(name) for name in order], fontsize="x-small")
            axes.minorticks_off()
            axes.set_ylim(-0.8, len(order) + 0.9)
            draw_label(axes, label, title=selection_label(selection))
    return figure


def _order(rows: Sequence[MethodRow]) -> list[str]:
    """Return the methods by falling ratio, where the first of the rows was measured; then those without."""
    first = [row for row in rows if row[:2] == rows[0][:2]]
    told = [row.method for row in sorted(first, key=lambda row: -row.ratio_curve)]
    return list(dict.fromkeys([*told, *(row.method for row in rows)]))


def _draw_ratios(
    axes: Axes, rows: Sequence[MethodRow], order: Sequence[str], *, shift: float, filled: bool
) -> None:
    for row in rows:
        if not says_something(row) or row.method not in order:
            continue
        look = look_of(row)
        axes.errorbar(
            row.ratio_curve, order.index(row.method) + shift, xerr=row.ratio_curve_error,
            color=look.colour, marker=look.marker, markersize=7 if filled else 5, linestyle="",
            markerfacecolor=look.colour if filled else "white", elinewidth=1.2 if filled else 0.8,
        )  # fmt: skip
