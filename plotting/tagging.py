"""How well a tagger tells flavours apart: ROC curves, and the area under them over the epochs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes
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
    in_order,
    plain,
    score_label,
    variant_label,
)

WORKING_POINTS = {"loose": 0.1, "medium": 0.01, "tight": 0.001}
"""The mistag rate that defines each working point. Source: the convention of CMS b tagging."""


class TaggedRow(Protocol):
    """What every row of an evaluation says first; `training.evaluate` makes such rows."""

    @property
    def tagger(self) -> str:
        """The training's name."""

    @property
    def epoch(self) -> int:
        """The checkpoint."""

    @property
    def variant(self) -> str:
        """What was done to the inputs: "raw", "noise:0.1", "fgsm:0.1"."""

    @property
    def score(self) -> str:
        """An output (against all other flavours) or a discriminator."""


class AucRow(TaggedRow, Protocol):
    """One area under a ROC curve."""

    @property
    def auc(self) -> float:
        """The area: 0.5 for a coin, NaN where a class has no jets."""

    @property
    def error(self) -> float:
        """Its statistical error."""

    @property
    def n_signal(self) -> int:
        """Jets of the flavour that the score looks for."""

    @property
    def n_background(self) -> int:
        """Jets of the flavours that it tells it from."""


class AucDifferenceRow(Protocol):
    """The area of one training minus that of another on the same jets, with the error that follows."""

    @property
    def tagger(self) -> str:
        """The training whose area counts."""

    @property
    def epoch(self) -> int:
        """Its checkpoint."""

    @property
    def reference(self) -> str:
        """The training whose area is taken away."""

    @property
    def reference_epoch(self) -> int:
        """Its checkpoint."""

    @property
    def variant(self) -> str:
        """What was done to the inputs."""

    @property
    def score(self) -> str:
        """An output or a discriminator."""

    @property
    def difference(self) -> float:
        """The difference."""

    @property
    def error(self) -> float:
        """Its statistical error."""


class RocRow(TaggedRow, Protocol):
    """One point of a ROC curve."""

    @property
    def efficiency(self) -> float:
        """The share of signal jets above the threshold."""

    @property
    def mistag(self) -> float:
        """The share of background jets above the threshold."""


class RocCurve(NamedTuple):
    """Signal efficiency against mistag rate, both of shape ``(n_points,)``, the mistag rate rising."""

    tagger: str
    epoch: int
    variant: str
    score: str
    efficiency: NDArray[np.float64]
    mistag: NDArray[np.float64]

    def efficiency_at(self, mistag: float) -> float:
        """Return the signal efficiency at a mistag rate, linear between the points."""
        return float(np.interp(mistag, self.mistag, self.efficiency))


def roc_curves_of(rows: Iterable[RocRow]) -> list[RocCurve]:
    """Return the points gathered into curves, each in the order of rising mistag rate."""
    points: dict[tuple[str, int, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        points.setdefault((row.tagger, row.epoch, row.variant, row.score), []).append(
            (row.mistag, row.efficiency)
        )
    curves = []
    for (tagger, epoch, variant, score), pairs in points.items():
        mistag, efficiency = np.array(sorted(pairs)).T
        curves.append(RocCurve(tagger, epoch, variant, score, efficiency, mistag))
    return curves


class RocLine(NamedTuple):
    """A curve as it is drawn; `colour` and `dashes` are numbers, equal for what belongs together."""

    name: str
    curve: RocCurve
    colour: int = 0
    dashes: int = 0


def draw_roc(curves: Sequence[RocCurve], *, title: str = "", label: EventLabel = SIMULATION) -> Figure:
    """Return the curves in one panel: mistag rate (logarithmic) over signal efficiency.

    Training sets the colour, variant the dashes; dots mark the working points.
    """
    trainings = in_order(curve.tagger for curve in curves)
    curves = sorted(curves, key=lambda curve: trainings.index(curve.tagger))
    colours = list(dict.fromkeys((curve.tagger, curve.score) for curve in curves))
    variants = list(dict.fromkeys(curve.variant for curve in curves))
    lines = [
        RocLine(
            ", ".join(
                (
                    curve.tagger,
                    # A tagger read from the files has no epochs.
                    *([f"epoch {curve.epoch}"] if curve.epoch else []),
                    score_label(curve.score),
                    variant_label(curve.variant),
                )
            ),
            curve,
            colours.index((curve.tagger, curve.score)),
            variants.index(curve.variant),
        )
        for curve in curves
    ]
    return draw_roc_lines(lines, title=title, label=label)


def draw_roc_lines(lines: Sequence[RocLine], *, title: str = "", label: EventLabel = SIMULATION) -> Figure:
    """Return named curves in one panel, with the working points: mistag rate over signal efficiency."""
    with figure_style():
        figure = Figure(figsize=(7.6, 7.0 + 0.13 * len(lines)), layout="constrained")
        axes = figure.subplots()
        for name, mistag in WORKING_POINTS.items():
            axes.axhline(mistag, color="#999999", linewidth=0.7, zorder=0)
            axes.text(
                0.99,
                mistag,
                f"{name} ({100 * mistag:g} %)",
                ha="right",
                va="bottom",
                fontsize="x-small",
                color="#555555",
            )
        for line in lines:
            _draw_curve(axes, line)
        axes.set(xlim=(0, 1), ylim=(1e-4, 1), yscale="log", xlabel="Signal efficiency", ylabel="Mistag rate")
        draw_label(axes, label, title=plain(title))
        draw_legend(figure, loc="outside lower center", ncols=2, fontsize="x-small")
    return figure


def _draw_curve(axes: Axes, line: RocLine) -> None:
    curve, colour = line.curve, LINE_COLOURS[line.colour % len(LINE_COLOURS)]
    seen = curve.mistag > 0
    style = LINE_STYLES[line.dashes % len(LINE_STYLES)]
    axes.plot(
        curve.efficiency[seen], curve.mistag[seen], color=colour, linestyle=style, label=in_legend(line.name)
    )
    points = list(WORKING_POINTS.values())
    efficiencies = [curve.efficiency_at(point) for point in points]
    axes.plot(efficiencies, points, "o", color=colour, markersize=5)


def draw_auc(rows: Sequence[AucRow], *, score: str, label: EventLabel = SIMULATION) -> Figure:
    """Return the area under the curve of one score over the epochs: training by colour, variant by dashes."""
    rows = [row for row in rows if row.score == score]
    taggers = in_order(row.tagger for row in rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    with figure_style():
        figure = Figure(figsize=(7.6, 6.6), layout="constrained")
        axes = figure.subplots()
        for i, tagger in enumerate(taggers):
            for j, variant in enumerate(variants):
                line = sorted(
                    (row for row in rows if (row.tagger, row.variant) == (tagger, variant)),
                    key=lambda row: row.epoch,
                )
                axes.plot(
                    [row.epoch for row in line],
                    [row.auc for row in line],
                    color=LINE_COLOURS[i % len(LINE_COLOURS)],
                    linestyle=LINE_STYLES[j % len(LINE_STYLES)],
                    marker=MARKERS[j % len(MARKERS)],
                    markersize=5,
                    label=in_legend(f"{tagger}, {variant_label(variant)}"),
                )
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + 0.2 * (top - bottom))
        axes.set(xlabel="Epoch", ylabel="AUC")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        draw_label(axes, label, title=score_label(score))
        draw_legend(figure, loc="outside lower center", ncols=2, fontsize="x-small")
    return figure
