"""What W+c and semileptonic top pairs share: one hard lepton, missing energy, and a jet with a soft muon."""

from collections.abc import Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.branches import column
from selections.cuts import QcdSuppression, SingleLeptonSelection
from selections.objects import (
    COLLECTIONS,
    away_from,
    good_electrons,
    good_jets,
    good_leptons,
    good_muons,
    massless_met_mass,
    missing_energy,
    n_selected,
    transverse_mass,
)
from selections.selected import Column, pick, position_of_largest
from selections.soft_muon import SoftMuonJet, jet_under_study, soft_muon_jet
from selections.triggers import Mask, event_cuts


@dataclass(frozen=True)
class SingleLeptonEvents:
    """The objects of each event of a chunk.

    Attributes:
        collection: Where the hard lepton is, Muon or Electron.
        lepton: Position of the hard lepton, -1 for none, shape ``(n_events,)``.
        probe: The jet with a soft muon.
        allowed: Which jets may be under study, one entry for each jet as read.
        n_jets: Good jets away from the hard lepton, shape ``(n_events,)``.
        w_mass: Mass of hard lepton and missing energy in GeV, shape ``(n_events,)``; NaN without a lepton.
    """

    collection: str
    lepton: NDArray[np.int64]
    probe: SoftMuonJet
    allowed: ak.Array
    n_jets: NDArray[np.int64]
    w_mass: Column


def single_lepton_events(events: ak.Array, parameters: SingleLeptonSelection) -> SingleLeptonEvents:
    """Return the hard lepton, the jets and the probe of each event."""
    collection = COLLECTIONS[parameters.lepton]
    jets, leptons = events.Jet, events[collection]
    lepton = position_of_largest(leptons.pt, good_leptons(events, parameters.lepton, parameters))
    good = good_jets(events, parameters.jet)
    counted, isolated = (
        away_from(jets, good, leptons, lepton, min_delta_r=distance, strictly=False)
        for distance in (parameters.min_delta_r, parameters.min_probe_delta_r)
    )
    return SingleLeptonEvents(
        collection=collection,
        lepton=lepton,
        probe=soft_muon_jet(events, isolated, parameters.soft_muon),
        allowed=isolated,
        n_jets=n_selected(counted),
        w_mass=_w_mass(events, leptons, lepton, parameters),
    )


def lepton_cuts(
    events: ak.Array, parameters: SingleLeptonSelection, good_luminosity: Mask | None
) -> PackedSelection:
    """Return a new set of cuts: of the event as such, on one hard lepton alone, and on a second one."""
    cuts = event_cuts(events, parameters, good_luminosity)
    n_good = {kind: n_selected(good_leptons(events, kind, parameters)) for kind in COLLECTIONS}
    n_loose = n_selected(good_muons(events.Muon, parameters.loose_muon))
    n_loose = n_loose + n_selected(good_electrons(events, parameters.loose_electron))
    alone = n_good["muon"] + n_good["electron"] == 1
    cuts.add(f"one_hard_{parameters.lepton}", alone & (n_good[parameters.lepton] == 1))
    cuts.add("dilepton_veto", n_loose != 2)
    return cuts


def add_w_cuts(
    cuts: PackedSelection, events: ak.Array, found: SingleLeptonEvents, parameters: SingleLeptonSelection
) -> None:
    """Add the cuts on a prompt lepton and on a W."""
    cuts.add(
        "qcd_suppression",
        prompt_and_isolated(events, found.collection, found.lepton, parameters.qcd_suppression),
    )
    cuts.add("w_mass", found.w_mass > parameters.min_w_mass)


def add_probe_cuts(
    cuts: PackedSelection, events: ak.Array, found: SingleLeptonEvents, parameters: SingleLeptonSelection
) -> None:
    """Add the number of jets, the jet with a soft muon, and what that very jet has to fulfil."""
    enough = found.n_jets >= parameters.min_jets
    cuts.add(
        "n_jets", enough if parameters.max_jets is None else enough & (found.n_jets <= parameters.max_jets)
    )
    cuts.add("soft_muon_jet", found.probe.jet >= 0)
    if parameters.soft_muon.max_pt_ratio is not None:
        ratio = pick(events.Muon.pt, found.probe.muon) / pick(events.Jet.pt, found.probe.jet)
        cuts.add("soft_muon_pt_ratio", ratio < parameters.soft_muon.max_pt_ratio)


def study_jet(
    cuts: PackedSelection, events: ak.Array, found: SingleLeptonEvents, parameters: SingleLeptonSelection
) -> NDArray[np.int64]:
    """Return the jet under study of each event, -1 for none, and add the cut that there is one."""
    return jet_under_study(cuts, events, found.allowed, found.probe, parameters.soft_muon, parameters.probe)


def prompt_and_isolated(
    events: ak.Array, collection: str, lepton: NDArray[np.int64], limits: QcdSuppression | None
) -> Mask:
    """Return in which events the hard lepton does not look like one from a jet, shape ``(n_events,)``.

    A lepton without a jet, or whose jet is not in the file, passes the cut on its share of its jet's pT. What
    a file does not say of its electrons is not asked for.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), suppression of multijet events in the W+c and top-pair selections.
    """
    passing = np.ones(len(lepton), dtype=np.bool_)
    if limits is None:
        return passing
    upper = {
        limits.isolation: limits.max_isolation,
        "dz": limits.max_abs_dz,
        "dxy": limits.max_abs_dxy,
        "sip3d": limits.max_sip3d,
    }
    for name, limit in upper.items():
        values = column(events, f"{collection}_{name}")
        if values is not None:
            passing &= np.abs(pick(values, lepton)) < limit
    jet_index = column(events, f"{collection}_jetIdx")
    if jet_index is None:
        return passing
    its_jet = np.nan_to_num(pick(jet_index, lepton), nan=-1).astype(np.int64)
    its_jet = np.where(its_jet < np.asarray(ak.num(events.Jet.pt, axis=1)), its_jet, -1)
    share = pick(events[collection].pt, lepton) / pick(events.Jet.pt, its_jet)
    return passing & ((its_jet < 0) | (share > limits.min_jet_pt_ratio))


def charge_product(events: ak.Array, found: SingleLeptonEvents) -> Column:
    """Return the product of the charges of hard lepton and soft muon, or NaN, shape ``(n_events,)``."""
    hard, soft = events[found.collection].charge, events.Muon.charge
    return pick(hard, found.lepton) * pick(soft, found.probe.muon)


def sign_of(events: ak.Array, found: SingleLeptonEvents) -> NDArray[np.int8]:
    """Return +1 for opposite sign, -1 for same sign, 0 where a lepton is absent, shape ``(n_events,)``.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014): W and c of W+c have opposite charges, backgrounds have either sign.
    """
    return np.nan_to_num(-charge_product(events, found), nan=0).astype(np.int8)


def control_variables(
    events: ak.Array, found: SingleLeptonEvents, jet: NDArray[np.int64], lepton: str
) -> dict[str, Column]:
    """Return the variables to compare with data, shape ``(n_events,)`` each."""
    return {
        "jet_pt": pick(events.Jet.pt, jet),
        "jet_eta": pick(events.Jet.eta, jet),
        "n_jets": found.n_jets.astype(np.float64),
        "soft_muon_pt": pick(events.Muon.pt, found.probe.muon),
        f"{lepton}_pt": pick(events[found.collection].pt, found.lepton),
        "mt": found.w_mass,
    }


def objects_of(found: SingleLeptonEvents, lepton: str) -> Mapping[str, tuple[NDArray[np.int64], ...]]:
    """Return the hard lepton and the soft muon by kind, as `Selected.objects` has them."""
    return {lepton: (found.lepton,), "soft_muon": (found.probe.muon,)}


def _w_mass(
    events: ak.Array, leptons: ak.Array, lepton: NDArray[np.int64], parameters: SingleLeptonSelection
) -> Column:
    met, met_phi = missing_energy(events, parameters.met)
    pt, eta, phi = (pick(leptons[field], lepton) for field in ("pt", "eta", "phi"))
    if parameters.w_mass == "transverse":
        return transverse_mass(pt, phi, met, met_phi)
    return massless_met_mass(pt, eta, phi, met, met_phi)
