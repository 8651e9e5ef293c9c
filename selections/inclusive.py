"""Every good jet of every event: for files without leptons, and for looking at a tagger as such."""

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from selections.cuts import InclusiveSelection
from selections.objects import good_jets, n_selected
from selections.selected import Selected, flat_values, starts_of
from selections.triggers import event_cuts


def select(
    events: ak.Array, parameters: InclusiveSelection, *, good_luminosity: NDArray[np.bool_] | None = None
) -> Selected:
    """Return every jet inside the kinematic cuts, any number for each event.

    Control variables: jet_pt, jet_eta, n_jets.

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.
    """
    jets = events.Jet
    good = good_jets(events, parameters.jet)
    n_jets = n_selected(good)
    cuts = event_cuts(events, parameters, good_luminosity)
    cuts.add("n_jets", n_jets >= 1)

    good = good & cuts.all(*cuts.names)
    event = np.repeat(np.arange(len(events)), n_selected(good))
    position = flat_values(ak.local_index(jets.pt, axis=1)[good]).astype(np.int64)
    flat = starts_of(jets.pt)[event] + position
    control = {
        "jet_pt": flat_values(jets.pt)[flat].astype(np.float64),
        "jet_eta": flat_values(jets.eta)[flat].astype(np.float64),
        "n_jets": n_jets[event].astype(np.float64),
    }
    return Selected(cuts, event, position, np.ones(len(event), dtype=np.int8), control)
