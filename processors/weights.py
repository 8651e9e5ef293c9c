"""The weights of events and of probes, and the sums by which a cross section is divided later."""

from collections.abc import Callable, Mapping

import awkward as ak
import numpy as np
from coffea.analysis_tools import Weights
from numpy.typing import NDArray

from events.reading import DamagedValueError
from processors.corrections import SYSTEMATIC, Constant, Corrections, Table, WeightCard
from processors.look_up_counts import Counts, count_look_ups
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
        DamagedValueError: If a weight is no finite number.
    """
    generated = None if is_data else column(events, "genWeight")
    if generated is None:
        return np.ones(len(events))
    weights = np.asarray(generated, dtype=np.float64)
    if not np.isfinite(weights).all():
        raise DamagedValueError(
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
    events: ak.Array,
    selected: Selected,
    corrections: Corrections,
    selection: str,
    generated: Weight,
    counts: Counts,
) -> Weights:
    """Return the weights of the probes: the generator's, and every correction of the selection by its name.

    Args:
        events: What was selected from.
        selected: The probes.
        corrections: Which tables apply.
        selection: The name of the selection.
        generated: The generator's weight of all events, shape ``(n_events,)``.
        counts: The look-ups of the nominal labels are added here.

    Raises:
        ValueError: If a branch or an entry of a table is missing, or a weight is no finite number.
    """
    weights = Weights(len(selected.event))
    weights.add("genWeight", generated[selected.event])
    for card in corrections.weights_of(selection):
        table = corrections.table(card)
        nominal = _factor(events, selected, card, table, card.nominal, counts)
        if card.up is None:
            weights.add(card.name, nominal)
        else:
            up, down = (_factor(events, selected, card, table, label, {}) for label in (card.up, card.down))
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


def event_column(events: ak.Array, branch: str) -> NDArray[np.float64]:
    """Return a branch that corrections read, one value for each event, shape ``(n_events,)``.

    Raises:
        ValueError: If it is missing, or has several values for an event.
    """
    values = _column(events, branch)
    if values.ndim != 1:
        raise ValueError(
            f"branch {branch} has several values for an event, where the corrections need one: fix the inputs"
        )
    return np.asarray(values, dtype=np.float64)


def object_column(events: ak.Array, branch: str) -> ak.Array:
    """Return a branch that corrections read, with values for each object of a collection.

    Raises:
        ValueError: If it is missing, or has one value for an event.
    """
    values = _column(events, branch)
    if values.ndim != 2:
        raise ValueError(f"branch {branch} has no value for each object, as corrections need: fix the inputs")
    return values


def _column(events: ak.Array, branch: str) -> ak.Array:
    values = column(events, branch)
    if values is None:
        raise ValueError(f"no branch {branch}, which the corrections need: fix the inputs")
    return values


def _factor(
    events: ak.Array,
    selected: Selected,
    card: WeightCard,
    table: Lookup,
    label: str | None,
    counts: Counts,
) -> Weight:
    """Return the product of a table's values over a probe's objects of one kind, shape ``(n_probes,)``."""
    factor = np.ones(len(selected.event))
    if card.object == "event":
        inputs = input_values(card, label, lambda name: _event_values(events, name)[selected.event])
        return _finite(card, table, inputs, len(factor), counts)
    positions = (selected.jet,) if card.object == "jet" else selected.objects.get(card.object, ())
    for position in positions:
        there = np.flatnonzero(position >= 0)
        read = _object_reader(events, card.object, selected.event[there], position[there])
        factor[there] *= _finite(card, table, input_values(card, label, read), len(there), counts)
    return factor


def _finite(
    card: WeightCard, table: Lookup, inputs: Mapping[str, object], size: int, counts: Counts
) -> Weight:
    """Return the values of a table, counted.

    Raises:
        ValueError: If one is no finite number: it would be the sum of all weights.
    """
    values = table.evaluate(inputs, size)
    count_look_ups(counts, f"weight {card.name}", table, inputs, values, is_weight=True)
    if n_broken := int(np.count_nonzero(~np.isfinite(values))):
        raise ValueError(
            f"weight {card.name}: correction '{table.name}' of {table.file} gives no finite number for "
            f"{n_broken} of {size} objects: check the table and its inputs"
        )
    return values


def _object_reader(
    events: ak.Array, kind: str, event: NDArray[np.int64], position: NDArray[np.int64]
) -> Callable[[str], NDArray[np.floating]]:
    def read(name: str) -> NDArray[np.floating]:
        if name.startswith(_EVENT_PREFIX):
            return _event_values(events, name)[event]
        values = object_column(events, _branch(name, kind))
        return np.asarray(flat_values(values)[starts_of(values)[event] + position], dtype=np.float64)

    return read


def _event_values(events: ak.Array, name: str) -> NDArray[np.float64]:
    return event_column(events, name.removeprefix(_EVENT_PREFIX))


def _column_name(source: str) -> tuple[str, bool]:
    """Return the column of an input, and whether its absolute value is meant."""
    if source.startswith("abs(") and source.endswith(")"):
        return source[4:-1], True
    return source, False


def _branch(name: str, kind: str) -> str:
    if name.startswith(_EVENT_PREFIX):
        return name.removeprefix(_EVENT_PREFIX)
    return name if kind == "event" else f"{COLLECTIONS[kind]}_{name}"
