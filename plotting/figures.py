"""The standard set of figures of a production, as files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from matplotlib.figure import Figure

from datamc.divergence import DivergenceRow
from datamc.histograms import scores_of
from datamc.history import history_rows
from datamc.normalisation import View, view_of
from datamc.records import Result
from datamc.reference_curve import CurvePoint
from datamc.regions import views_of
from datamc.scale_factors import ScaleFactors
from datamc.stacks import process_templates, systematic_shifts
from datamc.templates import score_templates
from datamc.unscored import scenarios_with_result
from plotting.divergence import draw_divergence
from plotting.history import draw_history
from plotting.scale_factors import draw_scale_factors
from plotting.stacks import draw_stack
from plotting.style import (
    EventLabel,
    checkpoint_label,
    event_label,
    in_order,
    largest_fgsm,
    save_figure,
    score_label,
    selection_label,
)
from plotting.tagging import AucRow, RocRow, draw_auc, draw_roc, roc_curves_of
from plotting.trade_off import draw_trade_off
from storage.names import figure_name

DISCRIMINATORS = ("BvsL", "BvsC", "CvsB", "CvsL")


class StackOptions(NamedTuple):
    """How stacks are drawn: what is stacked, which views of the signs, which vertical axes."""

    by: Literal["flavour", "process"] = "flavour"
    all_signs: bool = False
    """OS and SS alone beside the selection's own view."""
    log: bool = False

    def views_of(self, result: Result) -> list[View]:
        """Return the views to draw, the selection's own first."""
        return views_of(result) if self.all_signs else [view_of(result)]


Draw = Callable[[], Figure]
PlannedFigure = tuple[str, Draw]
"""The name of the file, without ending, and what draws its content."""


def plot_results(
    results: Mapping[str, Result],
    output: Path,
    *,
    divergence: Sequence[DivergenceRow] = (),
    null: Sequence[DivergenceRow] = (),
    curve: Sequence[CurvePoint] = (),
    scale_factors: Sequence[ScaleFactors] = (),
    auc_rows: Sequence[AucRow] = (),
    roc_rows: Sequence[RocRow] = (),
    label: EventLabel | None = None,
    scores: Sequence[str] = DISCRIMINATORS,
    stacks: StackOptions | None = None,
    formats: Sequence[str] = ("png", "pdf"),
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the standard figures and return their paths.

    Per selection with data, training and score a stack at the last epoch, with raw inputs and under the
    largest FGSM; per score the divergence and the AUC over the epochs, one against the other, and ROC curves;
    per training and variant the scale factors at the last epoch, and how far they are from 1 at every epoch.

    Args:
        results: One result per selection.
        output: The folder to write to.
        divergence: Rows of all epochs; none is fine, as for the following.
        null: The divergence of null data, simulated like the simulation.
        curve: The reference training with noise on its output.
        scale_factors: Of any checkpoints; the last epoch of each training is drawn.
        auc_rows: Areas under ROC curves.
        roc_rows: Points of ROC curves.
        label: What stands above the axes; by default what is true of the results.
        scores: The scores to draw.
        stacks: How stacks are drawn.
        formats: Endings that matplotlib knows.
        progress: Called with (done, total) figures.
    """
    label = label or event_label(list(results.values()))
    planned = [
        *_stacks(results, scores=scores, label=label, options=stacks or StackOptions()),
        *_divergences(divergence, null, scores=scores, label=label),
        *_trade_offs(divergence, auc_rows, curve, null, scores=scores, label=label),
        *_tagging(auc_rows, roc_rows, scores=scores),
        *_planes(scale_factors, label=label),
    ]
    written = []
    for done, (name, draw) in enumerate(planned, start=1):
        written += save_figure(draw(), output / name, formats=formats)
        if progress:
            progress(done, len(planned))
    return written


def _stacks(
    results: Mapping[str, Result], *, scores: Sequence[str], label: EventLabel, options: StackOptions
) -> Iterator[PlannedFigure]:
    for result in results.values():
        if not any(record.is_data for record in result.datasets.values()):
            continue
        points = scenarios_with_result(result)
        last = {point.tagger: point.epoch for point in sorted(points, key=lambda point: point.epoch)}
        for tagger in in_order(last):
            own = [point.variant for point in points if point[:2] == (tagger, last[tagger])]
            for variant in _raw_and_fgsm(own):
                for score in (each for each in scores if each in scores_of(result)):
                    for view in options.views_of(result):
                        place = StackPlace(score, tagger, last[tagger], variant, view)
                        yield (
                            _stack_name(result, place, options),
                            partial(_draw_stack, result, place, label=label, options=options),
                        )


class StackPlace(NamedTuple):
    """Which stack of a result."""

    score: str
    tagger: str
    epoch: int
    variant: str
    view: View


def _stack_name(result: Result, place: StackPlace, options: StackOptions) -> str:
    view = place.view if place.view != view_of(result) else ""
    parts = [result.selection, place.score, place.tagger, place.epoch, place.variant, view]
    by = "by_process" if options.by == "process" else ""
    log = "log" if options.log else ""
    return figure_name("stack", *(part for part in (*parts, by, log) if part != ""))


def _draw_stack(result: Result, place: StackPlace, *, label: EventLabel, options: StackOptions) -> Figure:
    templates_of = process_templates if options.by == "process" else score_templates
    chosen: dict[str, Any] = {
        "tagger": place.tagger,
        "epoch": place.epoch,
        "variant": place.variant,
        "view": place.view,
    }
    view = f", {place.view}" if place.view != view_of(result) else ""
    checkpoint = checkpoint_label(place.tagger, place.epoch, place.variant)
    return draw_stack(
        templates_of(result, place.score, **chosen),
        xlabel=score_label(place.score),
        title=f"{selection_label(result.selection)}{view}\n{checkpoint}",
        # A selection has the luminosity of its own primary dataset.
        label=label._replace(right=event_label([result]).right),
        log=options.log,
        systematic=systematic_shifts(result, place.score, **chosen),
    )


def _trade_offs(
    rows: Sequence[DivergenceRow],
    areas: Sequence[AucRow],
    curve: Sequence[CurvePoint],
    null: Sequence[DivergenceRow],
    *,
    scores: Sequence[str],
    label: EventLabel,
) -> Iterator[PlannedFigure]:
    for score in scores:
        if any(row.score == score for row in rows) and any(area.score == score for area in areas):
            label = label._replace(right="")
            draw = partial(draw_trade_off, rows, areas, score=score, curve=curve, null=null, label=label)
            yield figure_name("trade_off", score), draw


def _divergences(
    rows: Sequence[DivergenceRow], null: Sequence[DivergenceRow], *, scores: Sequence[str], label: EventLabel
) -> Iterator[PlannedFigure]:
    for score in scores:
        if any(row.score == score for row in rows):
            yield (
                figure_name("divergence", score),
                partial(draw_divergence, rows, score=score, null=null, label=label),
            )


def _tagging(
    auc_rows: Sequence[AucRow], roc_rows: Sequence[RocRow], *, scores: Sequence[str]
) -> Iterator[PlannedFigure]:
    """Taggers are measured on simulated jets, whatever the results hold: so says the label."""
    curves = roc_curves_of(row for row in roc_rows if row.score in scores)
    for score in scores:
        if any(row.score == score for row in auc_rows):
            yield figure_name("auc", score), partial(draw_auc, auc_rows, score=score)
        chosen = [curve for curve in curves if curve.score == score]
        if chosen:
            yield figure_name("roc", score), partial(draw_roc, chosen, title=score_label(score))


def _planes(scale_factors: Sequence[ScaleFactors], *, label: EventLabel) -> Iterator[PlannedFigure]:
    if scale_factors:
        yield (
            figure_name("scale_factors_over_epochs"),
            partial(draw_history, history_rows(scale_factors), label=label),
        )
    last = {each.tagger: each.epoch for each in sorted(scale_factors, key=lambda each: each.epoch)}
    for each in scale_factors:
        if each.epoch == last[each.tagger]:
            name = figure_name("scale_factors", each.tagger, each.epoch, each.variant)
            yield name, partial(draw_scale_factors, each, label=label)


def _raw_and_fgsm(variants: Sequence[str]) -> list[str]:
    """Return the undistorted and the most attacked variant, as far as they exist."""
    return [variant for variant in ("raw", largest_fgsm(variants)) if variant and variant in variants]
