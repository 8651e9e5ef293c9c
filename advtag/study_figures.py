"""From the rows of studies to their figures: what was computed before is drawn elsewhere."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from advtag import input_figures
from advtag.evaluation import STUDIES, Tables
from advtag.input_figures import Figures
from advtag.progress import ProgressCallback
from models.discriminators import SCORES
from models.features import FLAVOURS
from plotting.charts import Dots, Line, Surface, draw_dots, draw_lines, draw_matrix, draw_surfaces
from plotting.evaluation_page import StudySection, write_evaluation_page
from plotting.figures import DISCRIMINATORS, Draw
from plotting.shapes import Shape, ShapePanel, draw_shapes
from plotting.style import in_order, save_figure, score_label, variant_label
from plotting.tagging import RocCurve, RocLine, draw_auc, draw_roc, draw_roc_lines, roc_curves_of
from storage.names import file_name

HEADLINE = ("BvsL", "CvsL")
"""The discriminators that stand for the others where each would be a figure of its own."""
_MOST_EPOCHS = 6
_KINDS = {"fgsm": "FGSM", "pgd": "PGD", "noise_fgsm": "noise and FGSM"}


class StudyFigure(NamedTuple):
    """A figure to come: the study it belongs to, its file's name without ending, and what draws it."""

    study: str
    name: str
    draw: Draw


def plan_figures(
    tables: Tables, studies: Sequence[str], *, features: Sequence[str] | None = None
) -> list[StudyFigure]:
    """Return the figures of the chosen studies, as far as their tables hold anything.

    Args:
        tables: From `advtag.evaluation.run_studies`.
        studies: Names of studies.
        features: Features whose shapes are drawn; None for the eight that tell flavours apart best.
    """
    planned = []
    for study in studies:
        plan = _PLANS[study]
        figures = input_figures.input_shapes(tables, features) if study == "input_shapes" else plan(tables)
        planned += [StudyFigure(study, _file_name(name), draw) for name, draw in figures]
    return planned


def draw_studies(
    tables: Tables,
    studies: Sequence[str],
    folder: Path,
    *,
    features: Sequence[str] | None = None,
    formats: Sequence[str] = ("png",),
    progress: ProgressCallback | None = None,
) -> Path:
    """Write every figure of the chosen studies and an index; return the path of the index.

    Args:
        tables: From `advtag.evaluation.run_studies`.
        studies: Names of studies.
        folder: Where the tables lie.
        features: As for `plan_figures`.
        formats: Endings that matplotlib knows; the index shows the first.
        progress: Called with (done, total) figures.

    Raises:
        ValueError: If a feature is unknown.
    """
    planned = plan_figures(tables, studies, features=features)
    written: dict[str, list[str]] = {study: [] for study in studies}
    for done, figure in enumerate(planned, start=1):
        paths = save_figure(figure.draw(), folder / figure.name, formats=formats)
        written[figure.study].append(paths[0].name)
        if progress:
            progress(done, len(planned))
    sections = [
        StudySection(
            name,
            STUDIES[name].title,
            written[name],
            [f"{table}.csv" for table in STUDIES[name].tables if getattr(tables, table)],
        )
        for name in studies
    ]
    return write_evaluation_page(folder, sections, title="Evaluation on simulated jets")


def _roc(tables: Tables, scores: Sequence[str], name: str) -> Figures:
    curves = roc_curves_of([*tables.roc, *tables.reference_roc])
    for score in scores:
        chosen = [curve for curve in curves if curve.score == score]
        if chosen:
            yield f"{name}_{score}", partial(draw_roc, chosen, title=score_label(score))


def _score_shapes(tables: Tables) -> Figures:
    rows = [row for row in tables.score_shapes if row.variant == "raw"]
    reference = [row for row in rows if row.tagger == "reference"]
    for tagger in in_order(row.tagger for row in rows if row.tagger != "reference"):
        own = [row for row in rows if row.tagger == tagger]
        last = max(row.epoch for row in own)
        panels = []
        for score in SCORES:
            shapes = []
            for dashes, source in enumerate(([row for row in own if row.epoch == last], reference)):
                for colour, flavour in enumerate(FLAVOURS):
                    # The bin below 0 holds jets without a score, which is no place on the axis.
                    bins = [r for r in source if (r.score, r.flavour) == (score, flavour) and r.low >= 0]
                    if bins:
                        name = f"{flavour}, {'reference' if dashes else tagger}"
                        counts = np.array([row.n_jets for row in bins], dtype=float)
                        shapes.append(Shape(name, counts, colour=colour, dashes=dashes))
                        edges = np.array([*(row.low for row in bins), bins[-1].high])
            panels.append(ShapePanel(score_label(score), edges, shapes))
        yield f"score_shapes_{tagger}", partial(draw_shapes, panels, xlabel="Score", log=True, n_columns=4)


def _roc_epochs(tables: Tables) -> Figures:
    curves = roc_curves_of(tables.roc_epochs)
    for tagger in in_order(curve.tagger for curve in curves):
        for score in DISCRIMINATORS:
            own = [c for c in curves if (c.tagger, c.score, c.variant) == (tagger, score, "raw")]
            if own:
                yield (
                    f"roc_epochs_{tagger}_{score}",
                    _roc_over_epochs(own, f"{score_label(score)}\n{tagger}, raw"),
                )


def _roc_sizes(tables: Tables) -> Figures:
    curves = roc_curves_of(tables.roc_epochs)
    for tagger in in_order(curve.tagger for curve in curves):
        for score in HEADLINE:
            own = [curve for curve in curves if (curve.tagger, curve.score) == (tagger, score)]
            last = [curve for curve in own if curve.epoch == max(each.epoch for each in own)]
            lines = [RocLine(variant_label(c.variant), c, colour) for colour, c in enumerate(last)]
            title = f"{score_label(score)}\n{tagger}"
            yield (
                f"roc_sizes_{tagger}_{score}",
                partial(draw_roc_lines, lines, title=f"{title}, epoch {last[0].epoch}"),
            )
            for variant in dict.fromkeys(curve.variant for curve in own if curve.variant != "raw"):
                at_size = [curve for curve in own if curve.variant == variant]
                name = f"roc_sizes_{tagger}_{score}_{variant}"
                yield name, _roc_over_epochs(at_size, f"{title}, {variant_label(variant)}")
    yield from _auc_sizes(tables)


def _auc_sizes(tables: Tables) -> Figures:
    last = {row.tagger: row.epoch for row in sorted(tables.auc, key=lambda row: row.epoch)}
    for score in HEADLINE:
        rows = [row for row in tables.auc if row.score == score and row.epoch == last[row.tagger]]
        lines = []
        kinds = dict.fromkeys(row.variant.partition(":")[0] for row in rows if row.variant != "raw")
        for colour, tagger in enumerate(in_order(last)):
            for dashes, kind in enumerate(kinds):
                own = sorted(
                    (_size(row.variant), row.auc, row.error)
                    for row in rows
                    if row.tagger == tagger and row.variant.partition(":")[0] in ("raw", kind)
                )
                sizes, areas, errors = zip(*own, strict=True)
                name = f"{tagger}, {_KINDS.get(kind, kind.replace('_', ' '))}"
                lines.append(Line(name, sizes, areas, errors, colour=colour, dashes=dashes))
        if lines:
            yield (
                f"auc_sizes_{score}",
                partial(
                    draw_lines,
                    lines,
                    xlabel="Size in widths of a feature",
                    ylabel="AUC",
                    title=score_label(score),
                ),
            )


def _size(variant: str) -> float:
    found = re.findall(r":([\d.]+)", variant)
    return float(found[-1] if variant.startswith("noise_fgsm") else found[0]) if found else 0.0


def _roc_over_epochs(curves: Sequence[RocCurve], title: str) -> Draw:
    ordered = sorted(curves, key=lambda curve: curve.epoch)
    places = np.unique(np.linspace(0, len(ordered) - 1, _MOST_EPOCHS).round().astype(int))
    lines = [RocLine(f"epoch {ordered[p].epoch}", ordered[p], colour) for colour, p in enumerate(places)]
    return partial(draw_roc_lines, lines, title=title)


def _auc_epochs(tables: Tables) -> Figures:
    for score in DISCRIMINATORS:
        yield f"auc_epochs_{score}", partial(draw_auc, tables.auc, score=score)
        rows = [row for row in tables.auc_ratios if row.score == score]
        lines = []
        variants = list(dict.fromkeys(row.variant for row in rows))
        for colour, tagger in enumerate(in_order(row.tagger for row in rows)):
            for dashes, variant in enumerate(variants):
                own = sorted(
                    (row.epoch, row.ratio, row.ratio_error)
                    for row in rows
                    if (row.tagger, row.variant) == (tagger, variant)
                )
                if own:
                    epochs, ratios, errors = zip(*own, strict=True)
                    name = f"{tagger}, {variant_label(variant)}"
                    lines.append(Line(name, epochs, ratios, errors, colour=colour, dashes=dashes))
        if lines:
            yield (
                f"auc_ratios_{score}",
                partial(
                    draw_lines, lines, xlabel="Epoch", ylabel="AUC / AUC of the same model on raw inputs",
                    title=score_label(score), level=1.0, whole_numbers=True,
                ),
            )  # fmt: skip


def _transfer(tables: Tables) -> Figures:
    for score in DISCRIMINATORS:
        rows = [row for row in tables.transfer if row.score == score]
        if rows:
            values = input_figures.pivot(
                rows,
                lambda row: (row.source, row.source_epoch),
                lambda row: (row.target, row.target_epoch),
                "auc",
            )
            names = [
                f"{name}@{epoch}" for name, epoch in dict.fromkeys((r.source, r.source_epoch) for r in rows)
            ]
            yield (
                f"transfer_{score}",
                partial(
                    draw_matrix, values, rows=names, columns=names,
                    colour_label=f"AUC of {score_label(score)}",
                    row_label="Attack made against", column_label="Shown to",
                    title=variant_label(rows[0].variant),
                ),
            )  # fmt: skip


def _losses(tables: Tables) -> Figures:
    for tagger in in_order(row.tagger for row in tables.losses):
        of_tagger = [(row.quantity, row.epoch, row.value) for row in tables.losses if row.tagger == tagger]
        yield from _over_epochs(f"losses_{tagger}", of_tagger, ylabel="Loss", title=tagger)
    # A training may have two methods of one kind: their sum is drawn.
    added: dict[tuple[str, str, int], float] = defaultdict(float)
    for row in tables.loss_terms:
        added[row.method, row.tagger, row.epoch] += row.value
    for method in dict.fromkeys(of for of, *_ in added):
        of_method = [(tagger, epoch, value) for (of, tagger, epoch), value in added.items() if of == method]
        label = f"Part of the training loss: {method.replace('_', ' ')}"
        yield from _over_epochs(f"losses_of_{method}", of_method, ylabel=label)


def _over_epochs(
    figure: str, points: Sequence[tuple[str, int, float]], *, ylabel: str, title: str = ""
) -> Figures:
    """Yield a line for each name of (name, epoch, value), those of numbers; nothing if there is none."""
    points = [point for point in points if np.isfinite(point[2])]
    lines = []
    for number, name in enumerate(dict.fromkeys(name for name, *_ in points)):
        epochs, values = zip(*((epoch, value) for of, epoch, value in points if of == name), strict=True)
        lines.append(Line(name.replace("_", " "), epochs, values, None, number, number))
    if lines:
        draw = partial(draw_lines, lines, xlabel="Epoch", ylabel=ylabel, title=title, whole_numbers=True)
        yield figure, draw


def _trainings(tables: Tables) -> Figures:
    rows = tables.trainings
    for variant in dict.fromkeys(row.variant for row in rows):
        dots = []
        for tagger in in_order(row.tagger for row in rows):
            own = {r.score: r for r in rows if (r.tagger, r.variant) == (tagger, variant)}
            about = next(iter(own.values()))
            parts = [about.method, f"γ = {about.gamma:g} on {about.loss_input}", about.reweighting]
            name = f"{tagger} ({', '.join(part for part in parts if part)})"
            values = [own[score].auc for score in SCORES]
            dots.append(Dots(name, values, [own[score].error for score in SCORES]))
        names = [score_label(score) for score in SCORES]
        yield (
            f"trainings_{variant}",
            partial(draw_dots, names, dots, xlabel="AUC", title=variant_label(variant)),
        )


def _loss_surface(tables: Tables) -> Figures:
    rows = tables.loss_surface
    surfaces = []
    for tagger in in_order(row.tagger for row in rows):
        own = [row for row in rows if row.tagger == tagger]
        x = list(dict.fromkeys(row.along_attack for row in own))
        y = list(dict.fromkeys(row.along_random for row in own))
        # Rows run over the random direction first: (n_attack, n_random) -> (n_random, n_attack).
        values = np.array([row.loss for row in own]).reshape(len(x), len(y)).T
        surfaces.append(Surface(f"{tagger}, epoch {own[0].epoch}", x, y, values))
    if surfaces:
        yield (
            "loss_surface",
            partial(
                draw_surfaces, surfaces, xlabel="Along the attack", ylabel="Along a random direction",
                colour_label="Cross entropy",
            ),
        )  # fmt: skip


def _label_leak(tables: Tables) -> Figures:
    for tagger in in_order(row.tagger for row in tables.label_leak):
        own = [row for row in tables.label_leak if row.tagger == tagger]
        last = max(row.epoch for row in own)
        dots = []
        for variant in dict.fromkeys(row.variant for row in own):
            found = {row.score: row for row in own if (row.epoch, row.variant) == (last, variant)}
            values = [found[score].difference for score in SCORES]
            dots.append(Dots(variant_label(variant), values, [found[score].error for score in SCORES]))
        names = [score_label(score) for score in SCORES]
        title = f"{tagger}, epoch {last}"
        yield (
            f"label_leak_{tagger}",
            partial(draw_dots, names, dots, xlabel="AUC under attack minus raw", title=title, level=0.0),
        )


def _thesis(tables: Tables) -> Figures:
    rows = [row for row in tables.thesis if row.quantity == "difference of AUC" and np.isfinite(row.ours)]
    if rows:
        dots = [
            Dots("thesis (CMS simulation)", [row.thesis for row in rows]),
            Dots("here", [row.ours for row in rows], [row.error for row in rows]),
        ]
        names = [row.phenomenon for row in rows]
        yield "thesis", partial(draw_dots, names, dots, xlabel="Difference of AUC", level=0.0)


_PLANS: dict[str, Callable[[Tables], Figures]] = {
    "roc_outputs": partial(_roc, scores=FLAVOURS, name="roc_outputs"),
    "roc_discriminators": partial(_roc, scores=DISCRIMINATORS, name="roc_discriminators"),
    "score_shapes": _score_shapes,
    "roc_epochs": _roc_epochs,
    "roc_sizes": _roc_sizes,
    "auc_epochs": _auc_epochs,
    "input_shapes": partial(input_figures.input_shapes, features=None),
    "input_divergence": input_figures.input_divergence,
    "default_fractions": input_figures.default_fractions,
    "reweighting": input_figures.reweighting,
    "flavour_content": input_figures.flavour_content,
    "transfer": _transfer,
    "losses": _losses,
    "trainings": _trainings,
    "feature_ranking": input_figures.feature_ranking,
    "correlations": input_figures.correlations,
    "loss_surface": _loss_surface,
    "label_leak": _label_leak,
    "thesis": _thesis,
}


def _file_name(name: str) -> str:
    """Return a name that any file system takes, with dashes for the colons of variants."""
    return file_name(re.sub("[:=]", "-", name))
