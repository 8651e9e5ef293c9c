"""The jet that holds a soft muon.

A jet names its muons by their position (`Jet_muonIdx1`, `Jet_muonIdx2`) among *all* muons of the event, so
they are looked up there, and cut on afterwards.
"""

from typing import NamedTuple

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection
from numpy.typing import NDArray

from selections.cuts import ProbeKind, SoftMuonCuts
from selections.objects import delta_r, tight_muons
from selections.selected import (
    counts_of,
    event_of_each,
    flat_values,
    pick,
    position_of_largest,
    require_same_counts,
    starts_of,
)


class SoftMuonJet(NamedTuple):
    """The probe of each event and its soft muon, as positions in the collections as read; -1 for none."""

    jet: NDArray[np.int64]
    muon: NDArray[np.int64]


def soft_muon_jet(events: ak.Array, allowed: ak.Array, cuts: SoftMuonCuts) -> SoftMuonJet:
    """Return the hardest allowed jet that holds an accepted soft muon, shape ``(n_events,)`` each.

    Of two accepted muons in a jet the harder one counts. Cuts on the pair of jet and muon come later, on this
    jet alone: an event whose probe fails them does not get another one.

    Args:
        events: A chunk of events.
        allowed: Which jets may be a probe, one entry for each jet as read.
        cuts: What an accepted soft muon is.

    Raises:
        ValueError: If `allowed` does not have one entry for each jet.

    Source:
        CMS-BTV-20-001 (JINST 17 P03014), soft-muon jets; the code behind it walks the jets in the same order.
    """
    jets = events.Jet
    require_same_counts(jets.pt, allowed)
    first, second = _accepted_pts(events, cuts)
    harder = ak.where(second > first, jets.muonIdx2, jets.muonIdx1)
    probe = position_of_largest(jets.pt, allowed & ((first > 0) | (second > 0)))
    muon = pick(harder, probe)
    return SoftMuonJet(probe, np.where(probe >= 0, muon, -1).astype(np.int64))


def jet_under_study(
    cuts: PackedSelection,
    events: ak.Array,
    allowed: ak.Array,
    found: SoftMuonJet,
    soft_muon: SoftMuonCuts,
    probe: ProbeKind,
) -> NDArray[np.int64]:
    """Return the jet under study of each event, -1 for none, shape ``(n_events,)``.

    The jet with the soft muon; or, to see what the soft muon does to a tagger, the hardest allowed jet
    without an accepted one, which is a cut of its own.

    Args:
        cuts: The cuts of the selection, to which that cut is added.
        events: A chunk of events.
        allowed: Which jets may be a probe, one entry for each jet as read.
        found: The jet with the soft muon.
        soft_muon: What an accepted soft muon is.
        probe: Which of the two jets.
    """
    if probe == "soft_muon_jet":
        return found.jet
    first, second = _accepted_pts(events, soft_muon)
    other = position_of_largest(events.Jet.pt, allowed & (first <= 0) & (second <= 0))
    cuts.add("other_jet", other >= 0)
    return other


def _accepted_pts(events: ak.Array, cuts: SoftMuonCuts) -> tuple[ak.Array, ak.Array]:
    """Return for each jet the pT of its first and its second accepted soft muon, 0 for none."""
    jets, accepted = events.Jet, _accepted(events.Muon, cuts)
    first, second = (
        _accepted_pt(jets, index, events.Muon, accepted, cuts.max_delta_r)
        for index in (jets.muonIdx1, jets.muonIdx2)
    )
    return first, second


def _accepted(muons: ak.Array, cuts: SoftMuonCuts) -> ak.Array:
    """Return whether each muon is accepted on its own, jets apart."""
    accepted = (
        tight_muons(muons, cuts.abs_eta)
        & (muons.pt > cuts.min_pt)
        & (muons.pt < cuts.max_pt)
        & (muons.pfRelIso04_all > cuts.min_isolation)
    )
    if cuts.min_dxy_significance > 0:
        # Not as a quotient: the error may be 0.
        accepted = accepted & (abs(muons.dxy) > cuts.min_dxy_significance * muons.dxyErr)
    return accepted


def _accepted_pt(
    jets: ak.Array, index: ak.Array, muons: ak.Array, accepted: ak.Array, max_delta_r: float
) -> ak.Array:
    """Return for each jet the pT of the muon at `index` of its event if it is accepted and near, else 0."""
    position, event = flat_values(index), event_of_each(index)
    jet = np.flatnonzero((position >= 0) & (position < counts_of(muons.pt)[event]))
    muon = starts_of(muons.pt)[event[jet]] + position[jet]
    jet, muon = (which[flat_values(accepted)[muon]] for which in (jet, muon))
    distance = delta_r(
        flat_values(jets.eta)[jet],
        flat_values(jets.phi)[jet],
        flat_values(muons.eta)[muon],
        flat_values(muons.phi)[muon],
    )
    pt = np.zeros(len(position))
    # Compared in double precision: numpy would round the limit to that of the columns, awkward does not.
    pt[jet] = np.where(distance.astype(np.float64) < max_delta_r, flat_values(muons.pt)[muon], 0.0)
    return ak.unflatten(pt, counts_of(index))
