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
from selections.selected import Column, counts_of, event_of_each, flat_values, pick, starts_of

COLLECTIONS: Mapping[str, str] = {"muon": "Muon", "electron": "Electron"}
"""Where the leptons of a kind are."""


Kinematic = NDArray[np.floating]


class Momenta(NamedTuple):
    """One object of each event, NaN for none, shape ``(n_events,)`` each; GeV."""

    pt: Column
    eta: Column
    phi: Column
    mass: Column


def tight_muons(muons: ak.Array, abs_eta: float) -> ak.Array:
    """Return which muons carry the tight identification, whatever their pT and isolation.

    Some productions store flags as integers.
    """
    return (muons.tightId != 0) & (abs(muons.eta) < abs_eta)


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
    return good if identified is None else good & (identified != 0)


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
    jets: ak.Array,
    allowed: ak.Array,
    objects: ak.Array,
    position: NDArray[np.int64],
    *,
    min_delta_r: float,
    strictly: bool,
) -> ak.Array:
    """Return which allowed jets are at least a distance away from one object of their event.

    Args:
        jets: All jets of all events.
        allowed: Which of them may be returned.
        objects: All objects (muons) of all events.
        position: Which object, shape ``(n_events,)``; where it is -1 no jet is near.
        min_delta_r: The distance.
        strictly: Whether a jet at the very distance is too near.
    """
    away = flat_values(allowed).copy()
    chosen = np.flatnonzero(away)
    event = event_of_each(allowed)[chosen]
    distance = delta_r(
        flat_values(jets.eta)[chosen],
        flat_values(jets.phi)[chosen],
        pick(objects.eta, position)[event],
        pick(objects.phi, position)[event],
    )
    # Written as "not near", so that the NaN of an absent object keeps the jet.
    away[chosen] = ~(distance <= min_delta_r) if strictly else ~(distance < min_delta_r)
    return ak.unflatten(away, counts_of(allowed))


def delta_phi(first: Kinematic, second: Kinematic) -> Kinematic:
    """Return the difference of two azimuths, within [-pi, pi)."""
    difference: Kinematic = (first - second + np.pi) % (2 * np.pi) - np.pi
    return difference


def delta_r(eta: Kinematic, phi: Kinematic, other_eta: Kinematic, other_phi: Kinematic) -> Kinematic:
    """Return the distances of objects to others, all in one shape."""
    distance: Kinematic = np.hypot(eta - other_eta, delta_phi(phi, other_phi))
    return distance


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
    first_muon = starts_of(muons.pt)[event_of_each(pairs.plus)]
    first, second = (
        Momenta(
            *(
                flat_values(muons[name])[first_muon + flat_values(pairs[sign])].astype(np.float64)
                for name in Momenta._fields
            )
        )
        for sign in ("plus", "minus")
    )
    counts = counts_of(pairs.plus)
    mass, pt = (ak.unflatten(values, counts) for values in mass_and_pt_of_two(first, second))
    return mass, pt


def _four_vector(pt: Column, eta: Column, phi: Column, mass: Column) -> tuple[Column, ...]:
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
