from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest

from selections.dy import select
from selections.parameters import DYSelection, parameters_of
from selections.selected import Selected

Events = Callable[..., ak.Array]


def run(events: ak.Array, **options: Any) -> Selected:
    parameters = parameters_of("dy", **options)
    assert isinstance(parameters, DYSelection)
    return select(events, parameters)


def failed(selected: Selected) -> list[str]:
    """The cuts that the only event does not pass."""
    return [name for name in selected.cuts.names if not selected.cuts.all(name)[0]]


def changed(event: dict[str, Any], collection: str, position: int, **values: Any) -> dict[str, Any]:
    objects = [dict(one) for one in event[collection]]
    objects[position] |= values
    return event | {collection: objects}


def test_a_z_with_a_jet_passes_every_cut(events: Events, z_event: dict[str, Any]) -> None:
    selected = run(events(z_event))
    assert failed(selected) == []
    assert (selected.event.tolist(), selected.jet.tolist(), selected.sign.tolist()) == ([0], [0], [1])
    # m = sqrt(2 * 60 * 34.5 * 2) = 91.0 and pT = 60 - 34.5, see `z_event`.
    assert selected.control["dimuon_mass"][0] == pytest.approx(91.0, abs=0.01)
    assert selected.control["dimuon_pt"][0] == pytest.approx(25.5, abs=0.01)
    assert selected.control["jet_pt"][0] == 60.0


@pytest.mark.parametrize(
    ("collection", "position", "values", "cut"),
    [
        ("Muon", 1, {"pt": 11.9}, "two_muons"),
        ("Muon", 1, {"tightId": False}, "two_muons"),
        ("Muon", 1, {"eta": 2.5}, "two_muons"),
        ("Muon", 1, {"pfRelIso04_all": 0.16}, "two_muons"),
        ("Muon", 1, {"charge": 1}, "opposite_sign"),
        ("Muon", 1, {"pt": 25.0}, "z_candidate"),  # m = sqrt(4 * 60 * 25) = 77.5
        ("Muon", 1, {"pt": 45.0}, "z_candidate"),  # m = sqrt(4 * 60 * 45) = 103.9
        ("Jet", 0, {"pt": 19.9}, "n_jets"),
        ("Jet", 0, {"eta": -2.6}, "n_jets"),
        ("Jet", 0, {"jetId": 2}, "n_jets"),
        ("Jet", 0, {"pt": 49.0, "puId": 6}, "n_jets"),
        ("Jet", 0, {"phi": 0.39}, "n_jets"),
        ("Jet", 0, {"phi": -np.pi + 0.39}, "n_jets"),
    ],
)
def test_a_spoiled_object_fails_its_cut(
    events: Events,
    z_event: dict[str, Any],
    collection: str,
    position: int,
    values: dict[str, Any],
    cut: str,
) -> None:
    selected = run(events(changed(z_event, collection, position, **values)))
    assert cut in failed(selected)
    assert len(selected.jet) == 0


def test_pileup_identification_counts_below_50_gev_only(events: Events, z_event: dict[str, Any]) -> None:
    assert len(run(events(changed(z_event, "Jet", 0, pt=50.0, puId=0))).jet) == 1


def test_the_pair_needs_transverse_momentum(events: Events, z_event: dict[str, Any]) -> None:
    # 52 and 40: m = sqrt(4 * 52 * 40) = 91.2 but pT = 12.
    event = changed(changed(z_event, "Muon", 0, pt=52.0), "Muon", 1, pt=40.0)
    assert failed(run(events(event))) == ["z_candidate"]


def test_the_hard_leading_muon_must_be_a_good_one(events: Events, z_event: dict[str, Any]) -> None:
    # 19 and 18 GeV would give m = 91 with eta +-1.5; a hard muon without identification does not help.
    pair = [{"pt": 19.0, "eta": 1.6, "charge": 1}, {"pt": 18.0, "eta": -1.6, "phi": np.pi, "charge": -1}]
    event = z_event | {"Muon": [{"pt": 100.0, "tightId": False, "phi": -1.0}, *pair]}
    assert "leading_muon_pt" in failed(run(events(event)))


@pytest.mark.parametrize(
    ("electron", "vetoed"),
    [
        ({"pt": 16.0}, True),
        ({"pt": 14.0}, False),
        ({"mvaFall17V2Iso_WP80": False}, False),
        ({"eta": 1.5}, False),  # in the gap
        ({"eta": 1.4, "deltaEtaSC": 0.1}, False),  # its supercluster is
        ({"eta": 1.5, "deltaEtaSC": -0.1}, True),
    ],
)
def test_a_good_electron_vetoes(
    events: Events, z_event: dict[str, Any], electron: dict[str, Any], vetoed: bool
) -> None:
    selected = run(events(z_event | {"Electron": [electron]}))
    assert failed(selected) == (["electron_veto"] if vetoed else [])


def test_the_first_passing_pair_follows_where_the_leading_one_fails(
    events: Events, z_event: dict[str, Any]
) -> None:
    # mu+ of 90 with the mu- of 34.5: m = sqrt(4 * 90 * 34.5) = 111.4; the mu+ of 60 gives 91.
    event = z_event | {"Muon": [{"pt": 90.0, "charge": 1}, *z_event["Muon"]]}
    selected = run(events(event))
    assert selected.control["dimuon_mass"][0] == pytest.approx(91.0, abs=0.01)


def test_the_leading_pair_is_taken_whatever_the_order_in_the_file(
    events: Events, z_event: dict[str, Any]
) -> None:
    softer = {"pt": 32.0, "charge": 1}  # with 60: not a pair; with 34.5: m = 66
    event = z_event | {"Muon": [softer, *z_event["Muon"][::-1]]}
    assert run(events(event)).control["dimuon_mass"][0] == pytest.approx(91.0, abs=0.01)


def test_the_probe_is_the_hardest_jet_by_its_position_in_the_file(
    events: Events, z_event: dict[str, Any]
) -> None:
    event = z_event | {"Jet": [{"pt": 200.0, "jetId": 0}, {"pt": 30.0}, {"pt": 80.0}, {"pt": 40.0}]}
    selected = run(events(event))
    assert selected.jet.tolist() == [2]
    assert selected.control["n_jets"].tolist() == [3.0]


def test_a_soft_muon_in_the_jet_is_no_veto(events: Events, z_event: dict[str, Any]) -> None:
    soft = {"pt": 8.0, "phi": 1.5, "pfRelIso04_all": 3.0, "jetIdx": 0}
    event = z_event | {"Muon": [*z_event["Muon"], soft], "Jet": [{"muonIdx1": 2}]}
    assert len(run(events(event)).jet) == 1


def test_profile_btvnano_widens_the_window(events: Events, z_event: dict[str, Any]) -> None:
    event = changed(z_event, "Muon", 1, pt=25.0)  # m = 77.5
    assert len(run(events(event)).jet) == 0
    assert len(run(events(event), profile="btvnano").jet) == 1


def test_uncertified_luminosity_is_cut_first(events: Events, z_event: dict[str, Any]) -> None:
    parameters = parameters_of("dy")
    assert isinstance(parameters, DYSelection)
    selected = select(events(z_event, z_event), parameters, good_luminosity=np.array([False, True]))
    assert selected.cuts.names[0] == "good_luminosity"
    assert selected.event.tolist() == [1]


def test_nothing_at_all_is_selected_from_nothing(events: Events) -> None:
    for chunk in (events(), events({}), events({"Jet": [{}]}, {"Muon": [{}]})):
        selected = run(chunk)
        assert len(selected.jet) == 0
        assert all(len(values) == 0 for values in selected.control.values())


def test_the_cutflow_is_sequential(events: Events, z_event: dict[str, Any]) -> None:
    no_jet = z_event | {"Jet": []}
    no_trigger = z_event | {
        "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8": False,
        "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass3p8": False,
    }
    flow = {name: int(mask.sum()) for name, mask in run(events(z_event, no_jet, no_trigger)).cutflow_masks()}
    assert (flow["met_filters"], flow["trigger"], flow["z_candidate"], flow["n_jets"]) == (3, 2, 2, 1)
