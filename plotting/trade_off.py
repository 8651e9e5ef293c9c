"""Agreement with data against performance: one point per training and epoch, the picture that answers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datamc.divergence import DivergenceRow
from datamc.reference_curve import CurvePoint
from plotting.style import (
    LINE_COLOURS,
    MARKERS,
    SIMULATION,
    EventLabel,
    draw_label,
    draw_legend,
    entries_of,
    figure_style,
    in_legend,
    in_order,
    largest_fgsm,
    plain,
    score_label,
    selection_label,
    variant_label,
)
from plotting.tagging import AucRow

UNDISTORTED = "raw"


class TradeOff(NamedTuple):
    """One training in one selection: AUC and divergence beyond statistics, each of shape ``(n_epochs,)``."""

    tagger: str
    epochs: Sequence[int]
    auc: Sequence[float]
    auc_error: Sequence[float]
    excess: Sequence[float]
    down: Sequence[float]
    up: Sequence[float]


def trade_offs(
    rows: Sequence[DivergenceRow], areas: Sequence[AucRow], *, selection: str, score: str, variant: str
) -> list[TradeOff]:
    """Return per training the epochs that have both numbers, in order.

    Args:
        rows: Divergences; those of undistorted simulation count.
        areas: Areas under ROC curves.
        selection: Where data and simulation are compared.
        score: Of both numbers.
        variant: The inputs of the areas: undistorted, or attacked.
    """
    found = {
        (area.tagger, area.epoch): area
        for area in areas
        if (area.score, area.variant) == (score, variant) and np.isfinite(area.auc)
    }
    place = (selection, score, UNDISTORTED, "ok")
    chosen = sorted(
        (r for r in rows if (r.selection, r.score, r.variant, r.status) == place),
        key=lambda row: row.epoch,
    )
    lines = []
    for tagger in in_order(row.tagger for row in chosen):
        ours = [r for r in chosen if r.tagger == tagger and (tagger, r.epoch) in found]
        if ours:
            there = [found[tagger, row.epoch] for row in ours]
            lines.append(
                TradeOff(
                    tagger,
                    [row.epoch for row in ours],
                    [area.auc for area in there],
                    [area.error for area in there],
                    [row.excess for row in ours],
                    [row.kl - row.low for row in ours],
                    [row.high - row.kl for row in ours],
                )
            )
    return lines


def draw_trade_off(
    rows: Sequence[DivergenceRow],
    areas: Sequence[AucRow],
    *,
    score: str,
    curve: Sequence[CurvePoint] = (),
    null: Sequence[DivergenceRow] = (),
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return a figure with a panel per selection (across) and inputs of the AUC (down): raw, strongest FGSM.

    Epochs of a training are joined in order; the first and the last are named. Beside undistorted AUC, the
    reference with noise on its output (its last epoch) is a grey line: a training is worth something below.
    Open diamonds are null data, simulated like the simulation.
    """
    selections = list(dict.fromkeys(row.selection for row in rows if row.score == score))
    attack = largest_fgsm(list(dict.fromkeys(area.variant for area in areas)))
    variants = [UNDISTORTED, *([attack] if attack else [])]
    with figure_style():
        size = (1.0 + 5.6 * max(len(selections), 1), 0.8 + 4.6 * len(variants))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(variants), max(len(selections), 1), squeeze=False)
        for line, variant in zip(panels, variants, strict=True):
            for axes, selection in zip(line, selections, strict=False):
                found = trade_offs(rows, areas, selection=selection, score=score, variant=variant)
                _draw_panel(axes, found)
                chance = trade_offs(null, areas, selection=selection, score=score, variant=variant)
                _draw_null(axes, chance, order=[line.tagger for line in found])
                if variant == UNDISTORTED:
                    _draw_reference(axes, [p for p in curve if (p.selection, p.score) == (selection, score)])
                inputs = "undistorted" if variant == UNDISTORTED else f"under {variant_label(variant)}"
                axes.set_xlabel(f"AUC of {score_label(score)}, {plain(inputs)}")
                _leave_room(axes)
                draw_label(axes, label, title=selection_label(selection))
            line[0].set_ylabel("KL beyond statistics  [nats]")
        _draw_legend(figure, list(panels.flat))
    return figure


def _draw_panel(axes: Axes, lines: Sequence[TradeOff]) -> None:
    axes.axhline(0.0, color="#999999", linewidth=0.7, zorder=0)
    for i, line in enumerate(lines):
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        # Python floats may lie just outside of the band: an error bar is never negative.
        errors = np.maximum([line.down, line.up], 0.0)
        axes.errorbar(
            line.auc,
            line.excess,
            xerr=line.auc_error,
            yerr=errors,
            color=colour,
            marker=MARKERS[i % len(MARKERS)],
            markersize=5,
            linewidth=1,
            linestyle=":",
            elinewidth=0.6,
            label=in_legend(line.tagger),
        )
        for end in {0, len(line.epochs) - 1}:
            axes.annotate(
                str(line.epochs[end]),
                (line.auc[end], line.excess[end]),
                xytext=(5, 5),
                textcoords="offset points",
                color=colour,
                fontsize="x-small",
            )


def _draw_null(axes: Axes, lines: Sequence[TradeOff], *, order: Sequence[str]) -> None:
    for line in (each for each in lines if each.tagger in order):
        axes.errorbar(
            line.auc,
            line.excess,
            yerr=np.maximum([line.down, line.up], 0.0),
            color=LINE_COLOURS[order.index(line.tagger) % len(LINE_COLOURS)],
            marker="D",
            markerfacecolor="none",
            markersize=5,
            linestyle="none",
            elinewidth=0.6,
            label=in_legend(f"{line.tagger}, null data"),
        )


def last_reference(curve: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Return the curve in KL at the last epoch, by rising AUC."""
    last = max((point.epoch for point in curve), default=0)
    chosen = [point for point in curve if (point.epoch, point.measure) == (last, "kl")]
    return sorted(chosen, key=lambda point: point.auc)


def _draw_reference(axes: Axes, curve: Sequence[CurvePoint]) -> None:
    points = last_reference(curve)
    if points:
        axes.plot(
            [point.auc for point in points],
            [point.excess for point in points],
            color="#888888",
            linewidth=2,
            zorder=1,
            label=in_legend(f"{points[0].tagger} with noise on its output"),
        )


def _leave_room(axes: Axes) -> None:
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.2 * (top - bottom))


def _draw_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Name every training once, whichever panels it is in."""
    named = dict(entries_of(panels))
    draw_legend(figure, list(named.items()), loc="outside lower center", ncols=4)
