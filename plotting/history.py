"""How far scale factors are from 1 over a training: the agreement that matters to an analysis."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from datamc.history import HistoryRow
from plotting.style import (
    FLAVOUR_LABELS,
    LINE_COLOURS,
    LINE_STYLES,
    MARKERS,
    SIMULATION,
    EventLabel,
    draw_label,
    draw_legend,
    entries_of,
    figure_style,
    in_legend,
    in_order,
    variant_label,
)

COLUMNS = ("c", "b", "light", "all")


def draw_history(rows: Sequence[HistoryRow], *, label: EventLabel = SIMULATION) -> Figure:
    """Return a figure of the mean |SF - 1| (above) and the measured cells (below) against the epoch.

    A column per flavour and one for all; a line per training (colour) and variant (dashes). Error bars are
    statistical; dots are what statistics alone would give to the first variant if all factors were 1.
    """
    taggers = in_order(row.tagger for row in rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    with figure_style():
        figure = Figure(figsize=(18, 9), layout="constrained")
        panels = figure.subplots(2, len(COLUMNS), sharex=True, height_ratios=(2.2, 1))
        for column, flavour in enumerate(COLUMNS):
            upper, lower = panels[0, column], panels[1, column]
            for i, tagger in enumerate(taggers):
                for style, variant in enumerate(variants):
                    point = (flavour, tagger, variant)
                    chosen = [row for row in rows if (row.flavour, row.tagger, row.variant) == point]
                    _draw_line(upper, lower, chosen, colour=LINE_COLOURS[i % len(LINE_COLOURS)], style=style)
            title = "all flavours" if flavour == "all" else FLAVOUR_LABELS.get(flavour, flavour)
            upper.set_ylim(0.0, 1.25 * upper.get_ylim()[1])
            lower.set_ylim(0.0, 1.3 * max(lower.get_ylim()[1], 1.0))
            lower.set_xlabel("Epoch")
            lower.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            draw_label(upper, label if column == 0 else EventLabel(simulated=label.simulated), title=title)
        panels[0, 0].set_ylabel("mean |SF − 1|")
        panels[1, 0].set_ylabel("cells measured")
        draw_legend(figure, entries_of([panels[0, 0]]), loc="outside lower center", ncols=4)
    return figure


def _draw_line(upper: Axes, lower: Axes, rows: Sequence[HistoryRow], *, colour: str, style: int) -> None:
    rows = sorted((row for row in rows if np.isfinite(row.mean_deviation)), key=lambda row: row.epoch)
    if not rows:
        return
    epochs = [row.epoch for row in rows]
    look: dict[str, Any] = {
        "color": colour,
        "linestyle": LINE_STYLES[style % len(LINE_STYLES)],
        "markersize": 5,
    }
    look["marker"] = MARKERS[style % len(MARKERS)]
    name = in_legend(f"{rows[0].tagger}, {variant_label(rows[0].variant)}")
    upper.errorbar(
        epochs, [row.mean_deviation for row in rows], yerr=[row.error for row in rows], label=name, **look
    )
    if style == 0:
        upper.plot(
            epochs,
            [row.expected for row in rows],
            linestyle=(0, (1, 3)),
            color=colour,
            label=in_legend(f"{rows[0].tagger}, statistics alone ({variant_label(rows[0].variant)})"),
        )
    lower.plot(epochs, [row.n_ok for row in rows], **look)
