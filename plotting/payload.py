"""What the report's page draws from: the numbers of a production as plain JSON, no more digits than needed.

The page computes totals, ratios and Gaussian errors itself; all that needs a library is computed here.
"""

import base64
import gzip
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from hist.intervals import poisson_interval
from numpy.typing import ArrayLike

from datamc.divergence import DivergenceRow
from datamc.histograms import GROUPS, taggers_of, variants_of
from datamc.history import HistoryRow
from datamc.normalisation import View, combine_signs, default_view, normalisation
from datamc.records import Result
from datamc.reference_curve import CurvePoint
from datamc.scale_factors import ScaleFactors
from datamc.templates import Templates, signed_templates
from models.discriminators import SCORES
from plotting.style import (
    FLAVOUR_COLOURS,
    FLAVOUR_LABELS,
    SELECTION_NAMES,
    data_name,
    in_order,
    largest_fgsm,
    score_label,
    variant_label,
)
from plotting.tagging import AucRow, RocCurve

STACK_BUDGET = 6_000_000
"""Bytes the stacks may take in the page; beyond it, epochs are left out evenly (and the page says so)."""

MAX_PLANES = 200
"""More planes of scale factors than these are thinned in the same way; each takes some 6 kB."""

N_EXACT_INTERVALS = 100
"""Up to this count the page looks Poisson intervals up; above, it approximates (Wilson and Hilferty)."""

StackKey = tuple[str, str, str, int, str, View]
"""Selection, score, training, epoch, variant, view of the signs."""

STORED_VIEWS: Mapping[View, tuple[View, ...]] = {"OS-SS": ("OS", "SS"), "OS+SS": ("OS+SS",)}
"""By a selection's own view: what the page is given. It subtracts SS from OS itself."""

VIEW_NAMES: Mapping[View, str] = {"OS": "OS", "SS": "SS", "OS-SS": "OS−SS", "OS+SS": "all"}


def short(value: float, digits: int = 5) -> float | int | None:
    """Return a number with few digits, as an integer where it is one; None where it is not finite."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def short_list(values: ArrayLike, digits: int = 5) -> list[Any]:
    """Return an array of any shape as nested lists of `short` numbers."""
    array = np.asarray(values, float)
    if array.ndim > 1:
        return [short_list(row, digits) for row in array]
    return [short(value, digits) for value in array.tolist()]


def embedded_json(payload: Mapping[str, Any]) -> str:
    """Return JSON as compressed, printable text: no character in it can end a script element.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def collect_stacks(
    results: Mapping[str, Result], *, epochs: Collection[int] | None = None
) -> dict[StackKey, Templates]:
    """Return the templates of every selection, score, training, epoch (all, or the given), variant and view.

    A selection without data has nothing to compare and is left out.
    """
    stacks = {}
    for selection, result in results.items():
        if any(record.is_data for record in result.datasets.values()):
            factor = normalisation(result).factor
            checkpoints = [each for each in taggers_of(result) if epochs is None or each[1] in epochs]
            for score in (each for each in SCORES if each in result.histograms):
                for tagger, epoch in checkpoints:
                    for variant in variants_of(result):
                        views = _views(result, score, tagger, epoch, variant, factor=factor)
                        for view, templates in views.items():
                            stacks[selection, score, tagger, epoch, variant, view] = templates
    return stacks


def _views(
    result: Result, score: str, tagger: str, epoch: int, variant: str, *, factor: float
) -> dict[View, Templates]:
    signed = signed_templates(result, score, tagger=tagger, epoch=epoch, variant=variant)
    return {
        view: Templates(
            signed.edges,
            *combine_signs(signed.data, signed.data_variance, view, axis=0),
            *combine_signs(factor * signed.mc, factor**2 * signed.mc_variance, view, axis=1),
            GROUPS,
            factor,
        )
        for view in STORED_VIEWS[default_view(result.selection)]
    }


def fitting_epochs(results: Mapping[str, Result], *, budget: int = STACK_BUDGET) -> list[int]:
    """Return the epochs whose stacks take no more than the budget in bytes, judged by the last epoch's."""
    epochs = sorted({epoch for result in results.values() for _, epoch in taggers_of(result)})
    last = collect_stacks(results, epochs=epochs[-1:])
    size = len(embedded_json({"stacks": [[_data(stack), _simulation(stack)] for stack in last.values()]}))
    return thinned(epochs, n=budget // max(size, 1))


def fitting_planes(scale_factors: Sequence[ScaleFactors], *, n: int = MAX_PLANES) -> list[ScaleFactors]:
    """Return at most about `n` planes: of all trainings and variants, at evenly spaced epochs."""
    epochs = sorted({each.epoch for each in scale_factors})
    shown = thinned(epochs, n=n * len(epochs) // max(len(scale_factors), 1))
    return [each for each in scale_factors if each.epoch in shown]


def thinned(epochs: Sequence[int], *, n: int) -> list[int]:
    """Return at most `n` (but at least one) of the epochs, evenly spaced, the last one always among them."""
    if n >= len(epochs):
        return list(epochs)
    chosen = np.linspace(len(epochs) - 1, 0, max(n, 1)).round().astype(int)
    return [epochs[i] for i in sorted(chosen)]


def report_payload(
    stacks: Mapping[StackKey, Templates],
    *,
    divergence: Sequence[DivergenceRow] = (),
    curve: Sequence[CurvePoint] = (),
    auc_rows: Sequence[AucRow] = (),
    roc_curves: Sequence[RocCurve] = (),
    scale_factors: Sequence[ScaleFactors] = (),
    history: Sequence[HistoryRow] = (),
    simulated: bool = True,
) -> dict[str, Any]:
    """Return everything the page's charts need, ready for JSON.

    Args:
        stacks: As `collect_stacks` returns them.
        divergence: Rows for the chart over the epochs; an epoch may have a row and no stack.
        curve: The reference training with noise on its output.
        auc_rows: Areas under ROC curves.
        roc_curves: The curves themselves.
        scale_factors: Of any checkpoints and variants.
        history: How far scale factors are from 1.
        simulated: Whether the events in the role of data were simulated.
    """
    first = next(iter(stacks.values()), None)
    compared = [
        *(key[:5] for key in stacks),
        *((r.selection, r.score, r.tagger, r.epoch, r.variant) for r in divergence),
    ]
    tagged = [*(key[1:] for key in compared), *((r.score, r.tagger, r.epoch, r.variant) for r in auc_rows)]
    selections = dict.fromkeys(key[0] for key in compared)
    scores = {score for score, _, _, _ in tagged}
    return {
        "selections": [
            {"key": key, "name": SELECTION_NAMES.get(key, key), "views": _view_names(key)}
            for key in selections
        ],
        "scores": [{"key": key, "name": score_label(key)} for key in SCORES if key in scores],
        "taggers": [
            {"key": name, "epochs": _epochs(name, [key[1:5] for key in stacks] or tagged)}
            for name in in_order(tagger for _, tagger, _, _ in tagged)
        ],
        "variants": [
            {"key": key, "name": variant_label(key)} for key in dict.fromkeys(key[3] for key in tagged)
        ],
        "attack": largest_fgsm(list(dict.fromkeys(key[3] for key in tagged))),
        "groups": [
            {
                "key": group,
                "name": FLAVOUR_LABELS.get(group, group),
                "colour": FLAVOUR_COLOURS.get(group, "#999999"),
            }
            for group in (first.groups if first else ())
        ],
        "dataName": data_name(simulated=simulated),
        "edges": short_list(first.edges, 8) if first else [],
        "garwood": short_list(poisson_interval(np.arange(N_EXACT_INTERVALS + 1.0)).T),
        "data": {_joined((*key[:4], key[5])): _data(stack) for key, stack in stacks.items()},
        "mc": {_joined(key): _simulation(stack) for key, stack in stacks.items()},
        "divergence": [
            [row.selection, row.score, row.tagger, row.epoch, row.variant]
            + [short(value) for value in (row.kl, row.low, row.high, row.offset)]
            + [short(value, 3) for value in (row.chi2, row.n_degrees, row.dropped_fraction, row.n_replaced)]
            + [short(value, 4) for value in (row.kl_equal, row.kl_equal_offset, row.js, row.emd, row.p_value)]
            for row in divergence
            if row.status == "ok"
        ],
        "curve": [
            [point.selection, point.score, point.tagger, point.epoch]
            + [short(value) for value in (point.auc, point.excess)]
            for point in curve
            if point.measure == "kl"
        ],
        "auc": [
            [row.tagger, row.epoch, row.variant, row.score, short(row.auc, 6), short(row.error, 2)]
            for row in auc_rows
        ],
        "roc": [_curve(curve) for curve in roc_curves],
        "planes": [plane_payload(factors) for factors in scale_factors],
        "history": [
            [row.tagger, row.epoch, row.variant, row.flavour]
            + [short(value, 4) for value in (row.mean_deviation, row.error, row.expected)]
            for row in history
        ],
    }


def _view_names(selection: str) -> list[dict[str, str]]:
    """Return the views of the signs that a selection offers, its own first."""
    own = default_view(selection)
    return [{"key": view, "name": VIEW_NAMES[view]} for view in dict.fromkeys((own, *STORED_VIEWS[own]))]


def _data(stack: Templates) -> dict[str, Any]:
    """Return data per bin, and its variance where that is not the content itself (OS-SS)."""
    counts = {"n": short_list(stack.data)}
    return (
        counts
        if np.array_equal(stack.data, stack.data_variance)
        else counts | {"v": short_list(stack.data_variance)}
    )


def _simulation(stack: Templates) -> dict[str, Any]:
    error = np.sqrt(np.maximum(np.sum(stack.mc_variance, axis=0), 0.0))
    return {"n": short_list(stack.mc, 4), "e": short_list(error, 3), "f": short(stack.factor)}


def _curve(curve: RocCurve) -> dict[str, Any]:
    return {
        "tagger": curve.tagger,
        "epoch": curve.epoch,
        "variant": curve.variant,
        "score": curve.score,
        "efficiency": short_list(curve.efficiency, 4),
        "mistag": short_list(curve.mistag, 4),
    }


def _joined(parts: Iterable[object]) -> str:
    # The unit separator: the one character that no name of a training holds.
    return "\x1f".join(map(str, parts))


def _epochs(tagger: str, checkpoints: Iterable[tuple[str, str, int, str]]) -> list[int]:
    return sorted({epoch for _, name, epoch, _ in checkpoints if name == tagger})


def plane_payload(factors: ScaleFactors) -> dict[str, Any]:
    """Return the scale factors of one checkpoint and variant, the cell of the default scores among them."""
    statuses = sorted(set(factors.status.ravel().tolist()))
    return {
        "tagger": factors.tagger,
        "epoch": factors.epoch,
        "variant": factors.variant,
        "cells": short_list(np.concatenate([factors.cvsl, factors.cvsb], axis=1)),
        "isDefault": [int(cell) for cell in np.flatnonzero(factors.is_default)],
        "statuses": statuses,
        "flavours": [
            {
                "key": flavour,
                "name": FLAVOUR_LABELS.get(flavour, flavour),
                "value": short_list(factors.value[:, i], 4),
                "error": short_list(factors.error[:, i], 3),
                "status": [statuses.index(status) for status in factors.status[:, i].tolist()],
            }
            for i, flavour in enumerate(factors.flavours)
        ],
    }
