"""The weights of events and of probes, and the sums by which a cross section is divided later."""

from collections.abc import Callable, Mapping

import awkward as ak
import numpy as np
from coffea.analysis_tools import Weights
from numpy.typing import NDArray

from processors.corrections import SYSTEMATIC, Constant, Corrections, Table, WeightCard
from processors.lookup import Lookup
from selections.branches import column
from selections.selected import Selected, flat_values, starts_of

Weight = NDArray[np.float64]

COLLECTIONS: Mapping[str, str] = {
    "muon": "Muon",
    "electron": "Electron",
    "soft_muon": "Muon",
    "jet": "Jet",
}
"""Where the objects of each kind are; the kind `event` is none."""

_EVENT_PREFIX = "event."


def event_weights(events: ak.Array, *, is_data: bool) -> Weight:
    """Return the weights of all events of a chunk, shape ``(n_events,)``: the generator's, or 1 in data.

    1 also in simulation without generator weights, which is noted when the files are opened beforehand.

    Raises:
        ValueError: If a weight is no finite number.
    """
    generated = None if is_data else column(events, "genWeight")
    if generated is None:
        return np.ones(len(events))
    weights = np.asarray(generated, dtype=np.float64)
    if not np.isfinite(weights).all():
        raise ValueError(
            f"{events.metadata['dataset']}, {events.metadata['filename']}: "
            f"{np.count_nonzero(~np.isfinite(weights))} values of genWeight are no finite numbers: "
            "the file is damaged, make or fetch it again"
        )
    return weights


def require_finite_weights(events: ak.Array, weighed: Mapping[str, Weight]) -> None:
    """Raise if a weight of a probe is no finite number.

    Args:
        events: The chunk, for the message.
        weighed: The weights of the probes by systematic, shape ``(n_probes,)`` each.

    Raises:
        ValueError: If so; the sentence names dataset, file and systematic.
    """
    for systematic, weight in weighed.items():
        if n_broken := int(np.count_nonzero(~np.isfinite(weight))):
            raise ValueError(
                f"{events.metadata['dataset']}, {events.metadata['filename']}: {n_broken} of {len(weight)} "
                f"jets have a weight that is no finite number ({systematic}): check genWeight and corrections"
            )


def probe_weights(
    events: ak.Array, selected: Selected, corrections: Corrections, selection: str, generated: Weight
) -> Weights:
    """Return the weights of the probes: the generator's, and every correction of the selection by its name.

    Args:
        events: What was selected from.
        selected: The probes.
        corrections: Which tables apply.
        selection: The name of the selection.
        generated: The generator's weight of all events, shape ``(n_events,)``.
    """
    weights = Weights(len(selected.event))
    weights.add("genWeight", generated[selected.event])
    for card in corrections.weights_of(selection):
        table = corrections.table(card)
        nominal = _factor(events, selected, card, table, card.nominal)
        if card.up is None:
            weights.add(card.name, nominal)
        else:
            up, down = (_factor(events, selected, card, table, label) for label in (card.up, card.down))
            weights.add(card.name, nominal, weightUp=up, weightDown=down)
    return weights


def input_branches(table: Table, kind: str) -> tuple[str, ...]:
    """Return the branches behind the inputs of a table, for objects of a kind."""
    sources = [source for source in table.inputs.values() if isinstance(source, str) and source != SYSTEMATIC]
    return tuple(_branch(_column_name(source)[0], kind) for source in sources)


def input_values(
    table: Table, label: str | None, read: Callable[[str], NDArray[np.floating]]
) -> dict[str, object]:
    """Return what a table is looked up with.

    Args:
        table: The table.
        label: Name of the variation.
        read: Returns the values of a column, shape ``(n_objects,)``.
    """
    values: dict[str, object] = {}
    for name, source in table.inputs.items():
        if isinstance(source, Constant):
            values[name] = source.constant
        elif source == SYSTEMATIC:
            values[name] = label
        else:
            column_name, absolute = _column_name(source)
            column_values = read(column_name)
            values[name] = np.abs(column_values) if absolute else column_values
    return values


def sums(weights: Weight) -> Weight:
    """Return number, sum and sum of squares of weights, shape ``(3,)``."""
    return np.array([len(weights), weights.sum(), np.square(weights).sum()])


def cutflow(selected: Selected, weights: Weight) -> dict[str, Weight]:
    """Return the sums of the events left after each cut and all before it, beginning with all events."""
    left = {"all": sums(weights)}
    left.update((name, sums(weights[mask])) for name, mask in selected.cutflow_masks())
    return left


def n_minus_one(selected: Selected, weights: Weight) -> dict[str, Weight]:
    """Return for each cut the sums of the events that pass all others."""
    return {name: sums(weights[mask]) for name, mask in selected.n_minus_one_masks()}


def _factor(
    events: ak.Array, selected: Selected, card: WeightCard, table: Lookup, label: str | None
) -> Weight:
    """Return the product of a table's values over a probe's objects of one kind, shape ``(n_probes,)``."""
    if card.object == "event":
        inputs = input_values(card, label, lambda name: _event_values(events, name)[selected.event])
        return table.evaluate(inputs, len(selected.event))
    factor = np.ones(len(selected.event))
    positions = (selected.jet,) if card.object == "jet" else selected.objects.get(card.object, ())
    for position in positions:
        there = np.flatnonzero(position >= 0)
        read = _object_reader(events, card.object, selected.event[there], position[there])
        factor[there] *= table.evaluate(input_values(card, label, read), len(there))
    return factor


def _object_reader(
    events: ak.Array, kind: str, event: NDArray[np.int64], position: NDArray[np.int64]
) -> Callable[[str], NDArray[np.floating]]:
    def read(name: str) -> NDArray[np.floating]:
        if name.startswith(_EVENT_PREFIX):
            return _event_values(events, name)[event]
        values = column(events, _branch(name, kind))
        if values is None:
            raise ValueError(f"no branch {_branch(name, kind)}, which the corrections need: mend the inputs")
        return np.asarray(flat_values(values)[starts_of(values)[event] + position], dtype=np.float64)

    return read


def _event_values(events: ak.Array, name: str) -> NDArray[np.floating]:
    branch = name.removeprefix(_EVENT_PREFIX)
    values = column(events, branch)
    if values is None:
        raise ValueError(f"no branch {branch}, which the corrections need: mend the inputs")
    return np.asarray(values, dtype=np.float64)


def _column_name(source: str) -> tuple[str, bool]:
    """Return the column of an input, and whether its absolute value is meant."""
    if source.startswith("abs(") and source.endswith(")"):
        return source[4:-1], True
    return source, False


def _branch(name: str, kind: str) -> str:
    if name.startswith(_EVENT_PREFIX):
        return name.removeprefix(_EVENT_PREFIX)
    return name if kind == "event" else f"{COLLECTIONS[kind]}_{name}"
