"""W and a jet with a soft muon: after opposite sign minus same sign, mostly c jets."""

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.cuts import SingleLeptonSelection
from selections.objects import opposite_sign_pairs, pair_mass_and_pt, tight_muons
from selections.selected import Selected, one_probe_per_event, pick, undecided
from selections.single_lepton import (
    add_probe_cuts,
    add_w_cuts,
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
    """Return the hardest jet with a soft muon of events with a W, and the sign of lepton and soft muon.

    Weights are not signed: opposite and same sign are told apart by `Selected.sign`, in data and simulation.
    Control variables: jet_pt, jet_eta, n_jets, soft_muon_pt, muon_pt (or electron_pt), mt.

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), section on the W+c selection; thesis, appendix A.5.
    """
    cuts = lepton_cuts(events, parameters, good_luminosity)
    among = undecided(cuts)
    chosen, later = events[among], PackedSelection()
    found = single_lepton_events(chosen, parameters)
    add_w_cuts(later, chosen, found, parameters)
    if parameters.z_veto is not None:
        later.add("dimuon_veto", no_resonance(chosen.Muon, parameters, parameters.z_veto))
    add_probe_cuts(later, chosen, found, parameters)
    if parameters.max_lepton_fraction is not None:
        fraction = pick(chosen.Jet.muEF, found.probe.jet) + pick(chosen.Jet.neEmEF, found.probe.jet)
        later.add("lepton_fraction", fraction < parameters.max_lepton_fraction)
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


def no_resonance(muons: ak.Array, parameters: SingleLeptonSelection, z_veto: tuple[float, float]) -> Mask:
    """Return the events without a resonance among tight muons of opposite sign, shape ``(n_events,)``.

    The pair nearest to the Z must lie outside the window, and the lightest pair above the smallest mass; an
    event without a pair passes.

    Source:
        The public code behind CMS-BTV-20-001, veto of Z and of light resonances in W+c.
    """
    pairs = opposite_sign_pairs(muons, tight_muons(muons, parameters.muon.abs_eta))
    mass, _ = pair_mass_and_pt(muons, pairs)
    low, high = z_veto
    nearest = ak.firsts(mass[ak.argmin(abs(mass - parameters.z_mass), axis=1, keepdims=True)])
    outside = (nearest < low) | (nearest > high)
    heavy = ak.min(mass, axis=1) > parameters.min_dimuon_mass
    return np.asarray(ak.fill_none(outside & heavy, True), dtype=np.bool_)
