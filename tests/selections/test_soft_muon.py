from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest

from selections.cuts import SoftMuonCuts
from selections.soft_muon import soft_muon_jet

Events = Callable[..., ak.Array]

SOFT = {"pt": 10.0, "phi": 1.5, "pfRelIso04_all": 2.0}


def find(events: ak.Array, **cuts: Any) -> tuple[list[int], list[int]]:
    found = soft_muon_jet(events, events.Jet.pt > 20, SoftMuonCuts(**cuts))
    return found.jet.tolist(), found.muon.tolist()


def test_muons_are_looked_up_in_the_unfiltered_collection(events: Events) -> None:
    # Position 2 of all muons; of the identified ones it would be 0.
    event = {"Muon": [{"tightId": False}, {"tightId": False}, SOFT], "Jet": [{"muonIdx1": 2}]}
    assert find(events(event)) == ([0], [2])


def test_the_harder_of_two_accepted_muons_counts(events: Events) -> None:
    event = {"Muon": [SOFT, SOFT | {"pt": 12.0}], "Jet": [{"muonIdx1": 0, "muonIdx2": 1}]}
    assert find(events(event)) == ([0], [1])


def test_the_second_muon_counts_if_the_first_is_not_accepted(events: Events) -> None:
    event = {"Muon": [SOFT | {"pt": 26.0}, SOFT], "Jet": [{"muonIdx1": 0, "muonIdx2": 1}]}
    assert find(events(event)) == ([0], [1])


@pytest.mark.parametrize(
    "spoil",
    [
        {"pt": 25.0},
        {"eta": 2.45},
        {"tightId": False},
        {"pfRelIso04_all": 0.5},
        {"phi": 1.09},  # dR = 0.41
    ],
)
def test_a_muon_outside_a_cut_is_not_accepted(events: Events, spoil: dict[str, Any]) -> None:
    assert find(events({"Muon": [SOFT | spoil], "Jet": [{"muonIdx1": 0}]})) == ([-1], [-1])


def test_a_near_muon_that_the_jet_does_not_name_is_not_its_muon(events: Events) -> None:
    # Both jets are within 0.4 of the muon, one names it.
    event = {"Muon": [SOFT], "Jet": [{"pt": 90.0, "phi": 1.6}, {"muonIdx1": 0}]}
    assert find(events(event)) == ([1], [0])


def test_one_muon_named_by_two_jets_gives_one_probe(events: Events) -> None:
    event = {"Muon": [SOFT], "Jet": [{"muonIdx1": 0}, {"pt": 70.0, "phi": 1.6, "muonIdx1": 0}]}
    assert find(events(event)) == ([1], [0])


def test_the_hardest_allowed_jet_with_a_muon_is_the_probe(events: Events) -> None:
    jets = [
        {"pt": 90.0},
        {"pt": 30.0, "muonIdx1": 0},
        {"pt": 40.0, "muonIdx1": 1},
        {"pt": 15.0, "muonIdx1": 0},
    ]
    assert find(events({"Muon": [SOFT, SOFT], "Jet": jets})) == ([2], [1])


def test_a_position_beyond_the_muons_is_no_muon(events: Events) -> None:
    assert find(events({"Muon": [SOFT], "Jet": [{"muonIdx1": 5}]})) == ([-1], [-1])


def test_the_impact_parameter_counts_where_asked(events: Events) -> None:
    event = {"Muon": [SOFT | {"dxy": -0.0004, "dxyErr": 0.0005}], "Jet": [{"muonIdx1": 0}]}
    assert find(events(event)) == ([0], [0])
    assert find(events(event), min_dxy_significance=1.0) == ([-1], [-1])


def test_a_mask_of_another_collection_is_refused(events: Events) -> None:
    chunk = events({"Muon": [SOFT], "Jet": [{"muonIdx1": 0}, {}]})
    with pytest.raises(ValueError, match="same number of objects"):
        soft_muon_jet(chunk, chunk.Muon.pt > 0, SoftMuonCuts())


def test_events_without_jets_or_muons_have_no_probe(events: Events) -> None:
    assert find(events({}, {"Jet": [{}]}, {"Muon": [SOFT]})) == ([-1, -1, -1], [-1, -1, -1])
    assert find(events()) == ([], [])


def test_positions_are_integers(events: Events) -> None:
    chunk = events({"Muon": [SOFT], "Jet": [{"muonIdx1": 0}]})
    found = soft_muon_jet(chunk, chunk.Jet.pt > 20, SoftMuonCuts())
    assert found.jet.dtype == found.muon.dtype == np.int64
