"""What a selection finds in a chunk of events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Selected:
    """The jets under study (probes) of a chunk, and the cuts that led to them.

    A probe is named by two positions, `(event, jet)`: the event in the chunk, and the jet in the event's
    `Jet` collection as read, whatever was cut or sorted on the way.

    Attributes:
        cuts: The named masks of all events, shape ``(n_events,)`` each, in the order of the cutflow; a late
            one may be False where it was not worked out, see `undecided`.
        event: Position of a probe's event in the chunk, shape ``(n_probes,)``.
        jet: Position of the probe in its event's jets, shape ``(n_probes,)``.
        sign: +1 opposite sign, -1 same sign, shape ``(n_probes,)``; +1 where a selection has no such thing.
        control: Control variables by name, shape ``(n_probes,)`` each.
        objects: Positions of the leptons the selection rests on by kind (`muon`, `electron`, `soft_muon`), in
            their event's collection as read, -1 for none, shape ``(n_probes,)`` each; a Z has two of a kind.
    """

    cuts: PackedSelection
    event: NDArray[np.int64]
    jet: NDArray[np.int64]
    sign: NDArray[np.int8]
    control: Mapping[str, Column]
    objects: Mapping[str, tuple[NDArray[np.int64], ...]] = field(default_factory=dict)

    def values(self, jagged: ak.Array) -> NDArray[Any]:
        """Return one value for each probe from a column of the `Jet` collection, shape ``(n_probes,)``."""
        return flat_values(jagged)[self.flat_position(jagged)]

    def flat_position(self, jagged: ak.Array) -> NDArray[np.int64]:
        """Return where the probes are in the flattened `Jet` collection, shape ``(n_probes,)``."""
        return starts_of(jagged)[self.event] + self.jet

    def cutflow_masks(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return each cut's name with the events that pass it and all cuts before it."""
        names = self.cuts.names
        return [(name, self.cuts.all(*names[: position + 1])) for position, name in enumerate(names)]

    def n_minus_one_masks(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return each cut's name with the events that pass all other cuts."""
        names = self.cuts.names
        return [(name, self.cuts.all(*(other for other in names if other != name))) for name in names]


def undecided(cuts: PackedSelection) -> NDArray[np.int64]:
    """Return the positions of the events that fail one cut at most, shape ``(n_undecided,)``.

    An event that fails two counts in no later step of the cutflow, nor among those that pass all cuts but
    one. So what takes long is worked out for the undecided events alone, and is False elsewhere.
    """
    n_failed = np.sum([~cuts.all(name) for name in cuts.names], axis=0)
    return np.flatnonzero(n_failed <= 1)


def one_probe_per_event(
    cuts: PackedSelection,
    later: PackedSelection,
    among: NDArray[np.int64],
    *,
    jet: NDArray[np.int64],
    sign: NDArray[np.int8],
    control: Mapping[str, Column],
    objects: Mapping[str, tuple[NDArray[np.int64], ...]] | None = None,
) -> Selected:
    """Return the probes of the events that pass every cut.

    Args:
        cuts: The masks of all events; those of `later` are added to them.
        later: The masks of the undecided events, shape ``(n_undecided,)`` each.
        among: Which events these are, see `undecided`.
        jet: The probe of each of them, shape ``(n_undecided,)``; -1 for none.
        sign: As in `Selected`, but for each of them, shape ``(n_undecided,)``.
        control: As in `Selected`, but for each of them, shape ``(n_undecided,)`` each.
        objects: As in `Selected`, but for each of them, shape ``(n_undecided,)`` each.
    """
    n_events = len(cuts.all(*cuts.names))
    for name in later.names:
        mask = np.zeros(n_events, dtype=np.bool_)
        mask[among] = later.all(name)
        cuts.add(name, mask)
    passing = cuts.all(*cuts.names)[among] & (jet >= 0)
    chosen = {name: np.asarray(values, dtype=np.float64)[passing] for name, values in control.items()}
    leptons = {
        kind: tuple(position[passing] for position in positions)
        for kind, positions in (objects or {}).items()
    }
    return Selected(cuts, among[passing], jet[passing], sign[passing], chosen, leptons)


def counts_of(jagged: ak.Array) -> NDArray[np.int64]:
    """Return the number of objects of each event, shape ``(n_events,)``."""
    return np.asarray(ak.num(jagged, axis=1), dtype=np.int64)


def starts_of(jagged: ak.Array) -> NDArray[np.int64]:
    """Return where each event's objects start in the flattened collection, shape ``(n_events,)``."""
    counts = counts_of(jagged)
    return np.cumsum(counts) - counts


def event_of_each(jagged: ak.Array) -> NDArray[np.int64]:
    """Return the event of all objects of all events, one after the other."""
    counts = counts_of(jagged)
    return np.repeat(np.arange(len(counts)), counts)


def flat_values(jagged: ak.Array) -> NDArray[Any]:
    """Return the values of all objects of all events, one after the other."""
    return np.asarray(ak.flatten(jagged, axis=1))


def pick(jagged: ak.Array, position: NDArray[np.int64]) -> Column:
    """Return one object's value for each event, NaN where there is none, shape ``(n_events,)``.

    Args:
        jagged: Values of all objects of all events.
        position: Which object, shape ``(n_events,)``; -1 for none.
    """
    values = np.full(len(position), np.nan)
    found = np.flatnonzero(position >= 0)
    values[found] = flat_values(jagged)[starts_of(jagged)[found] + position[found]]
    return values


def position_of_largest(values: ak.Array, allowed: ak.Array) -> NDArray[np.int64]:
    """Return the position of the largest allowed value in each event, -1 for none, shape ``(n_events,)``.

    Raises:
        ValueError: If an event does not have as many of one as of the other (awkward would not notice).
    """
    require_same_counts(values, allowed)
    chosen = np.flatnonzero(flat_values(allowed))
    event = event_of_each(allowed)[chosen]
    largest = np.full(len(values), -np.inf)
    np.maximum.at(largest, event, flat_values(values)[chosen])
    is_largest = flat_values(values)[chosen] == largest[event]
    event, chosen = event[is_largest], chosen[is_largest]
    position = np.full(len(values), -1)
    # From behind: of equal ones the first stays.
    position[event[::-1]] = (chosen - starts_of(allowed)[event])[::-1]
    return position


def require_same_counts(first: ak.Array, second: ak.Array) -> None:
    """Raise unless both have the same number of objects in every event.

    Raises:
        ValueError: If they differ: an inner mask of another length silently picks other objects.
    """
    if not np.array_equal(counts_of(first), counts_of(second)):
        raise ValueError(
            "a mask does not have the same number of objects in every event as what it is meant for: "
            "make it from the same, unfiltered collection"
        )
