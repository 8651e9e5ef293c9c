"""What the report's page draws from: the numbers of a production as plain JSON, no more digits than needed.

The page computes totals, ratios and Gaussian errors itself; all that needs a library is computed here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from hist.intervals import poisson_interval

from datamc.divergence import DivergenceRow
from datamc.histograms import GROUPS, taggers_of
from datamc.history import HistoryRow
from datamc.records import Result
from datamc.reference_curve import CurvePoint
from datamc.scale_factors import ScaleFactors
from models.discriminators import SCORES
from plotting.json_numbers import embedded_json, short, short_list
from plotting.report_stacks import Stacks, collect_stacks, selection_payload, stack_payload
from plotting.style import (
    FLAVOUR_COLOURS,
    FLAVOUR_LABELS,
    data_name,
    in_order,
    largest_fgsm,
    score_label,
    variant_label,
)
from plotting.tagging import AucRow, RocCurve

STACK_BUDGET = 7_500_000
"""Bytes the stacks may take in the page; beyond it, epochs are left out evenly (and the page says so)."""

MAX_PLANES = 200
"""More planes of scale factors than these are thinned in the same way; each takes some 6 kB."""

N_EXACT_INTERVALS = 100
"""Up to this count the page looks Poisson intervals up; above, it approximates (Wilson and Hilferty)."""


def fitting_epochs(
    results: Mapping[str, Result], scale_factors: Sequence[ScaleFactors] = (), *, budget: int = STACK_BUDGET
) -> list[int]:
    """Return the epochs whose stacks take no more than the budget in bytes, judged by the last epoch's."""
    checkpoints = sorted({each for result in results.values() for each in taggers_of(result)})
    epochs = sorted({epoch for _, epoch in checkpoints})
    last = collect_stacks(results, scale_factors=scale_factors, epochs=epochs[-1:])
    size = len(embedded_json(stack_payload(last)))
    # A training that ends earlier than others is shown at its end, too.
    ends = set(dict(checkpoints).values())
    return sorted(ends.union(thinned(epochs, n=budget // max(size, 1))))


def fitting_planes(scale_factors: Sequence[ScaleFactors], *, n: int = MAX_PLANES) -> list[ScaleFactors]:
    """Return at most about `n` planes: of all trainings and variants, at evenly spaced epochs."""
    epochs = sorted({each.epoch for each in scale_factors})
    shown = thinned(epochs, n=n * len(epochs) // max(len(scale_factors), 1))
    ends = {each.tagger: each.epoch for each in sorted(scale_factors, key=lambda each: each.epoch)}
    return [each for each in scale_factors if each.epoch in shown or each.epoch == ends[each.tagger]]


def thinned(epochs: Sequence[int], *, n: int) -> list[int]:
    """Return at most `n` (but at least one) of the epochs, evenly spaced, the last one always among them."""
    if n >= len(epochs):
        return list(epochs)
    chosen = np.linspace(len(epochs) - 1, 0, max(n, 1)).round().astype(int)
    return [epochs[i] for i in sorted(chosen)]


def report_payload(
    stacks: Stacks,
    *,
    divergence: Sequence[DivergenceRow] = (),
    null: Sequence[DivergenceRow] = (),
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
        null: The same of null data, which are simulated like the simulation.
        curve: The reference training with noise on its output.
        auc_rows: Areas under ROC curves.
        roc_curves: The curves themselves.
        scale_factors: Of any checkpoints and variants.
        history: How far scale factors are from 1.
        simulated: Whether the events in the role of data were simulated.
    """
    compared = [
        *(key[:5] for key in stacks.before),
        *((r.selection, r.score, r.tagger, r.epoch, r.variant) for r in divergence),
    ]
    tagged = [*(key[1:] for key in compared), *((r.score, r.tagger, r.epoch, r.variant) for r in auc_rows)]
    selections = dict.fromkeys(key[0] for key in compared)
    scores = {score for score, _, _, _ in tagged}
    return {
        "selections": [selection_payload(key, stacks) for key in selections],
        "scores": [{"key": key, "name": score_label(key)} for key in SCORES if key in scores],
        "taggers": [
            {"key": name, "epochs": _epochs(name, [key[1:5] for key in stacks.before] or tagged)}
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
            for group in (GROUPS if stacks.before else ())
        ],
        "dataName": data_name(simulated=simulated),
        "garwood": short_list(poisson_interval(np.arange(N_EXACT_INTERVALS + 1.0)).T),
        **stack_payload(stacks),
        "divergence": [
            [row.selection, row.score, row.tagger, row.epoch, row.variant]
            + [short(value) for value in (row.kl, row.low, row.high, row.offset)]
            + [short(value, 3) for value in (row.chi2, row.n_degrees, row.dropped_fraction, row.n_replaced)]
            + [short(value, 4) for value in (row.kl_equal, row.kl_equal_offset, row.js, row.emd)]
            + [short(value, 4) for value in (row.data_mc_auc if row.n_blocks else math.nan, row.p_value)]
            for row in divergence
            if row.status == "ok"
        ],
        "null": [
            [row.selection, row.score, row.tagger, row.epoch, row.variant]
            + [short(value) for value in (row.kl, row.low, row.high, row.offset)]
            for row in null
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


def _curve(curve: RocCurve) -> dict[str, Any]:
    return {
        "tagger": curve.tagger,
        "epoch": curve.epoch,
        "variant": curve.variant,
        "score": curve.score,
        "efficiency": short_list(curve.efficiency, 4),
        "mistag": short_list(curve.mistag, 4),
    }


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
