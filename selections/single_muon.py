"""What W+c and semileptonic top pairs share: one hard muon, missing energy, and a jet with a soft muon."""

from dataclasses import dataclass

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.objects import (
    away_from,
    good_electrons,
    good_jets,
    good_muons,
    massless_met_mass,
    missing_energy,
    n_selected,
    transverse_mass,
)
from selections.parameters import QcdSuppression, SingleMuonSelection
from selections.selected import Column, pick, position_of_largest
from selections.soft_muon import SoftMuonJet, soft_muon_jet
from selections.triggers import Mask


@dataclass(frozen=True)
class SingleMuonEvents:
    """The objects of each event of a chunk.

    Attributes:
        muon: Position of the hard muon, -1 for none, shape ``(n_events,)``.
        probe: The jet with a soft muon.
        n_jets: Good jets away from the hard muon, shape ``(n_events,)``.
        w_mass: Mass of hard muon and missing energy in GeV, shape ``(n_events,)``; NaN without a muon.
    """

    muon: NDArray[np.int64]
    probe: SoftMuonJet
    n_jets: NDArray[np.int64]
    w_mass: Column


def single_muon_events(events: ak.Array, parameters: SingleMuonSelection) -> SingleMuonEvents:
    """Return the hard muon, the jets and the probe of each event."""
    jets, muons = events.Jet, events.Muon
    muon = position_of_largest(muons.pt, good_muons(muons, parameters.muon))
    good = good_jets(events, parameters.jet)
    counted = good & away_from(jets, muons, muon, min_delta_r=parameters.min_delta_r, strictly=False)
    isolated = good & away_from(jets, muons, muon, min_delta_r=parameters.min_probe_delta_r, strictly=False)
    return SingleMuonEvents(
        muon=muon,
        probe=soft_muon_jet(events, isolated, parameters.soft_muon),
        n_jets=n_selected(counted),
        w_mass=_w_mass(events, muon, parameters),
    )


def add_w_cuts(
    cuts: PackedSelection, events: ak.Array, found: SingleMuonEvents, parameters: SingleMuonSelection
) -> None:
    """Add the cuts on leptons and missing energy: one hard muon alone, no second lepton, a W."""
    n_muons = n_selected(good_muons(events.Muon, parameters.muon))
    n_electrons = n_selected(good_electrons(events, parameters.electron))
    n_loose = n_selected(good_muons(events.Muon, parameters.loose_muon))
    n_loose = n_loose + n_selected(good_electrons(events, parameters.loose_electron))
    cuts.add("one_hard_muon", (n_muons == 1) & (n_electrons == 0))
    cuts.add("dilepton_veto", n_loose != 2)
    cuts.add("qcd_suppression", prompt_and_isolated(events, found.muon, parameters.qcd_suppression))
    cuts.add("w_mass", found.w_mass > parameters.min_w_mass)


def add_probe_cuts(
    cuts: PackedSelection, events: ak.Array, found: SingleMuonEvents, parameters: SingleMuonSelection
) -> None:
    """Add the number of jets, the jet with a soft muon, and what that very jet has to fulfil."""
    enough = found.n_jets >= parameters.min_jets
    cuts.add(
        "n_jets", enough if parameters.max_jets is None else enough & (found.n_jets <= parameters.max_jets)
    )
    cuts.add("soft_muon_jet", found.probe.jet >= 0)
    ratio = pick(events.Muon.pt, found.probe.muon) / pick(events.Jet.pt, found.probe.jet)
    cuts.add("soft_muon_pt_ratio", ratio < parameters.soft_muon.max_pt_ratio)


def prompt_and_isolated(events: ak.Array, muon: NDArray[np.int64], limits: QcdSuppression | None) -> Mask:
    """Return in which events the hard muon does not look like one from a jet, shape ``(n_events,)``.

    A muon without a jet, or whose jet is not in the file, passes the cut on its share of its jet's pT.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), suppression of multijet events in the W+c and top-pair selections.
    """
    if limits is None:
        return np.ones(len(muon), dtype=np.bool_)
    muons, jets = events.Muon, events.Jet
    its_jet = np.nan_to_num(pick(muons.jetIdx, muon), nan=-1).astype(np.int64)
    its_jet = np.where(its_jet < np.asarray(ak.num(jets.pt, axis=1)), its_jet, -1)
    share = pick(muons.pt, muon) / pick(jets.pt, its_jet)
    return (
        (pick(muons.pfRelIso04_all, muon) < limits.max_isolation)
        & (np.abs(pick(muons.dz, muon)) < limits.max_abs_dz)
        & (np.abs(pick(muons.dxy, muon)) < limits.max_abs_dxy)
        & (pick(muons.sip3d, muon) < limits.max_sip3d)
        & ((its_jet < 0) | (share > limits.min_jet_pt_ratio))
    )


def charge_product(events: ak.Array, found: SingleMuonEvents) -> Column:
    """Return the product of the charges of hard and soft muon, shape ``(n_events,)``; NaN without both."""
    charge = events.Muon.charge
    return pick(charge, found.muon) * pick(charge, found.probe.muon)


def sign_of(events: ak.Array, found: SingleMuonEvents) -> NDArray[np.int8]:
    """Return +1 for opposite sign, -1 for same sign, 0 where a muon is absent, shape ``(n_events,)``.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014): W and c of W+c have opposite charges, backgrounds have either sign.
    """
    return np.nan_to_num(-charge_product(events, found), nan=0).astype(np.int8)


def control_variables(events: ak.Array, found: SingleMuonEvents) -> dict[str, Column]:
    """Return the variables to compare with data, shape ``(n_events,)`` each."""
    return {
        "jet_pt": pick(events.Jet.pt, found.probe.jet),
        "jet_eta": pick(events.Jet.eta, found.probe.jet),
        "n_jets": found.n_jets.astype(np.float64),
        "soft_muon_pt": pick(events.Muon.pt, found.probe.muon),
        "muon_pt": pick(events.Muon.pt, found.muon),
        "mt": found.w_mass,
    }


def _w_mass(events: ak.Array, muon: NDArray[np.int64], parameters: SingleMuonSelection) -> Column:
    met, met_phi = missing_energy(events)
    pt, eta, phi = (pick(events.Muon[field], muon) for field in ("pt", "eta", "phi"))
    if parameters.w_mass == "transverse":
        return transverse_mass(pt, phi, met, met_phi)
    return massless_met_mass(pt, eta, phi, met, met_phi)
