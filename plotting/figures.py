"""The standard set of figures of a production, as files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
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

NamedFigure = tuple[str, Figure]
"""The name of the file, without ending, and what to draw in it."""


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
    """
    label = label or event_label(list(results.values()))
    figures = chain(
        _stacks(results, scores=scores, label=label, log=log),
        _divergences(divergence, scores=scores, label=label),
        _tagging(auc_rows, roc_rows, scores=scores, label=label._replace(right="")),
        _planes(scale_factors, label=label),
    )
    return [path for name, figure in figures for path in save_figure(figure, output / name, formats=formats)]


def _stacks(
    results: Mapping[str, Result], *, scores: Sequence[str], label: EventLabel, log: bool
) -> Iterator[NamedFigure]:
    for selection, result in results.items():
        if not any(record.is_data for record in result.datasets.values()):
            continue
        last = dict(sorted(taggers_of(result), key=lambda checkpoint: checkpoint[1]))
        for tagger in in_order(last):
            for variant in _raw_and_fgsm(variants_of(result)):
                for score in (each for each in scores if each in scores_of(result)):
                    templates = score_templates(
                        result, score, tagger=tagger, epoch=last[tagger], variant=variant
                    )
                    checkpoint = f"{tagger}, epoch {last[tagger]}, {variant_label(variant)}"
                    title = f"{selection_label(selection)}\n{checkpoint}"
                    figure = draw_stack(
                        templates, xlabel=score_label(score), title=title, label=label, log=log
                    )
                    yield _file_name("stack", selection, score, tagger, last[tagger], variant), figure


def _divergences(
    rows: Sequence[DivergenceRow], *, scores: Sequence[str], label: EventLabel
) -> Iterator[NamedFigure]:
    for score in scores:
        if any(row.score == score for row in rows):
            yield _file_name("divergence", score), draw_divergence(rows, score=score, label=label)


def _tagging(
    auc_rows: Sequence[AucRow], roc_rows: Sequence[RocRow], *, scores: Sequence[str], label: EventLabel
) -> Iterator[NamedFigure]:
    curves = roc_curves_of(row for row in roc_rows if row.score in scores)
    # Taggers are measured on simulated jets, whatever the results hold.
    label = EventLabel(simulated=True, right=label.right)
    for score in scores:
        if any(row.score == score for row in auc_rows):
            yield _file_name("auc", score), draw_auc(auc_rows, score=score, label=label)
        chosen = [curve for curve in curves if curve.score == score]
        if chosen:
            yield _file_name("roc", score), draw_roc(chosen, title=score_label(score), label=label)


def _planes(scale_factors: Sequence[ScaleFactors], *, label: EventLabel) -> Iterator[NamedFigure]:
    last = {each.tagger: each.epoch for each in sorted(scale_factors, key=lambda each: each.epoch)}
    for each in scale_factors:
        if each.epoch == last[each.tagger]:
            name = _file_name("scale_factors", each.tagger, each.epoch, each.variant)
            yield name, draw_scale_factors(each, label=label)


def _raw_and_fgsm(variants: Sequence[str]) -> list[str]:
    """Return the undistorted and the most attacked variant, as far as they exist."""
    return [variant for variant in ("raw", largest_fgsm(variants)) if variant and variant in variants]


def _file_name(*parts: object) -> str:
    """Return the parts as one name that any file system takes."""
    return "_".join(re.sub(r"[^\w.-]", "-", str(part)) for part in parts)
