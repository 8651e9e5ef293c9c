"""Which events were recorded well: luminosity sections, filters, triggers."""

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.branches import column
from selections.cuts import Selection, TriggerGroups

Mask = NDArray[np.bool_]


def event_cuts(events: ak.Array, parameters: Selection, good_luminosity: Mask | None) -> PackedSelection:
    """Return a new set of cuts that begins with what does not depend on any object.

    Args:
        events: A chunk of events.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.
    """
    everything = np.ones(len(events), dtype=np.bool_)
    cuts = PackedSelection()
    cuts.add("good_luminosity", everything if good_luminosity is None else good_luminosity)
    cuts.add("met_filters", passes_all(events, parameters.met_filters))
    cuts.add("trigger", passes_trigger(events, parameters.triggers))
    return cuts


def passes_all(events: ak.Array, flags: tuple[str, ...]) -> Mask:
    """Return which events pass every filter that their file has, shape ``(n_events,)``."""
    passing = np.ones(len(events), dtype=np.bool_)
    for flag in flags:
        values = column(events, flag)
        if values is not None:
            passing &= np.asarray(values, dtype=np.bool_)
    return passing


def passes_trigger(events: ak.Array, groups: TriggerGroups) -> Mask:
    """Return which events fired one of the paths, shape ``(n_events,)``.

    The first group counts of which a file has at least one branch; all events pass where it has none of any.
    """
    for group in groups:
        fired = [
            np.asarray(values, dtype=np.bool_)
            for path in group
            if (values := column(events, path)) is not None
        ]
        if fired:
            return np.asarray(np.any(fired, axis=0), dtype=np.bool_)
    return np.ones(len(events), dtype=np.bool_)
