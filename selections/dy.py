"""Z to two muons and a jet: the leading jet is mostly light."""

from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from selections.objects import (
    away_from,
    good_electrons,
    good_jets,
    good_muons,
    n_selected,
    opposite_sign_pairs,
    pair_mass_and_pt,
)
from selections.parameters import DYSelection
from selections.selected import Column, Selected, one_probe_per_event, pick, position_of_largest
from selections.triggers import event_cuts


class ZCandidate(NamedTuple):
    """The chosen pair of each event: positions of its muons (-1 for none), mass and pT in GeV (or NaN)."""

    plus: NDArray[np.int64]
    minus: NDArray[np.int64]
    mass: Column
    pt: Column


def select(
    events: ak.Array, parameters: DYSelection, *, good_luminosity: NDArray[np.bool_] | None = None
) -> Selected:
    """Return the leading jets of events with a Z to two muons.

    Control variables: jet_pt, jet_eta, n_jets, dimuon_mass, dimuon_pt.

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), section on the DY+jets selection; thesis, appendix A.5.
    """
    muons, jets = events.Muon, events.Jet
    good = good_muons(muons, parameters.muon)
    z = z_candidate(muons, good, parameters)
    clean = good_jets(events, parameters.jet)
    for muon in (z.plus, z.minus):
        clean = clean & away_from(jets, muons, muon, min_delta_r=parameters.min_delta_r, strictly=True)
    n_jets = n_selected(clean)

    cuts = event_cuts(events, parameters, good_luminosity)
    cuts.add("two_muons", n_selected(good) >= 2)
    cuts.add("opposite_sign", _both_signs(muons, good))
    cuts.add("leading_muon_pt", ak.any(good & (muons.pt > parameters.leading_muon_pt), axis=1))
    cuts.add("electron_veto", n_selected(good_electrons(events, parameters.veto_electron)) == 0)
    cuts.add("z_candidate", z.plus >= 0)
    cuts.add("n_jets", n_jets >= parameters.min_jets)

    probe = position_of_largest(jets.pt, clean)
    control = {
        "jet_pt": pick(jets.pt, probe),
        "jet_eta": pick(jets.eta, probe),
        "n_jets": n_jets.astype(np.float64),
        "dimuon_mass": z.mass,
        "dimuon_pt": z.pt,
    }
    return one_probe_per_event(cuts, jet=probe, sign=np.ones(len(events), dtype=np.int8), control=control)


def z_candidate(muons: ak.Array, good: ak.Array, parameters: DYSelection) -> ZCandidate:
    """Return the pair of the leading muons of each charge if it passes, else the first pair that does.

    Args:
        muons: All muons of all events.
        good: Which of them may be used.
        parameters: The row of the table.
    """
    pairs = opposite_sign_pairs(muons, good)
    mass, pt = pair_mass_and_pt(muons, pairs)
    low, high = parameters.mass_window
    passing = (mass > low) & (mass < high) & (pt > parameters.min_dimuon_pt)
    plus, minus = (
        np.asarray(ak.fill_none(ak.firsts(pairs[sign][passing]), -1)) for sign in ("plus", "minus")
    )
    mass, pt = (np.asarray(ak.fill_none(ak.firsts(values[passing]), np.nan)) for values in (mass, pt))
    return ZCandidate(plus, minus, mass, pt)


def _both_signs(muons: ak.Array, good: ak.Array) -> ak.Array:
    return ak.any(good & (muons.charge > 0), axis=1) & ak.any(good & (muons.charge < 0), axis=1)
