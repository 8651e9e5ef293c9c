"""Dileptonic top pairs, and the other rows that came after the first three."""

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest

from selections.branches import branches_of, column
from selections.catalogue import SELECT
from selections.objects import missing_energy
from selections.parameters import SELECTIONS, parameters_of
from selections.selected import Selected

Events = Callable[..., ak.Array]


def run(name: str, events: ak.Array, **options: Any) -> Selected:
    return SELECT[name](events, parameters_of(name, **options))


def failed(selected: Selected) -> list[str]:
    return [name for name in selected.cuts.names if not selected.cuts.all(name)[0]]


@pytest.fixture
def emu_event() -> dict[str, Any]:
    """An electron and a muon of 40 GeV back to back, two jets away from both, one with a soft muon.

    m^2 = 2 * 40 * 40 * (1 + 1) = 6400: 80 GeV would be vetoed, so the electron has 60 GeV: m = 98.0; at 100
    GeV m^2 = 16000, m = 126.5.
    """
    soft = {"pt": 10.0, "phi": 1.5, "charge": -1, "pfRelIso04_all": 2.0}
    return {
        "Muon": [{"phi": 0.0}, soft],
        "Electron": [{"pt": 100.0, "eta": 0.0, "phi": np.pi, "charge": -1}],
        "Jet": [{"muonIdx1": 1}, {"pt": 30.0, "phi": -1.5}],
    }


@pytest.fixture
def mumu_event(emu_event: dict[str, Any]) -> dict[str, Any]:
    second = {"pt": 100.0, "phi": np.pi, "charge": -1}
    return emu_event | {"Muon": [*emu_event["Muon"], second], "Electron": []}


def changed(event: dict[str, Any], collection: str, position: int, **values: Any) -> dict[str, Any]:
    objects = [dict(one) for one in event[collection]]
    objects[position] |= values
    return event | {collection: objects}


def test_an_electron_and_a_muon_pass_every_cut(events: Events, emu_event: dict[str, Any]) -> None:
    selected = run("ttdilep_emu", events(emu_event))
    assert failed(selected) == []
    assert selected.jet.tolist() == [0]
    assert selected.sign.tolist() == [1]
    assert selected.control["dilepton_mass"][0] == pytest.approx(np.sqrt(16000), abs=0.01)
    assert {kind: [p.tolist() for p in found] for kind, found in selected.objects.items()} == {
        "muon": [[0]],
        "electron": [[0]],
        "soft_muon": [[1]],
    }


def test_two_muons_pass_every_cut_of_theirs(events: Events, mumu_event: dict[str, Any]) -> None:
    selected = run("ttdilep_mumu", events(mumu_event))
    assert failed(selected) == []
    assert [found.tolist() for found in selected.objects["muon"]] == [[2], [0]]
    assert "number_of_electrons" in failed(run("ttdilep_emu", events(mumu_event)))


@pytest.mark.parametrize(
    ("collection", "position", "values", "cut"),
    [
        ("Muon", 0, {"pt": 13.0}, "number_of_muons"),
        ("Electron", 0, {"pt": 14.0}, "number_of_electrons"),
        ("Electron", 0, {"mvaFall17V2Iso_WP80": False}, "number_of_electrons"),
        ("Electron", 0, {"charge": 1}, "opposite_sign"),
        ("Electron", 0, {"pt": 60.0}, "dilepton_mass"),  # 98.0
        ("Electron", 0, {"pt": 35.0, "phi": 0.3}, "dilepton_mass"),  # 2 * 40 * 35 * 0.0447 = 125, m = 11.2
        ("Muon", 1, {"pfRelIso04_all": 0.19}, "soft_muon_jet"),
        ("Muon", 1, {"pt": 4.9}, "soft_muon_jet"),
        ("Jet", 1, {"pt": 19.0}, "n_jets"),
        ("Jet", 1, {"phi": 0.3}, "n_jets"),  # on the muon
        ("Jet", 1, {"phi": 3.0}, "n_jets"),  # on the electron
    ],
)
def test_a_spoiled_object_fails_its_cut(
    events: Events,
    emu_event: dict[str, Any],
    collection: str,
    position: int,
    values: dict[str, Any],
    cut: str,
) -> None:
    selected = run("ttdilep_emu", events(changed(emu_event, collection, position, **values)))
    assert cut in failed(selected)
    assert len(selected.jet) == 0


@pytest.mark.parametrize(
    ("muon", "electron", "passes"), [(25.0, 20.0, True), (15.0, 28.0, True), (23.0, 26.0, False)]
)
def test_one_of_the_two_is_as_hard_as_the_trigger(
    events: Events, emu_event: dict[str, Any], muon: float, electron: float, passes: bool
) -> None:
    event = changed(changed(emu_event, "Muon", 0, pt=muon), "Electron", 0, pt=electron)
    assert ("leading_lepton_pt" not in failed(run("ttdilep_emu", events(event)))) is passes


def test_missing_energy_is_asked_for(events: Events, emu_event: dict[str, Any]) -> None:
    assert failed(run("ttdilep_emu", events(emu_event | {"MET_pt": 39.0}))) == ["met"]


def test_the_jet_without_a_soft_muon_is_studied_where_asked(
    events: Events, emu_event: dict[str, Any], w_event: dict[str, Any], tt_event: dict[str, Any]
) -> None:
    selected = run("ttdilep_emu", events(emu_event), profile="other_jet")
    assert (selected.jet.tolist(), selected.control["jet_pt"].tolist()) == ([1], [30.0])
    # The hardest of three jets without one; the sign stays that of the soft muon.
    selected = run("ttsemilep", events(tt_event), profile="other_jet")
    assert (selected.jet.tolist(), selected.sign.tolist()) == ([1], [1])
    assert selected.control["soft_muon_pt"].tolist() == [10.0]
    assert failed(run("wc", events(w_event), profile="other_jet")) == ["other_jet"]


def test_two_electrons_make_a_z(events: Events, z_event: dict[str, Any]) -> None:
    pair = [{"pt": 60.0, "phi": 0.0, "charge": 1}, {"pt": 34.5, "phi": np.pi, "charge": -1}]
    event = {"Electron": [one | {"eta": 0.0} for one in pair], "Jet": z_event["Jet"]}
    selected = run("dy_electron", events(event))
    assert failed(selected) == []
    # As for the muons of the same numbers: 91.0 GeV.
    assert selected.control["dielectron_mass"][0] == pytest.approx(np.sqrt(8280), abs=0.01)
    assert [found.tolist() for found in selected.objects["electron"]] == [[0], [1]]
    assert "muon_veto" in failed(run("dy_electron", events(event | {"Muon": [{"pt": 13.0}]})))


def test_the_leading_electron_is_above_the_trigger(events: Events) -> None:
    pair = [{"pt": 26.0, "eta": 1.2, "phi": 0.0}, {"pt": 26.0, "eta": -1.2, "phi": np.pi, "charge": -1}]
    assert "leading_electron_pt" in failed(run("dy_electron", events({"Electron": pair, "Jet": [{}]})))


@pytest.fixture
def electron_event(w_event: dict[str, Any]) -> dict[str, Any]:
    """The event of a W to a muon, with an electron in its place."""
    soft = dict(w_event["Muon"][1])
    return {
        "Muon": [soft],
        "Electron": [{"phi": 0.0, "eta": 0.0}],
        "Jet": [dict(w_event["Jet"][0]) | {"muonIdx1": 0}],
    }


def test_an_electron_takes_the_place_of_the_hard_muon(
    events: Events, electron_event: dict[str, Any], w_event: dict[str, Any]
) -> None:
    selected = run("wc_electron", events(electron_event, changed(electron_event, "Muon", 0, charge=1)))
    assert failed(selected) == []
    assert selected.sign.tolist() == [1, -1]
    assert selected.control["electron_pt"].tolist() == [40.0, 40.0]
    assert selected.control["mt"][0] == pytest.approx(np.sqrt(7204.6), abs=0.01)
    assert "one_hard_electron" in failed(run("wc_electron", events(w_event)))
    assert "one_hard_muon" in failed(run("wc", events(electron_event)))


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [("pfRelIso03_all", 0.04, 0.06), ("dz", -0.019, 0.021), ("dxy", 0.009, -0.011), ("sip3d", 2.4, 2.6)],
)
def test_the_hard_electron_is_prompt(
    events: Events, electron_event: dict[str, Any], field: str, inside: float, outside: float
) -> None:
    for value, expected in ((inside, []), (outside, ["qcd_suppression"])):
        event = changed(electron_event, "Electron", 0, **{field: value})
        assert failed(run("wc_electron", events(event))) == expected
    # What a file does not say is not asked for, and reported.
    chunk = events(changed(electron_event, "Electron", 0, **{field: outside}), without=(f"Electron_{field}",))
    assert failed(run("wc_electron", chunk)) == []
    branches = branches_of(parameters_of("wc_electron"))
    assert f"Electron_{field}" in branches.dropped(branches.names() - {f"Electron_{field}"})


def test_a_soft_muon_may_take_more_of_the_jet_beside_an_electron(
    events: Events, electron_event: dict[str, Any]
) -> None:
    event = changed(electron_event, "Muon", 0, pt=24.5)  # 24.5 / 60 = 0.41
    assert failed(run("wc_electron", events(event))) == []
    assert failed(run("wc_electron", events(changed(event, "Jet", 0, pt=40.0)))) == ["soft_muon_pt_ratio"]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("year", ["2016", "2022"])
def test_every_row_selects_nothing_from_nothing(events: Events, selection: str, year: str) -> None:
    assert len(run(selection, events(), year=year).jet) == 0


def test_run_3_takes_puppi_missing_energy_and_no_identification_against_pileup(
    events: Events, w_event: dict[str, Any]
) -> None:
    row = parameters_of("wc", year="2022")
    assert (row.primary_dataset, row.triggers) == ("Muon", (("HLT_IsoMu24",),))
    assert "Flag_hfNoisyHitsFilter" in row.met_filters
    branches = branches_of(row)
    assert {"PuppiMET_pt", "PuppiMET_phi"} <= set(branches.needed)
    assert "Jet_puId" not in branches.optional
    event = changed(w_event, "Jet", 0, pt=40.0, puId=0)
    chunk = events(event)
    chunk["PuppiMET"] = ak.zip({"pt": np.array([70.0]), "phi": np.array([2.5])})
    # mT^2 = 2 * 40 * 70 * 1.801
    assert run("wc", chunk, year="2022").control["mt"][0] == pytest.approx(np.sqrt(10086.4), abs=0.02)
    assert missing_energy(chunk, "PF")[0].tolist() == [50.0]
    # A file of Run 3 without it: the other one is read, and said.
    assert column(events(event), "PuppiMET_pt") is not None
    assert ("PuppiMET_pt", "MET_pt") in branches.replaced(branches.names() - {"PuppiMET_pt"})


def test_a_file_without_identification_of_jets_is_read(events: Events, w_event: dict[str, Any]) -> None:
    chunk = events(changed(w_event, "Jet", 0, jetId=0), without=("Jet_jetId", "Jet_puId"))
    assert failed(run("wc", chunk)) == []


def test_a_shift_that_changes_the_order_of_jets_keeps_their_muons(
    events: Events, w_event: dict[str, Any]
) -> None:
    """`muonIdx1` of jet 0 is muon 1, whatever jet is the hardest."""
    event = w_event | {"Jet": [*w_event["Jet"], {"pt": 58.0, "phi": -1.5}]}
    chunk = events(event)
    shifted = ak.with_field(chunk, ak.with_field(chunk.Jet, ak.Array([[59.0, 61.0]]), "pt"), "Jet")
    for one in (chunk, shifted):
        selected = run("wc", one)
        assert selected.jet.tolist() == [0]
        assert selected.control["soft_muon_pt"].tolist() == [10.0]
    assert run("wc", shifted).control["jet_pt"].tolist() == [59.0]
