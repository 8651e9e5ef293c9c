"""All good jets of the selected events, in place of the one that a selection studies."""

from dataclasses import replace

import awkward as ak
import numpy as np

from selections.cuts import DileptonSelection, DYSelection, Selection, SingleLeptonSelection
from selections.objects import COLLECTIONS, away_from, good_jets, n_selected
from selections.selected import Selected, flat_values

_WITH_LEPTONS = (DYSelection, SingleLeptonSelection, DileptonSelection)


def all_good_jets(events: ak.Array, selected: Selected, parameters: Selection) -> Selected:
    """Return every good jet of the events of the probes, away from the leptons that the selection rests on.

    Sign and control variables are those of the event, but for `jet_pt` and `jet_eta`, which are the jet's
    own. Cuts are unchanged: they count events.

    Args:
        events: A chunk of events.
        selected: What a selection found in it, one jet an event at most.
        parameters: The row of the selection; without leptons all its jets are under study as it is.
    """
    if not isinstance(parameters, _WITH_LEPTONS) or len(selected.jet) == 0:
        return selected
    chosen = events[selected.event]
    good = good_jets(chosen, parameters.jet)
    for kind in ("muon", "electron"):
        leptons = chosen[COLLECTIONS[kind]]
        for position in selected.objects.get(kind, ()):
            good = away_from(
                chosen.Jet, good, leptons, position, min_delta_r=parameters.min_delta_r, strictly=True
            )
    counts = n_selected(good)
    probe = np.repeat(np.arange(len(counts)), counts)
    kinematics = {
        f"jet_{field}": flat_values(chosen.Jet[field][good]).astype(np.float64) for field in ("pt", "eta")
    }
    control = {name: values[probe] for name, values in selected.control.items()}
    return replace(
        selected,
        event=selected.event[probe],
        jet=flat_values(ak.local_index(chosen.Jet.pt, axis=1)[good]).astype(np.int64),
        sign=selected.sign[probe],
        control=control | {name: kinematics[name] for name in kinematics if name in control},
        objects={
            kind: tuple(position[probe] for position in positions)
            for kind, positions in selected.objects.items()
        },
    )
