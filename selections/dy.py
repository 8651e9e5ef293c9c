"""Z to two leptons and a jet: the leading jet is mostly light."""

from typing import NamedTuple

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.cuts import DYSelection
from selections.objects import (
    COLLECTIONS,
    away_from,
    good_jets,
    good_leptons,
    n_selected,
    opposite_sign_pairs,
    pair_mass_and_pt,
)
from selections.selected import (
    Column,
    Selected,
    event_of_each,
    flat_values,
    one_probe_per_event,
    pick,
    position_of_largest,
    undecided,
)
from selections.triggers import event_cuts


class ZCandidate(NamedTuple):
    """The chosen pair of each event: positions of its leptons (-1 for none), mass and pT in GeV (or NaN)."""

    plus: NDArray[np.int64]
    minus: NDArray[np.int64]
    mass: Column
    pt: Column


def select(
    events: ak.Array, parameters: DYSelection, *, good_luminosity: NDArray[np.bool_] | None = None
) -> Selected:
    """Return the leading jets of events with a Z to two muons, or to two electrons.

    Control variables: jet_pt, jet_eta, n_jets, dimuon_mass, dimuon_pt (or dielectron_mass, dielectron_pt).

    Args:
        events: A chunk of events, NanoAOD collections.
        parameters: The row of the table.
        good_luminosity: Events in certified luminosity sections, shape ``(n_events,)``; None for all.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), section on the DY+jets selection; thesis, appendix A.5.
    """
    kind = parameters.lepton
    good = good_leptons(events, kind, parameters)
    cuts = event_cuts(events, parameters, good_luminosity)
    _add_lepton_cuts(cuts, events, good, parameters)

    among = undecided(cuts)
    chosen = events[among]
    leptons, jets = chosen[COLLECTIONS[kind]], chosen.Jet
    z = z_candidate(leptons, good[among], parameters)
    clean = _jets_away_from(chosen, leptons, z, parameters)
    n_jets = n_selected(clean)
    later = PackedSelection()
    later.add("z_candidate", z.plus >= 0)
    later.add("n_jets", n_jets >= parameters.min_jets)

    probe = position_of_largest(jets.pt, clean)
    control = {
        "jet_pt": pick(jets.pt, probe),
        "jet_eta": pick(jets.eta, probe),
        "n_jets": n_jets.astype(np.float64),
        f"di{kind}_mass": z.mass,
        f"di{kind}_pt": z.pt,
    }
    sign = np.ones(len(among), dtype=np.int8)
    return one_probe_per_event(
        cuts, later, among, jet=probe, sign=sign, control=control, objects={kind: (z.plus, z.minus)}
    )


def _add_lepton_cuts(
    cuts: PackedSelection, events: ak.Array, good: ak.Array, parameters: DYSelection
) -> None:
    kind = parameters.lepton
    other = "electron" if kind == "muon" else "muon"
    leptons = events[COLLECTIONS[kind]]
    cuts.add(f"two_{kind}s", n_selected(good) >= 2)
    cuts.add("opposite_sign", both_signs(leptons, good))
    cuts.add(f"leading_{kind}_pt", ak.any(good & (leptons.pt > parameters.leading_pt), axis=1))
    cuts.add(f"{other}_veto", n_selected(good_leptons(events, other, parameters)) == 0)


def z_candidate(leptons: ak.Array, good: ak.Array, parameters: DYSelection) -> ZCandidate:
    """Return the pair of the leading leptons of each charge if it passes, else the first pair that does.

    Args:
        leptons: All leptons of a kind of all events.
        good: Which of them may be used.
        parameters: The row of the table.
    """
    pairs = opposite_sign_pairs(leptons, good)
    mass, pt = (flat_values(values) for values in pair_mass_and_pt(leptons, pairs))
    low, high = parameters.mass_window
    passing = np.flatnonzero((mass > low) & (mass < high) & (pt > parameters.min_dilepton_pt))
    event, first = np.unique(event_of_each(pairs.plus)[passing], return_index=True)
    pair = passing[first]
    z = ZCandidate(
        plus=np.full(len(leptons), -1),
        minus=np.full(len(leptons), -1),
        mass=np.full(len(leptons), np.nan),
        pt=np.full(len(leptons), np.nan),
    )
    z.plus[event], z.minus[event] = flat_values(pairs.plus)[pair], flat_values(pairs.minus)[pair]
    z.mass[event], z.pt[event] = mass[pair], pt[pair]
    return z


def _jets_away_from(events: ak.Array, leptons: ak.Array, z: ZCandidate, parameters: DYSelection) -> ak.Array:
    clean = good_jets(events, parameters.jet)
    for lepton in (z.plus, z.minus):
        clean = away_from(
            events.Jet, clean, leptons, lepton, min_delta_r=parameters.min_delta_r, strictly=True
        )
    return clean


def both_signs(leptons: ak.Array, good: ak.Array) -> ak.Array:
    """Return which events have good leptons of either charge, shape ``(n_events,)``."""
    return ak.any(good & (leptons.charge > 0), axis=1) & ak.any(good & (leptons.charge < 0), axis=1)
