"""Semileptonic top pairs: of four jets or more, the hardest one with a soft muon is mostly a b jet."""

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.cuts import SingleLeptonSelection
from selections.objects import mass_and_pt_of_two, momenta_of
from selections.selected import Selected, one_probe_per_event, undecided
from selections.single_lepton import (
    SingleLeptonEvents,
    add_probe_cuts,
    add_w_cuts,
    charge_product,
    control_variables,
    lepton_cuts,
    objects_of,
    sign_of,
    single_lepton_events,
    study_jet,
)
from selections.triggers import Mask


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
    cuts = lepton_cuts(events, parameters, good_luminosity)
    among = undecided(cuts)
    chosen, later = events[among], PackedSelection()
    found = single_lepton_events(chosen, parameters)
    add_w_cuts(later, chosen, found, parameters)
    add_probe_cuts(later, chosen, found, parameters)
    if parameters.z_veto is not None:
        later.add("dimuon_veto", no_resonance(chosen, found, parameters, parameters.z_veto))
    jet = study_jet(later, chosen, found, parameters)
    return one_probe_per_event(
        cuts,
        later,
        among,
        jet=jet,
        sign=sign_of(chosen, found),
        control=control_variables(chosen, found, jet, parameters.lepton),
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
