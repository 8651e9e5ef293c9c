"""The divergence of data from simulation over the epochs, in the manner of the thesis's Fig. A.22."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from datamc.divergence import DivergenceRow
from plotting.style import (
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
    score_label,
    selection_label,
    variant_label,
)


def draw_divergence(
    rows: Sequence[DivergenceRow],
    *,
    score: str,
    null: Sequence[DivergenceRow] = (),
    label: EventLabel = SIMULATION,
) -> Figure:
    """Return a figure with a panel per selection, in it a line per training (colour) and variant (dashes).

    The band of a line is the interval of the rows, as computed from the bootstrap; thin dots are what
    statistics alone give to the first variant. A selection without rows
    of this score has no panel; no rows at all give one empty panel. Rows that are not `ok` are not drawn.

    Args:
        rows: As `datamc.divergence` returns them, in any order, of any scores.
        score: Which score's rows are drawn.
        null: Rows of null data, simulated like the simulation; drawn for the first variant, their part from
            statistics replaced by that of the data.
        label: What stands above the axes.
    """
    rows = [row for row in rows if row.score == score and row.status == "ok"]
    selections = list(dict.fromkeys(row.selection for row in rows))
    taggers = in_order(row.tagger for row in rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    with figure_style():
        n_panels = max(len(selections), 1)
        figure = Figure(figsize=(1.5 + 5.2 * n_panels, 5.6), layout="constrained")
        panels = figure.subplots(1, n_panels, squeeze=False)[0]
        for axes, selection in zip(panels, selections, strict=False):
            chosen = [row for row in rows if row.selection == selection]
            for i, tagger in enumerate(taggers):
                _draw_training(
                    axes,
                    [row for row in chosen if row.tagger == tagger],
                    variants=variants,
                    colour=LINE_COLOURS[i % len(LINE_COLOURS)],
                )
                place = (selection, score, tagger, variants[0], "ok")
                _draw_null(
                    axes,
                    [r for r in null if (r.selection, r.score, r.tagger, r.variant, r.status) == place],
                    offsets={r.epoch: r.offset for r in chosen if (r.tagger, r.variant) == place[2:4]},
                    colour=LINE_COLOURS[i % len(LINE_COLOURS)],
                )
        for axes, selection in zip(panels, selections or [""], strict=True):
            _finish(axes, title=f"{selection_label(selection)}\n{score_label(score)}", label=label)
        panels[0].set_ylabel("KL(Data ‖ MC)  [nats]")
        _draw_legend(figure, panels[0], n_columns=min(max(len(taggers), 2), 4))
    return figure


def _draw_training(
    axes: Axes, rows: Sequence[DivergenceRow], *, variants: Sequence[str], colour: str
) -> None:
    for style, variant in enumerate(variants):
        _draw_line(axes, [row for row in rows if row.variant == variant], colour=colour, style=style)
    _draw_offset(axes, [row for row in rows if row.variant == variants[0]], colour=colour)


def _draw_line(axes: Axes, rows: Sequence[DivergenceRow], *, colour: str, style: int) -> None:
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row.epoch)
    epochs = np.array([row.epoch for row in rows])
    axes.plot(
        epochs,
        [row.kl for row in rows],
        color=colour,
        linestyle=LINE_STYLES[style % len(LINE_STYLES)],
        marker=MARKERS[style % len(MARKERS)],
        markersize=5,
        label=in_legend(f"{rows[0].tagger}, {variant_label(rows[0].variant)}"),
    )
    axes.fill_between(
        epochs, [row.low for row in rows], [row.high for row in rows], color=colour, alpha=0.13, linewidth=0
    )


def _draw_offset(axes: Axes, rows: Sequence[DivergenceRow], *, colour: str) -> None:
    rows = sorted(rows, key=lambda row: row.epoch)
    if rows:
        axes.plot(
            [row.epoch for row in rows],
            [row.offset for row in rows],
            color=colour,
            linestyle=(0, (1, 3)),
            linewidth=1.5,
            label=in_legend(f"{rows[0].tagger}, statistics alone ({variant_label(rows[0].variant)})"),
        )


def _draw_null(
    axes: Axes, rows: Sequence[DivergenceRow], *, offsets: Mapping[int, float], colour: str
) -> None:
    rows = sorted((row for row in rows if row.epoch in offsets), key=lambda row: row.epoch)
    if rows:
        axes.errorbar(
            [row.epoch for row in rows],
            [row.excess + offsets[row.epoch] for row in rows],
            yerr=np.maximum([[row.kl - row.low for row in rows], [row.high - row.kl for row in rows]], 0.0),
            color=colour,
            marker="D",
            markerfacecolor="none",
            markersize=5,
            linewidth=0.8,
            linestyle=(0, (6, 3)),
            label=in_legend(f"{rows[0].tagger}, null data"),
        )


def _finish(axes: Axes, *, title: str, label: EventLabel) -> None:
    _, top = axes.get_ylim()
    axes.set_ylim(0.0, 1.3 * top)
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    draw_label(axes, label, title=title)


def _draw_legend(figure: Figure, axes: Axes, *, n_columns: int) -> None:
    """Put one legend for all panels below them: it never covers a line."""
    draw_legend(figure, entries_of([axes]), loc="outside lower center", ncols=n_columns)
