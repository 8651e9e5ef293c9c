"""Dileptonic top pairs: a b region that shares no event with the semileptonic one."""

from collections.abc import Mapping
from typing import NamedTuple

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.cuts import DileptonSelection
from selections.objects import (
    COLLECTIONS,
    Momenta,
    away_from,
    good_jets,
    good_leptons,
    mass_and_pt_of_two,
    missing_energy,
    momenta_of,
    n_selected,
)
from selections.selected import Column, Selected, one_probe_per_event, pick, position_of_largest, undecided
from selections.soft_muon import jet_under_study, soft_muon_jet
from selections.triggers import event_cuts

Positions = NDArray[np.int64]


class Dilepton(NamedTuple):
    """The two hard leptons of each event: kinds, positions (-1 for none), momenta, charges (NaN for none)."""

    kinds: tuple[str, str]
    positions: tuple[Positions, Positions]
    momenta: tuple[Momenta, Momenta]
    charges: tuple[Column, Column]


def select(
    events: ak.Array, parameters: DileptonSelection, *, good_luminosity: NDArray[np.bool_] | None = None
) -> Selected:
    """Return the hardest jet with a soft muon of events with two leptons and missing energy.

    `Selected.sign` is +1: a soft muon has either sign with one of the two leptons.
    Control variables: jet_pt, jet_eta, n_jets, soft_muon_pt, dilepton_mass, met.

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.

    Source:
        BTVNanoCommissioning, dileptonic top pairs with a soft muon; CMS-BTV-16-002 (JINST 13 P05011).
    """
    cuts = event_cuts(events, parameters, good_luminosity)
    _add_numbers(cuts, events, parameters)

    among = undecided(cuts)
    chosen, later = events[among], PackedSelection()
    pair, jets = dilepton(chosen, parameters), chosen.Jet
    allowed = _jets_away_from(chosen, pair, parameters)
    n_jets, soft = n_selected(allowed), soft_muon_jet(chosen, allowed, parameters.soft_muon)
    mass, _ = mass_and_pt_of_two(*pair.momenta)
    met, _ = missing_energy(chosen, parameters.met)
    _add_pair_cuts(later, pair, mass, parameters)
    later.add("met", met > parameters.min_met)
    later.add("n_jets", n_jets >= parameters.min_jets)
    later.add("soft_muon_jet", soft.jet >= 0)
    jet = jet_under_study(later, chosen, allowed, soft, parameters.soft_muon, parameters.probe)
    control = {
        "jet_pt": pick(jets.pt, jet),
        "jet_eta": pick(jets.eta, jet),
        "n_jets": n_jets.astype(np.float64),
        "soft_muon_pt": pick(chosen.Muon.pt, soft.muon),
        "dilepton_mass": mass,
        "met": met,
    }
    sign = np.ones(len(among), dtype=np.int8)
    objects = {**_by_kind(pair), "soft_muon": (soft.muon,)}
    return one_probe_per_event(cuts, later, among, jet=jet, sign=sign, control=control, objects=objects)


def dilepton(events: ak.Array, parameters: DileptonSelection) -> Dilepton:
    """Return the hardest good muon and electron of each event, or its two hardest good muons."""
    kinds = _kinds(parameters)
    positions: list[Positions] = []
    for kind in kinds:
        leptons, allowed = events[COLLECTIONS[kind]], good_leptons(events, kind, parameters)
        if kinds[0] == kind and positions:
            allowed = allowed & (ak.local_index(leptons.pt, axis=1) != positions[0])
        positions.append(position_of_largest(leptons.pt, allowed))
    found = [(events[COLLECTIONS[kind]], position) for kind, position in zip(kinds, positions, strict=True)]
    momenta = tuple(momenta_of(*one) for one in found)
    charges = tuple(pick(leptons.charge, position) for leptons, position in found)
    return Dilepton(
        kinds,
        (positions[0], positions[1]),
        (momenta[0], momenta[1]),
        (charges[0], charges[1]),
    )


def _jets_away_from(events: ak.Array, pair: Dilepton, parameters: DileptonSelection) -> ak.Array:
    allowed = good_jets(events, parameters.jet)
    for kind, position in zip(pair.kinds, pair.positions, strict=True):
        leptons = events[COLLECTIONS[kind]]
        allowed = away_from(
            events.Jet, allowed, leptons, position, min_delta_r=parameters.min_delta_r, strictly=True
        )
    return allowed


def _kinds(parameters: DileptonSelection) -> tuple[str, str]:
    return ("muon", "electron") if parameters.lepton == "both" else ("muon", "muon")


def _add_numbers(cuts: PackedSelection, events: ak.Array, parameters: DileptonSelection) -> None:
    for kind in ("muon", "electron"):
        n_good = n_selected(good_leptons(events, kind, parameters))
        cuts.add(f"number_of_{kind}s", n_good == _kinds(parameters).count(kind))


def _add_pair_cuts(
    cuts: PackedSelection, pair: Dilepton, mass: Column, parameters: DileptonSelection
) -> None:
    thresholds = {"muon": parameters.leading_muon_pt, "electron": parameters.leading_electron_pt}
    hard = [momenta.pt > thresholds[kind] for kind, momenta in zip(pair.kinds, pair.momenta, strict=True)]
    cuts.add("leading_lepton_pt", hard[0] | hard[1])
    cuts.add("opposite_sign", pair.charges[0] * pair.charges[1] < 0)
    low, high = parameters.z_veto
    cuts.add("dilepton_mass", (mass > parameters.min_dilepton_mass) & ((mass < low) | (mass > high)))


def _by_kind(pair: Dilepton) -> Mapping[str, tuple[Positions, ...]]:
    found: dict[str, tuple[Positions, ...]] = {}
    for kind, position in zip(pair.kinds, pair.positions, strict=True):
        found[kind] = (*found.get(kind, ()), position)
    return found
