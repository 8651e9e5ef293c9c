"""Semileptonic top pairs: of four jets or more, the hardest one with a soft muon is mostly a b jet."""

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from selections.cuts import SingleLeptonSelection
from selections.objects import mass_and_pt_of_two, momenta_of
from selections.selected import Selected, one_probe_per_event
from selections.single_lepton import (
    SingleLeptonEvents,
    add_probe_cuts,
    add_w_cuts,
    charge_product,
    control_variables,
    objects_of,
    sign_of,
    single_lepton_events,
    study_jet,
)
from selections.triggers import Mask, event_cuts


def select(
    events: ak.Array, parameters: SingleLeptonSelection, *, good_luminosity: NDArray[np.bool_] | None = None
) -> Selected:
    """Return the hardest jet with a soft muon of events with a W and four jets or more.

    `Selected.sign` is the true sign of lepton and soft muon; nothing is subtracted in this selection.
    Control variables: jet_pt, jet_eta, n_jets, soft_muon_pt, muon_pt (or electron_pt), mt.

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), section on the top-pair selection; thesis, appendix A.5.
    """
    found = single_lepton_events(events, parameters)
    cuts = event_cuts(events, parameters, good_luminosity)
    add_w_cuts(cuts, events, found, parameters)
    add_probe_cuts(cuts, events, found, parameters)
    if parameters.z_veto is not None:
        cuts.add("dimuon_veto", no_resonance(events, found, parameters, parameters.z_veto))
    jet = study_jet(cuts, events, found, parameters)
    return one_probe_per_event(
        cuts,
        jet=jet,
        sign=sign_of(events, found),
        control=control_variables(events, found, jet, parameters.lepton),
        objects=objects_of(found, parameters.lepton),
    )


def no_resonance(
    events: ak.Array,
    found: SingleLeptonEvents,
    parameters: SingleLeptonSelection,
    z_veto: tuple[float, float],
) -> Mask:
    """Return the events whose hard and soft muon do not come from one resonance, shape ``(n_events,)``.

    Muons of the same sign pass, and events without the two.

    Source:
        The public code behind CMS-BTV-20-001, veto of Z and of light resonances in top pairs.
    """
    hard = momenta_of(events[found.collection], found.lepton)
    mass, _ = mass_and_pt_of_two(hard, momenta_of(events.Muon, found.probe.muon))
    low, high = z_veto
    opposite = charge_product(events, found) < 0
    resonant = ((mass >= low) & (mass <= high)) | (mass <= parameters.min_dimuon_mass)
    return ~(opposite & resonant)
