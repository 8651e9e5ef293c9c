"""Muons, electrons, jets and missing energy: masks on the collections as read, and kinematics.

Every mask has one entry for each object of the unfiltered collection, so that the positions in a file
(`Jet_muonIdx1`, `Muon_jetIdx`) stay valid.
"""

from collections.abc import Mapping
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from selections.branches import MET_OF_KIND, column
from selections.cuts import ElectronCuts, JetCuts, LeptonSelection, MetKind, MuonCuts
from selections.selected import Column, pick

COLLECTIONS: Mapping[str, str] = {"muon": "Muon", "electron": "Electron"}
"""Where the leptons of a kind are."""


class Momenta(NamedTuple):
    """One object of each event, NaN for none, shape ``(n_events,)`` each; GeV."""

    pt: Column
    eta: Column
    phi: Column
    mass: Column


def tight_muons(muons: ak.Array, abs_eta: float) -> ak.Array:
    """Return which muons carry the tight identification, whatever their pT and isolation."""
    return muons.tightId & (abs(muons.eta) < abs_eta)


def good_muons(muons: ak.Array, cuts: MuonCuts) -> ak.Array:
    """Return which muons are identified, isolated and hard enough."""
    return (
        tight_muons(muons, cuts.abs_eta) & (muons.pt > cuts.pt) & (muons.pfRelIso04_all <= cuts.max_isolation)
    )


def good_electrons(events: ak.Array, cuts: ElectronCuts) -> ak.Array:
    """Return which electrons are identified and hard enough; eta is that of the supercluster.

    Where a file has no identification, or no `deltaEtaSC`, that part of the cut is left out.
    """
    electrons = events.Electron
    delta_eta = column(events, "Electron_deltaEtaSC")
    identified = column(events, "Electron_mvaFall17V2Iso_WP80")
    abs_eta = abs(electrons.eta if delta_eta is None else electrons.eta + delta_eta)
    low, high = cuts.gap
    good = (electrons.pt > cuts.pt) & (abs_eta < cuts.abs_eta) & ((abs_eta < low) | (abs_eta > high))
    return good if identified is None else good & identified


def good_leptons(events: ak.Array, kind: str, cuts: LeptonSelection) -> ak.Array:
    """Return which muons or which electrons are good ones."""
    return good_muons(events.Muon, cuts.muon) if kind == "muon" else good_electrons(events, cuts.electron)


def good_jets(events: ak.Array, cuts: JetCuts) -> ak.Array:
    """Return which jets pass the kinematic cuts, the identification and, where soft, that against pileup.

    Where a file has no `jetId` or `puId`, that cut is left out.
    """
    jets = events.Jet
    good = (jets.pt > cuts.pt) & (abs(jets.eta) < cuts.abs_eta)
    jet_id = column(events, "Jet_jetId") if cuts.jet_id is not None else None
    if jet_id is not None:
        good = good & (jet_id >= cuts.jet_id)
    pu_id = column(events, "Jet_puId") if cuts.pu_id is not None else None
    if pu_id is not None:
        good = good & ((pu_id >= cuts.pu_id) | (jets.pt >= cuts.pu_id_below_pt))
    return good


def away_from(
    jets: ak.Array, objects: ak.Array, position: NDArray[np.int64], *, min_delta_r: float, strictly: bool
) -> ak.Array:
    """Return which jets are at least a distance away from one object of their event.

    Args:
        jets: All jets of all events.
        objects: All objects (muons) of all events.
        position: Which object, shape ``(n_events,)``; where it is -1 no jet is near.
        min_delta_r: The distance.
        strictly: Whether a jet at the very distance is too near.
    """
    distance = delta_r(jets, pick(objects.eta, position), pick(objects.phi, position))
    # Written as "not near", so that the NaN of an absent object keeps the jet.
    return ~(distance <= min_delta_r) if strictly else ~(distance < min_delta_r)


def delta_phi(first: ak.Array, second: ak.Array | Column) -> ak.Array:
    """Return the difference of two azimuths, within [-pi, pi)."""
    return (first - second + np.pi) % (2 * np.pi) - np.pi


def delta_r(objects: ak.Array, eta: ak.Array | Column, phi: ak.Array | Column) -> ak.Array:
    """Return the distance of objects to a direction (one for each event, or one for each object)."""
    return np.hypot(objects.eta - eta, delta_phi(objects.phi, phi))


def missing_energy(events: ak.Array, kind: MetKind) -> tuple[Column, Column]:
    """Return size (GeV) and azimuth of the missing transverse momentum, shape ``(n_events,)`` each."""
    name = MET_OF_KIND[kind]
    size, azimuth = column(events, f"{name}_pt"), column(events, f"{name}_phi")
    return np.asarray(size, dtype=np.float64), np.asarray(azimuth, dtype=np.float64)


def transverse_mass(pt: Column, phi: Column, met: Column, met_phi: Column) -> Column:
    r"""Return the transverse mass of a muon and the missing energy in GeV.

    .. math:: m_T = \sqrt{2 p_T E_T^{miss} (1 - \cos \Delta\phi)}
    """
    mass: Column = np.sqrt(2 * pt * met * (1 - np.cos(phi - met_phi)))
    return mass


def massless_met_mass(pt: Column, eta: Column, phi: Column, met: Column, met_phi: Column) -> Column:
    """Return the mass of a muon and the missing energy taken as a massless vector at eta = 0, in GeV.

    Source:
        The public code behind CMS-BTV-20-001, which cut on this in place of the transverse mass.
    """
    mass: Column = np.sqrt(2 * pt * met * (np.cosh(eta) - np.cos(phi - met_phi)))
    return mass


def opposite_sign_pairs(muons: ak.Array, allowed: ak.Array) -> ak.Array:
    """Return pairs of allowed muons of opposite charge, as records of positions `plus` and `minus`.

    The pair of the leading muons of each charge comes first.
    """
    by_pt = ak.argsort(muons.pt, axis=1, ascending=False, stable=True)
    plus = by_pt[(allowed & (muons.charge > 0))[by_pt]]
    minus = by_pt[(allowed & (muons.charge < 0))[by_pt]]
    return ak.cartesian({"plus": plus, "minus": minus}, axis=1)


def pair_mass_and_pt(muons: ak.Array, pairs: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Return invariant mass and transverse momentum of pairs of muons, in GeV, in the shape of the pairs."""
    first = _momentum(muons.pt, muons.eta, muons.phi, muons.mass, pairs.plus)
    second = _momentum(muons.pt, muons.eta, muons.phi, muons.mass, pairs.minus)
    energy, x, y, z = (a + b for a, b in zip(first, second, strict=True))
    return np.sqrt(np.maximum(energy**2 - x**2 - y**2 - z**2, 0.0)), np.hypot(x, y)


def _momentum(
    pt: ak.Array, eta: ak.Array, phi: ak.Array, mass: ak.Array, position: ak.Array
) -> tuple[ak.Array, ...]:
    return _four_vector(*(ak.values_astype(values[position], np.float64) for values in (pt, eta, phi, mass)))


def _four_vector(pt: ak.Array, eta: ak.Array, phi: ak.Array, mass: ak.Array) -> tuple[ak.Array, ...]:
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    return energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)


def momenta_of(objects: ak.Array, position: NDArray[np.int64]) -> Momenta:
    """Return one object of each event."""
    return Momenta(*(pick(objects[name], position) for name in Momenta._fields))


def mass_and_pt_of_two(first: Momenta, second: Momenta) -> tuple[Column, Column]:
    """Return invariant mass and transverse momentum of two objects of each event, in GeV, or NaN."""
    energy, x, y, z = (a + b for a, b in zip(_four_vector(*first), _four_vector(*second), strict=True))
    return np.sqrt(np.maximum(energy**2 - x**2 - y**2 - z**2, 0.0)), np.hypot(x, y)


def n_selected(allowed: ak.Array) -> NDArray[np.int64]:
    """Return the number of allowed objects of each event, shape ``(n_events,)``."""
    return np.asarray(ak.sum(allowed, axis=1), dtype=np.int64)
