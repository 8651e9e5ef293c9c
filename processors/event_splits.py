"""Events that taggers were adapted to are held out of what these taggers are compared on, or are collected.

Whether an event is adapted to depends on run, luminosity section and number alone, in data and simulation
alike. It is the first cut after the sums of the generator's weights: both lose the same share of their
events, and luminosities and sums of weights stay those of all events.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from models.event_split import EventSplit
from models.tagger import Tagger
from processors.extras import Extras
from selections.selected import Selected

HELD_OUT: Final = "held_out"
"""The cut that takes away the events that were adapted to."""
ADAPTED: Final = "adapted"
"""The cut that leaves them."""


def of_the_split(events: ak.Array, selected: Selected, extras: Extras) -> Selected:
    """Return the probes of the events that are wanted, with the cut for it first in the cutflow.

    Without a split of events all are.
    """
    if extras.held_out is not None:
        return _after(HELD_OUT, ~_is_adapted(events, extras.held_out), selected)
    if extras.collected is not None:
        return _after(ADAPTED, _is_adapted(events, extras.collected), selected)
    return selected


def require_held_out(taggers: Sequence[Tagger], held_out: EventSplit | None) -> None:
    """Raise if a tagger would be judged on events whose jets it was adapted to.

    Raises:
        ValueError: If so; with the tagger, its split of events, and what to hold out.
    """
    for tagger in taggers:
        adapted_on = tagger.metadata.adapted_on
        if adapted_on is None or (held_out is not None and held_out.covers(EventSplit.parse(adapted_on))):
            continue
        kept = "no event is" if held_out is None else f"{held_out.name} is"
        raise ValueError(
            f"tagger {tagger.label} was adapted to the events of the split {adapted_on} and {kept} held out, "
            f"so it would be judged on jets it has seen: hold out {adapted_on} (--held-out {adapted_on}) or "
            "a larger share of the same seed"
        )


def split_to_hold_out(taggers: Sequence[Tagger]) -> EventSplit | None:
    """Return the smallest split that covers what all taggers were adapted to; None if none was.

    Raises:
        ValueError: If they were adapted to splits of different seeds, which no split covers.
    """
    splits = {
        tagger.label: EventSplit.parse(tagger.metadata.adapted_on)
        for tagger in taggers
        if tagger.metadata.adapted_on is not None
    }
    if not splits:
        return None
    widest = max(splits.values())
    for label, split in splits.items():
        if not widest.covers(split):
            others = next(name for name, other in splits.items() if other.seed != split.seed)
            raise ValueError(
                f"taggers {label} and {others} were adapted to splits of different seeds, {split.name} and "
                f"{splits[others].name}: process them in runs of their own, or train them on one split"
            )
    return widest


def _is_adapted(events: ak.Array, split: EventSplit) -> NDArray[np.bool_]:
    return split.is_adapted(*(np.asarray(events[name]) for name in ("run", "luminosityBlock", "event")))


def _after(name: str, mask: NDArray[np.bool_], selected: Selected) -> Selected:
    """Return what is left of the probes after a cut on their events, which becomes the first of all."""
    cuts = PackedSelection()
    cuts.add(name, mask)
    for other in selected.cuts.names:
        cuts.add(other, selected.cuts.all(other))
    chosen = mask[selected.event]
    return replace(
        selected,
        cuts=cuts,
        event=selected.event[chosen],
        jet=selected.jet[chosen],
        sign=selected.sign[chosen],
        control={variable: values[chosen] for variable, values in selected.control.items()},
        objects={
            kind: tuple(position[chosen] for position in positions)
            for kind, positions in selected.objects.items()
        },
    )
