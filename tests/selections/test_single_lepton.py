"""W+c and semileptonic top pairs."""

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest

from selections import ttsemilep, wc
from selections.parameters import SingleLeptonSelection, parameters_of
from selections.selected import Selected

Events = Callable[..., ak.Array]
SELECT = {"wc": wc.select, "ttsemilep": ttsemilep.select}


def run(name: str, events: ak.Array, **options: Any) -> Selected:
    parameters = parameters_of(name, **options)
    assert isinstance(parameters, SingleLeptonSelection)
    return SELECT[name](events, parameters)


def failed(selected: Selected) -> list[str]:
    return [name for name in selected.cuts.names if not selected.cuts.all(name)[0]]


def changed(event: dict[str, Any], collection: str, position: int, **values: Any) -> dict[str, Any]:
    objects = [dict(one) for one in event[collection]]
    objects[position] |= values
    return event | {collection: objects}


def test_a_w_with_a_soft_muon_jet_passes_every_cut(events: Events, w_event: dict[str, Any]) -> None:
    selected = run("wc", events(w_event))
    assert failed(selected) == []
    assert (selected.jet.tolist(), selected.sign.tolist()) == ([0], [1])
    # mT^2 = 2 * 40 * 50 * (1 - cos 2.5) = 7204.6
    assert selected.control["mt"][0] == pytest.approx(np.sqrt(7204.6), abs=0.01)
    assert selected.control["soft_muon_pt"].tolist() == [10.0]


def test_four_jets_make_a_top_pair(events: Events, w_event: dict[str, Any], tt_event: dict[str, Any]) -> None:
    assert failed(run("ttsemilep", events(tt_event))) == []
    assert failed(run("ttsemilep", events(w_event))) == ["n_jets"]
    assert failed(run("wc", events(tt_event))) == ["n_jets"]


@pytest.mark.parametrize("selection", ["wc", "ttsemilep"])
def test_equal_charges_are_same_sign(events: Events, tt_event: dict[str, Any], selection: str) -> None:
    three_jets = tt_event | {"Jet": tt_event["Jet"][: 3 if selection == "wc" else 4]}
    selected = run(selection, events(changed(three_jets, "Muon", 1, charge=1), three_jets))
    assert selected.sign.tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("collection", "position", "values", "cut"),
    [
        ("Muon", 0, {"pt": 29.0}, "one_hard_muon"),
        ("Muon", 0, {"tightId": False}, "one_hard_muon"),
        ("Muon", 0, {"pfRelIso04_all": 0.06}, "qcd_suppression"),
        ("Muon", 0, {"dz": -0.02}, "qcd_suppression"),
        ("Muon", 0, {"dxy": -0.003}, "qcd_suppression"),
        ("Muon", 0, {"sip3d": 2.1}, "qcd_suppression"),
        ("Muon", 0, {"phi": 2.4}, "w_mass"),
        ("Muon", 1, {"pt": 25.0}, "soft_muon_jet"),
        ("Muon", 1, {"pt": 24.5}, "soft_muon_pt_ratio"),  # 24.5 / 60 = 0.408
        ("Jet", 0, {"muEF": 0.4, "neEmEF": 0.31}, "lepton_fraction"),
        ("Jet", 0, {"jetId": 2}, "n_jets"),
    ],
)
def test_a_spoiled_object_fails_its_cut(
    events: Events,
    w_event: dict[str, Any],
    collection: str,
    position: int,
    values: dict[str, Any],
    cut: str,
) -> None:
    selected = run("wc", events(changed(w_event, collection, position, **values)))
    assert cut in failed(selected)
    assert len(selected.jet) == 0


def test_a_second_hard_lepton_is_refused(events: Events, w_event: dict[str, Any]) -> None:
    another = w_event | {"Muon": [*w_event["Muon"], {"phi": -1.0}]}
    assert "one_hard_muon" in failed(run("wc", events(another)))
    electron = w_event | {"Electron": [{"pt": 35.0}]}
    assert "one_hard_muon" in failed(run("wc", events(electron)))


@pytest.mark.parametrize(("n_loose", "passes"), [(0, True), (1, False), (2, True)])
def test_exactly_two_loose_leptons_are_refused(
    events: Events, w_event: dict[str, Any], n_loose: int, passes: bool
) -> None:
    event = w_event | {"Electron": [{"pt": 16.0}] * n_loose}
    assert ("dilepton_veto" not in failed(run("wc", events(event)))) is passes


@pytest.mark.parametrize(("jet_pt", "passes"), [(53.0, True), (54.0, False)])
def test_the_hard_muon_must_dominate_its_jet(
    events: Events, w_event: dict[str, Any], jet_pt: float, passes: bool
) -> None:
    # The jet of the hard muon, looked up among all jets: 40 / 53 = 0.755, 40 / 54 = 0.741.
    event = changed(w_event, "Muon", 0, jetIdx=1)
    event = event | {"Jet": [*event["Jet"], {"pt": jet_pt, "phi": 0.0}]}
    assert failed(run("wc", events(event))) == ([] if passes else ["qcd_suppression"])


@pytest.mark.parametrize("position", [1, 2, 30])
def test_a_jet_beyond_the_collection_is_no_jet_of_the_hard_muon(
    events: Events, w_event: dict[str, Any], position: int
) -> None:
    # Positions 1 and 2 would be jets of the next event, of 60 and 90 GeV: 40 / 60 < 0.75.
    event = changed(w_event, "Muon", 0, jetIdx=position)
    selected = run("wc", events(event, {"Jet": [{}, {"pt": 90.0}]}))
    assert selected.cuts.all("qcd_suppression").tolist() == [True, False]
    assert selected.event.tolist() == [0]


def test_jets_are_counted_from_0p4_but_probed_from_0p5(events: Events, w_event: dict[str, Any]) -> None:
    event = changed(changed(w_event, "Jet", 0, phi=0.45), "Muon", 1, phi=0.45)
    assert set(failed(run("wc", events(event)))) >= {"soft_muon_jet"}
    assert "n_jets" not in failed(run("wc", events(event)))


def test_a_probe_that_fails_is_not_replaced(events: Events, w_event: dict[str, Any]) -> None:
    # The leading jet with a soft muon carries too many leptons; the next one would be fine.
    second = {"pt": 40.0, "phi": -1.5, "muonIdx1": 2}
    event = changed(w_event, "Jet", 0, muEF=0.9)
    event = event | {
        "Muon": [*event["Muon"], {"pt": 9.0, "phi": -1.5, "pfRelIso04_all": 2.0, "charge": -1}],
        "Jet": [*event["Jet"], second],
    }
    assert failed(run("wc", events(event))) == ["lepton_fraction"]


@pytest.mark.parametrize(
    ("other", "passes"),
    [
        # With the hard muon (40 GeV, phi 0): m^2 = 2 * 40 * pt * (1 - cos dphi), at dphi = pi: 160 pt.
        ({"pt": 50.6, "charge": -1}, False),  # 90.0
        ({"pt": 70.0, "charge": -1}, True),  # 105.8
        ({"pt": 50.6, "charge": 1}, True),  # same sign; with the soft muon: 31
        ({"pt": 50.6, "charge": -1, "tightId": False}, True),
        ({"pt": 3.5, "phi": 0.3, "charge": -1}, False),  # m^2 = 2 * 40 * 3.5 * 0.0447, m = 3.5
    ],
)
def test_resonances_are_refused_in_w_plus_c(
    events: Events, w_event: dict[str, Any], other: dict[str, Any], passes: bool
) -> None:
    not_isolated = {"phi": np.pi, "pfRelIso04_all": 2.0} | other
    event = w_event | {"Muon": [*w_event["Muon"], not_isolated]}
    assert ("dimuon_veto" not in failed(run("wc", events(event)))) is passes


def test_the_pair_nearest_to_the_z_decides(events: Events, w_event: dict[str, Any]) -> None:
    # 62.66 GeV: m = sqrt(160 * 62.66) = 100.1, 9.1 from 91, outside; 40.1 GeV: m = 80.1, 10.9 away, inside.
    pair = [{"pt": pt, "phi": np.pi, "charge": -1, "pfRelIso04_all": 2.0} for pt in (62.66, 40.1)]
    event = w_event | {"Muon": [*w_event["Muon"], *pair]}
    assert failed(run("wc", events(event))) == []


@pytest.mark.parametrize(
    ("phi", "charge", "passes"),
    [
        (1.5, -1, True),
        # Hard muon of 103 GeV, soft one of 20 at pi: m^2 = 4 * 103 * 20 = 8240, m = 90.8.
        (np.pi, -1, False),
        (np.pi, 1, True),
    ],
)
def test_hard_and_soft_muon_of_a_top_pair_are_no_z(
    events: Events, tt_event: dict[str, Any], phi: float, charge: int, passes: bool
) -> None:
    event = changed(changed(tt_event, "Muon", 0, pt=103.0), "Muon", 1, pt=20.0, phi=phi, charge=charge)
    event = changed(event, "Jet", 0, phi=phi)
    assert failed(run("ttsemilep", events(event))) == ([] if passes else ["dimuon_veto"])


def test_a_top_pair_takes_less_isolated_muons_only_above_5_gev(
    events: Events, tt_event: dict[str, Any]
) -> None:
    event = changed(tt_event, "Muon", 1, pfRelIso04_all=0.3)
    assert failed(run("ttsemilep", events(event))) == []
    assert "soft_muon_jet" in failed(run("ttsemilep", events(changed(event, "Muon", 1, pt=4.9))))


def test_profile_legacy_cuts_on_the_mass_with_massless_met(events: Events, w_event: dict[str, Any]) -> None:
    # eta 2: m^2 = 2 * 40 * 5 * (cosh 2 - cos 2.5) = 400 * (3.762 + 0.801) = 1825, m = 42.7, mT = 26.8.
    event = changed(w_event, "Muon", 0, eta=2.0) | {"MET_pt": 5.0}
    assert "w_mass" in failed(run("wc", events(event), profile="legacy"))
    # The same with 10 GeV: m = 60.4, mT = 38.0.
    event["MET_pt"] = 10.0
    assert "w_mass" not in failed(run("wc", events(event), profile="legacy"))
    assert "w_mass" in failed(run("wc", events(event)))


def test_profile_btvnano_leaves_qcd_suppression_out(events: Events, w_event: dict[str, Any]) -> None:
    event = changed(w_event, "Muon", 0, sip3d=5.0)
    assert failed(run("wc", events(event), profile="btvnano")) == []


@pytest.mark.parametrize("selection", ["wc", "ttsemilep"])
def test_nothing_is_selected_from_nothing(events: Events, selection: str) -> None:
    for chunk in (events(), events({}), events({"Jet": [{}]}, {"Muon": [{}]}, {"Electron": [{}]})):
        assert len(run(selection, chunk).jet) == 0
