"""The standard set of figures of a production, as files."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from datamc.divergence import DivergenceRow
from datamc.histograms import scores_of, taggers_of, variants_of
from datamc.records import Result
from datamc.scale_factors import ScaleFactors
from datamc.templates import score_templates
from plotting.divergence import draw_divergence
from plotting.scale_factors import draw_scale_factors
from plotting.stacks import draw_stack
from plotting.style import (
    EventLabel,
    event_label,
    in_order,
    largest_fgsm,
    save_figure,
    score_label,
    selection_label,
    variant_label,
)
from plotting.tagging import AucRow, RocRow, draw_auc, draw_roc, roc_curves_of

DISCRIMINATORS = ("BvsL", "BvsC", "CvsB", "CvsL")

Draw = Callable[[], Figure]
PlannedFigure = tuple[str, Draw]
"""The name of the file, without ending, and what draws its content."""


def plot_results(
    results: Mapping[str, Result],
    output: Path,
    *,
    divergence: Sequence[DivergenceRow] = (),
    scale_factors: Sequence[ScaleFactors] = (),
    auc_rows: Sequence[AucRow] = (),
    roc_rows: Sequence[RocRow] = (),
    label: EventLabel | None = None,
    scores: Sequence[str] = DISCRIMINATORS,
    log: bool = False,
    formats: Sequence[str] = ("png", "pdf"),
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the standard figures and return their paths.

    Per selection with data, training and score a stack at the last epoch, with raw inputs and under the
    largest FGSM; per score the divergence and the AUC over the epochs, and ROC curves; per training and
    variant the scale factors at the last epoch.

    Args:
        results: One result per selection.
        output: The folder to write to.
        divergence: Rows of all epochs; none is fine, as for the following.
        scale_factors: Of any checkpoints; the last epoch of each training is drawn.
        auc_rows: Areas under ROC curves.
        roc_rows: Points of ROC curves.
        label: What stands above the axes; by default what is true of the results.
        scores: The scores to draw.
        log: Logarithmic stacks.
        formats: Endings that matplotlib knows.
        progress: Called with (done, total) figures.
    """
    label = label or event_label(list(results.values()))
    planned = [
        *_stacks(results, scores=scores, label=label, log=log),
        *_divergences(divergence, scores=scores, label=label),
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
    results: Mapping[str, Result], *, scores: Sequence[str], label: EventLabel, log: bool
) -> Iterator[PlannedFigure]:
    for selection, result in results.items():
        if not any(record.is_data for record in result.datasets.values()):
            continue
        last = dict(sorted(taggers_of(result), key=lambda checkpoint: checkpoint[1]))
        for tagger in in_order(last):
            for variant in _raw_and_fgsm(variants_of(result)):
                for score in (each for each in scores if each in scores_of(result)):
                    epoch = last[tagger]
                    yield (
                        _file_name("stack", selection, score, tagger, epoch, variant),
                        partial(_draw_stack, result, score, tagger, epoch, variant, label=label, log=log),
                    )


def _draw_stack(
    result: Result, score: str, tagger: str, epoch: int, variant: str, *, label: EventLabel, log: bool
) -> Figure:
    return draw_stack(
        score_templates(result, score, tagger=tagger, epoch=epoch, variant=variant),
        xlabel=score_label(score),
        title=f"{selection_label(result.selection)}\n{tagger}, epoch {epoch}, {variant_label(variant)}",
        # A selection has the luminosity of its own primary dataset.
        label=label._replace(right=event_label([result]).right),
        log=log,
    )


def _divergences(
    rows: Sequence[DivergenceRow], *, scores: Sequence[str], label: EventLabel
) -> Iterator[PlannedFigure]:
    for score in scores:
        if any(row.score == score for row in rows):
            yield (
                _file_name("divergence", score),
                partial(draw_divergence, rows, score=score, label=label),
            )


def _tagging(
    auc_rows: Sequence[AucRow], roc_rows: Sequence[RocRow], *, scores: Sequence[str]
) -> Iterator[PlannedFigure]:
    """Taggers are measured on simulated jets, whatever the results hold: so says the label."""
    curves = roc_curves_of(row for row in roc_rows if row.score in scores)
    for score in scores:
        if any(row.score == score for row in auc_rows):
            yield _file_name("auc", score), partial(draw_auc, auc_rows, score=score)
        chosen = [curve for curve in curves if curve.score == score]
        if chosen:
            yield _file_name("roc", score), partial(draw_roc, chosen, title=score_label(score))


def _planes(scale_factors: Sequence[ScaleFactors], *, label: EventLabel) -> Iterator[PlannedFigure]:
    last = {each.tagger: each.epoch for each in sorted(scale_factors, key=lambda each: each.epoch)}
    for each in scale_factors:
        if each.epoch == last[each.tagger]:
            name = _file_name("scale_factors", each.tagger, each.epoch, each.variant)
            yield name, partial(draw_scale_factors, each, label=label)


def _raw_and_fgsm(variants: Sequence[str]) -> list[str]:
    """Return the undistorted and the most attacked variant, as far as they exist."""
    return [variant for variant in ("raw", largest_fgsm(variants)) if variant and variant in variants]


def _file_name(*parts: object) -> str:
    """Return the parts as one name that any file system takes."""
    return "_".join(re.sub(r"[^\w.-]", "-", str(part)) for part in parts)
