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
        cuts: The named masks of all events, shape ``(n_events,)`` each, in the order of the cutflow.
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


def one_probe_per_event(
    cuts: PackedSelection,
    *,
    jet: NDArray[np.int64],
    sign: NDArray[np.int8],
    control: Mapping[str, Column],
    objects: Mapping[str, tuple[NDArray[np.int64], ...]] | None = None,
) -> Selected:
    """Return the probes of the events that pass every cut.

    Args:
        cuts: The masks of all events.
        jet: The probe of each event, shape ``(n_events,)``; -1 for none.
        sign: As in `Selected`, but for each event, shape ``(n_events,)``.
        control: As in `Selected`, but for each event, shape ``(n_events,)`` each.
        objects: As in `Selected`, but for each event, shape ``(n_events,)`` each.
    """
    passing = cuts.all(*cuts.names) & (jet >= 0)
    chosen = {name: np.asarray(values, dtype=np.float64)[passing] for name, values in control.items()}
    leptons = {
        kind: tuple(position[passing] for position in positions)
        for kind, positions in (objects or {}).items()
    }
    return Selected(cuts, np.flatnonzero(passing), jet[passing], sign[passing], chosen, leptons)


def starts_of(jagged: ak.Array) -> NDArray[np.int64]:
    """Return where each event's objects start in the flattened collection, shape ``(n_events,)``."""
    counts = np.asarray(ak.num(jagged, axis=1), dtype=np.int64)
    return np.cumsum(counts) - counts


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
    position = ak.argmax(ak.where(allowed, values, -np.inf), axis=1)
    position = np.asarray(ak.fill_none(position, -1), dtype=np.int64)
    return np.where(np.asarray(ak.any(allowed, axis=1)), position, -1)


def require_same_counts(first: ak.Array, second: ak.Array) -> None:
    """Raise unless both have the same number of objects in every event.

    Raises:
        ValueError: If they differ: an inner mask of another length silently picks other objects.
    """
    if len(first) != len(second) or not ak.all(ak.num(first, axis=1) == ak.num(second, axis=1)):
        raise ValueError(
            "a mask does not have the same number of objects in every event as what it is meant for: "
            "make it from the same, unfiltered collection"
        )
