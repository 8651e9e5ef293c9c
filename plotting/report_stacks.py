"""The stacks of the report: by flavour and by process, before and after the scale factors, with bands.

Collected from results, and as plain JSON. Only what the page cannot work out is in it: totals, ratios, OS-SS
and coarser bins of data are made there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.histograms import GROUPS
from datamc.normalisation import View, combine_signs, default_view, normalisation, view_of
from datamc.records import Result
from datamc.rescaled import AXES, Rescaled, RescaledPlane
from datamc.scale_factors import ScaleFactors
from datamc.stacks import process_contents, systematic_shifts
from datamc.templates import Templates, signed_templates
from datamc.unscored import scenarios_with_result
from models.discriminators import SCORES
from plotting.json_numbers import short, short_list
from plotting.stacks import PROCESS_COLOURS
from plotting.style import SELECTION_NAMES

Floats = NDArray[np.float64]

StackKey = tuple[str, str, str, int, str, View]
"""Selection, score, training, epoch, variant, view of the signs."""

STORED_VIEWS: Mapping[View, tuple[View, ...]] = {"OS-SS": ("OS", "SS"), "OS+SS": ("OS+SS",)}
"""By a selection's own view: what the page is given. It subtracts SS from OS itself."""

VIEW_NAMES: Mapping[View, str] = {"OS": "OS", "SS": "SS", "OS-SS": "OS−SS", "OS+SS": "all"}


class Stack(NamedTuple):
    """One stack: by flavour, and the same simulation by process, shape `(n_bins,)` each."""

    templates: Templates
    processes: Mapping[str, Floats]


class Stacks(NamedTuple):
    """All stacks of a page."""

    before: dict[StackKey, Stack]
    """In the bins of the score."""
    after: dict[StackKey, Stack]
    """With the scale factors of the same checkpoint and variant, in the bins in which these were fitted."""
    bands: dict[StackKey, Floats]
    """How far systematic variations move the sum of simulation, down and up, shape `(2, n_bins)`; of every
    view that is offered, but empty where the results hold no variation."""
    bands_after: dict[StackKey, Floats]
    """What one standard deviation of the scale factors does to it, shape `(1, n_bins)`."""


def collect_stacks(
    results: Mapping[str, Result],
    *,
    scale_factors: Sequence[ScaleFactors] = (),
    epochs: Collection[int] | None = None,
) -> Stacks:
    """Return the stacks of every selection, score, training, epoch (all, or the given), variant and view.

    A selection without data has nothing to compare and is left out.
    """
    stacks = Stacks({}, {}, {}, {})
    for selection, result in results.items():
        if any(record.is_data for record in result.datasets.values()):
            points = [
                each for each in scenarios_with_result(result) if epochs is None or each.epoch in epochs
            ]
            for score in (each for each in SCORES if each in result.histograms):
                for point in points:
                    _collect(stacks, result, (selection, score, *point))
            for each in scale_factors:
                if (each.tagger, each.epoch, each.variant) in points and "plane" in result.histograms:
                    _collect_after(stacks, result, each)
    return stacks


def views_of(selection: str) -> list[View]:
    """Return the views of the signs that a selection offers, by its name alone, its own first."""
    return _views_beside(default_view(selection))


def _views_beside(own: View) -> list[View]:
    """Return the views that a page offers where `own` is that of the selection, which comes first."""
    return list(dict.fromkeys((own, *STORED_VIEWS[own])))


def _collect(stacks: Stacks, result: Result, place: tuple[str, str, str, int, str]) -> None:
    _, score, tagger, epoch, variant = place
    point: dict[str, Any] = {"tagger": tagger, "epoch": epoch, "variant": variant}
    factor = normalisation(result).factor
    signed = signed_templates(result, score, **point)
    # (process, sign, bin)
    jets = {
        name: factor * content.mc.sum(axis=0)[..., 1:-1]
        for name, content in process_contents(result, score, **point).items()
    }
    for view in STORED_VIEWS[view_of(result)]:
        templates = Templates(
            signed.edges,
            *combine_signs(signed.data, signed.data_variance, view, axis=0),
            *combine_signs(factor * signed.mc, factor**2 * signed.mc_variance, view, axis=1),
            GROUPS,
            factor,
        )
        processes = {name: combine_signs(each, each, view, axis=0)[0] for name, each in jets.items()}
        stacks.before[*place, view] = Stack(templates, processes)
    for view in _views_beside(view_of(result)):
        band = systematic_shifts(result, score, view=view, **point)
        if band is not None and band.any():
            stacks.bands[*place, view] = band


def _collect_after(stacks: Stacks, result: Result, factors: ScaleFactors) -> None:
    plane = RescaledPlane(result, factors)
    for axis in AXES:
        place = (result.selection, axis, factors.tagger, factors.epoch, factors.variant)
        views = _views_beside(view_of(result))
        found: dict[View, Rescaled] = {view: plane.stack(axis, view) for view in views}
        for view, each in found.items():
            stacks.bands_after[*place, view] = each.error[np.newaxis]
            if view in STORED_VIEWS[view_of(result)]:
                stacks.after[*place, view] = Stack(each.templates, each.processes)


def stack_payload(stacks: Stacks) -> dict[str, Any]:
    """Return the stacks as plain JSON.

    Keys are joined by `joined`; a list of processes is in the order of `process_orders`.
    """
    orders = process_orders(stacks)
    first = next(iter(stacks.before.values()), None)
    names = sorted({name for order in orders.values() for name in order})
    colours = dict(zip(names, _cycled(PROCESS_COLOURS, len(names)), strict=True))
    return {
        "processes": {
            selection: [{"key": name, "name": name, "colour": colours[name]} for name in order]
            for selection, order in orders.items()
        },
        "edges": short_list(first.templates.edges, 8) if first else [],
        "afterEdges": {key[1]: short_list(stack.templates.edges, 8) for key, stack in stacks.after.items()},
        # Data are the same for every variant of the simulation.
        "data": {joined((*key[:4], key[5])): _data(stack.templates) for key, stack in stacks.before.items()},
        "mc": {joined(key): _simulation(stack, orders[key[0]]) for key, stack in stacks.before.items()},
        "after": {joined(key): _simulation(stack, orders[key[0]]) for key, stack in stacks.after.items()},
        "bands": {joined(key): short_list(band, 3) for key, band in stacks.bands.items()},
        "afterBands": {joined(key): short_list(band, 3) for key, band in stacks.bands_after.items()},
    }


def process_orders(stacks: Stacks) -> dict[str, list[str]]:
    """Return the processes of every selection, the smallest first, the same for all its stacks."""
    orders: dict[str, list[str]] = {}
    for key, stack in stacks.before.items():
        if key[0] not in orders:
            sums = {name: float(jets.sum()) for name, jets in stack.processes.items()}
            orders[key[0]] = sorted(sums, key=lambda name: sums[name])
    return orders


def selection_payload(selection: str, stacks: Stacks) -> dict[str, Any]:
    """Return how the page names a selection and its views of the signs, by its stacks if it has any."""
    stored = {key[-1] for key in stacks.before if key[0] == selection}
    own = next((view for view, parts in STORED_VIEWS.items() if stored == set(parts)), None)
    offered = views_of(selection) if own is None else _views_beside(own)
    views = [{"key": view, "name": VIEW_NAMES[view]} for view in offered]
    return {"key": selection, "name": SELECTION_NAMES.get(selection, selection), "views": views}


def joined(parts: Iterable[object]) -> str:
    """Return a key of the page: its parts, separated by what no name of a training holds."""
    return "\x1f".join(map(str, parts))


def _data(stack: Templates) -> dict[str, Any]:
    """Return data per bin, and its variance where that is not the content itself (OS-SS)."""
    counts = {"n": short_list(stack.data)}
    return (
        counts
        if np.array_equal(stack.data, stack.data_variance)
        else counts | {"v": short_list(stack.data_variance)}
    )


def _simulation(stack: Stack, order: Sequence[str]) -> dict[str, Any]:
    error = np.sqrt(np.maximum(np.sum(stack.templates.mc_variance, axis=0), 0.0))
    return {
        "n": short_list(stack.templates.mc, 4),
        "p": [short_list(stack.processes[name], 3) for name in order],
        "e": short_list(error, 3),
        "f": short(stack.templates.factor),
    }


def _cycled(colours: Sequence[str], n: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(n)]
