"""Semileptonic top pairs: of four jets or more, the hardest one with a soft muon is mostly a b jet."""

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from selections.objects import pair_mass_and_pt
from selections.parameters import SingleMuonSelection
from selections.selected import Selected, one_probe_per_event
from selections.single_muon import (
    SingleMuonEvents,
    add_probe_cuts,
    add_w_cuts,
    charge_product,
    control_variables,
    sign_of,
    single_muon_events,
)
from selections.triggers import Mask, event_cuts


def select(
    events: ak.Array, parameters: SingleMuonSelection, *, good_luminosity: NDArray[np.bool_] | None = None
) -> Selected:
    """Return the hardest jet with a soft muon of events with a W and four jets or more.

    `Selected.sign` is the true sign of the two muons; nothing is subtracted in this selection.
    Control variables: jet_pt, jet_eta, n_jets, soft_muon_pt, muon_pt, mt.

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), section on the top-pair selection; thesis, appendix A.5.
    """
    found = single_muon_events(events, parameters)
    cuts = event_cuts(events, parameters, good_luminosity)
    add_w_cuts(cuts, events, found, parameters)
    add_probe_cuts(cuts, events, found, parameters)
    cuts.add("dimuon_veto", no_resonance(events, found, parameters))
    return one_probe_per_event(
        cuts, jet=found.probe.jet, sign=sign_of(events, found), control=control_variables(events, found)
    )


def no_resonance(events: ak.Array, found: SingleMuonEvents, parameters: SingleMuonSelection) -> Mask:
    """Return the events whose hard and soft muon do not come from one resonance, shape ``(n_events,)``.

    Muons of the same sign pass, and events without the two.

    Source:
        The public code behind CMS-BTV-20-001, veto of Z and of light resonances in top pairs.
    """
    # One pair for each event that has both muons, as lists of length 0 or 1.
    both = np.asarray((found.muon >= 0) & (found.probe.muon >= 0), dtype=np.int64)
    pairs = ak.unflatten(ak.zip({"plus": found.muon[both > 0], "minus": found.probe.muon[both > 0]}), both)
    mass, _ = pair_mass_and_pt(events.Muon, pairs)
    mass = np.asarray(ak.fill_none(ak.firsts(mass), np.nan))
    low, high = parameters.z_veto
    opposite = charge_product(events, found) < 0
    resonant = ((mass >= low) & (mass <= high)) | (mass <= parameters.min_dimuon_mass)
    return ~(opposite & resonant)
