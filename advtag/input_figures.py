"""From the rows of studies of the inputs and of the training data to their figures."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advtag.evaluation import Tables
from models.features import BRANCHES, FLAVOURS
from plotting.charts import Dots, draw_dots, draw_matrix
from plotting.figures import PlannedFigure
from plotting.shapes import Shape, ShapePanel, draw_shapes
from plotting.style import in_order, largest_fgsm, score_label, variant_label

Figures = Iterator[PlannedFigure]

_BEST_FEATURES = 8
_MOST_FEATURES = 20


def require_features(features: Sequence[str]) -> None:
    """Raise if a feature is unknown, before jets are read for it.

    Raises:
        ValueError: If one is.
    """
    for feature in features:
        if feature != "all" and not {feature, f"Jet_DeepCSV_{feature}"} & set(BRANCHES):
            known = ", ".join(_short(name) for name in BRANCHES)
            raise ValueError(f"unknown feature {feature!r}: choose from all, {known}")


def input_shapes(tables: Tables, features: Sequence[str] | None) -> Figures:
    """Yield every training's raw and distorted shapes of some features.

    Args:
        tables: Of the evaluation.
        features: Names with or without ``Jet_DeepCSV_``, or "all"; None for those that tell most.

    Raises:
        ValueError: If a feature is unknown.
    """
    known = list(dict.fromkeys(row.feature for row in tables.input_shapes))
    best = dict.fromkeys(row.feature for row in sorted(tables.feature_ranking, key=lambda row: row.rank))
    for feature in known if features == ["all"] else (features or list(best)[:_BEST_FEATURES]):
        branch = feature if feature in known else f"Jet_DeepCSV_{feature}"
        rows = [row for row in tables.input_shapes if row.feature == branch]
        if not rows and known:
            raise ValueError(f"unknown feature {feature!r}: choose from all, {', '.join(map(_short, known))}")
        for tagger in in_order(row.tagger for row in rows):
            panels = _shape_panels([row for row in rows if row.tagger == tagger])
            yield (
                f"input_shapes_{tagger}_{_short(branch)}",
                partial(draw_shapes, panels, xlabel=_short(branch)),
            )


def _shape_panels(rows: Sequence[Any]) -> list[ShapePanel]:
    panels = []
    for flavour in dict.fromkeys(row.flavour for row in rows):
        shapes: list[Shape] = []
        for colour, variant in enumerate(dict.fromkeys(row.variant for row in rows), start=1):
            own = [r for r in rows if (r.flavour, r.variant) == (flavour, variant)]
            inside = own[1:-1]  # the outermost bins hold all that lies beyond
            raw, moved, ratio, error = np.array(
                [(row.n_raw, row.n_distorted, row.ratio, row.ratio_error) for row in inside], dtype=float
            ).T
            if not shapes:
                shapes.append(Shape("raw", raw))
            shapes.append(Shape(variant_label(variant), moved, ratio, error, colour=colour))
        edges = np.array([*(row.low for row in inside), inside[-1].high])
        panels.append(ShapePanel("all flavours" if flavour == "all" else flavour, edges, shapes))
    return panels


def input_divergence(tables: Tables) -> Figures:
    """Yield the heat map of divergences: features down, trainings and variants across."""
    rows = tables.input_divergence
    columns = list(dict.fromkeys((row.tagger, row.variant) for row in rows))
    if rows:
        values = pivot(rows, "feature", lambda row: (row.tagger, row.variant), "kl")
        names = [_short(feature) for feature in dict.fromkeys(row.feature for row in rows)]
        yield (
            "input_divergence",
            partial(
                draw_matrix, values, rows=names, columns=[f"{t}, {variant_label(v)}" for t, v in columns],
                colour_label="KL(raw ‖ distorted)  [nats]",
            ),
        )  # fmt: skip


def default_fractions(tables: Tables) -> Figures:
    """Yield the shares of missing values of the features that miss any, by flavour."""
    some = {row.feature for row in tables.default_fractions if row.n_defaults}
    rows = [row for row in tables.default_fractions if row.feature in some]
    if rows:
        values = pivot(rows, "feature", lambda row: row.flavour, "fraction")
        yield (
            "default_fractions",
            partial(
                draw_matrix, values,
                rows=[_short(name) for name in dict.fromkeys(row.feature for row in rows)],
                columns=list(dict.fromkeys(row.flavour for row in rows)),
                colour_label="Share of missing values", number_format=".2f",
            ),
        )  # fmt: skip


def reweighting(tables: Tables) -> Figures:
    """Yield pT and eta of the training jets, before and after."""
    for axis, xlabel in (("pt", "pT [GeV]"), ("eta", "η")):
        if tables.reweighting:
            sums: dict[tuple[str, str], dict[float, float]] = {}
            for row in tables.reweighting:
                low = getattr(row, f"{axis}_low")
                for title, value in (("before", row.n_jets), ("after reweighting", row.sum_weights)):
                    bins = sums.setdefault((title, row.flavour), {})
                    bins[low] = bins.get(low, 0.0) + value
            highest = max(getattr(row, f"{axis}_high") for row in tables.reweighting)
            panels = [
                ShapePanel(
                    title,
                    np.array([*sums[title, "b"], highest]),
                    [
                        Shape(flavour, np.array(list(sums[title, flavour].values())), colour=colour)
                        for colour, flavour in enumerate(FLAVOURS)
                    ],
                )
                for title in ("before", "after reweighting")
            ]
            yield (
                f"reweighting_{axis}",
                partial(
                    draw_shapes, panels, xlabel=xlabel, ylabel="Training jets, sum of weights",
                    normalised=False, log=axis == "pt",
                ),
            )  # fmt: skip


def flavour_content(tables: Tables) -> Figures:
    """Yield the share of every flavour in every split."""
    rows = tables.flavour_content
    if rows:
        values = pivot(rows, "split", lambda row: row.flavour, "share")
        yield (
            "flavour_content",
            partial(
                draw_matrix, values, rows=list(dict.fromkeys(row.split for row in rows)),
                columns=list(FLAVOURS), colour_label="Share of the split",
            ),
        )  # fmt: skip


def feature_ranking(tables: Tables) -> Figures:
    """Yield the best features, raw, noised and under the strongest FGSM against each training."""
    rows = tables.feature_ranking
    trainings = in_order(row.tagger for row in rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    attack = largest_fgsm(variants)
    for score in dict.fromkeys(row.score for row in rows):
        own = [row for row in rows if row.score == score]
        raw = [row for row in own if (row.tagger, row.variant) == (trainings[0], "raw")]
        best = [row.feature for row in sorted(raw, key=lambda row: row.rank)[:_MOST_FEATURES]]
        dots = []
        for tagger in trainings:
            for variant in variants if tagger == trainings[0] else [attack]:
                if variant not in ("raw", attack) and not str(variant).startswith("noise:"):
                    continue
                found = {r.feature: r for r in own if (r.tagger, r.variant) == (tagger, variant)}
                if not found:
                    continue
                # Raw and noised inputs are the same for all trainings.
                name = (
                    variant_label(str(variant))
                    if variant != attack
                    else f"{tagger}, {variant_label(str(attack))}"
                )
                values = [found[feature].separation for feature in best]
                dots.append(Dots(name, values, [found[feature].error for feature in best]))
        yield (
            f"feature_ranking_{score}",
            partial(
                draw_dots, [_short(name) for name in best], dots, xlabel="|AUC − 0.5| of the feature alone",
                title=score_label(score),
            ),
        )  # fmt: skip


def correlations(tables: Tables) -> Figures:
    """Yield the correlations of the raw features, and what the strongest FGSM changes of them."""
    rows = tables.correlations
    attack = largest_fgsm(list(dict.fromkeys(row.variant for row in rows)))
    for number, tagger in enumerate(in_order(row.tagger for row in rows)):
        own = [row for row in rows if row.tagger == tagger]
        names, raw = _square([row for row in own if row.variant == "raw"])
        short = [_short(name) for name in names]
        draw = partial(draw_matrix, rows=short, columns=short, centred=True)
        if number == 0 and names:
            yield "correlations_raw", partial(draw, raw, colour_label="Correlation", title="raw")
        if attack and names:
            _, moved = _square([row for row in own if row.variant == attack])
            title = f"{tagger}, {variant_label(attack)} minus raw"
            name = f"correlations_{tagger}_{attack}_minus_raw"
            yield name, partial(draw, moved - raw, colour_label="Difference of correlations", title=title)


def _square(rows: Sequence[Any]) -> tuple[list[str], NDArray[np.float64]]:
    names = list(dict.fromkeys(name for row in rows for name in (row.other, row.feature)))
    place = {name: i for i, name in enumerate(names)}
    matrix = np.eye(len(names))
    for row in rows:
        i, j = place[row.feature], place[row.other]
        matrix[i, j] = matrix[j, i] = row.correlation
    return names, matrix


def pivot(
    rows: Sequence[Any],
    row_key: "str | Callable[[Any], object]",
    column_key: "Callable[[Any], object]",
    value: str,
) -> NDArray[np.float64]:
    """Return values as a matrix, rows and columns in the order they first appear, nan where none is."""
    of_row = (lambda row: getattr(row, row_key)) if isinstance(row_key, str) else row_key
    places = [list(dict.fromkeys(key(row) for row in rows)) for key in (of_row, column_key)]
    row_place, column_place = ({name: i for i, name in enumerate(names)} for names in places)
    matrix = np.full((len(places[0]), len(places[1])), np.nan)
    for row in rows:
        matrix[row_place[of_row(row)], column_place[column_key(row)]] = getattr(row, value)
    return matrix


def _short(branch: str) -> str:
    return branch.removeprefix("Jet_").removeprefix("DeepCSV_")
