from collections.abc import Callable, Iterable
from typing import Any

import awkward as ak
import pytest

from selections.branches import branches_of, column
from selections.catalogue import SELECT
from selections.parameters import parameters_of

Events = Callable[..., ak.Array]

DZ = "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ"


def names(selection: str) -> set[str]:
    branches = branches_of(parameters_of(selection))
    return {*branches.needed, *branches.optional, *(path for group in branches.triggers for path in group)}


def available_branches(events: ak.Array) -> frozenset[str]:
    """Return the names of the branches behind the events; nothing is read."""
    names: set[str] = set()
    for name in events.fields:
        fields: Iterable[str] = events[name].fields
        names.update(f"{name}_{field}" for field in fields)
        # A counter is no field of the events: a jagged collection stands for it.
        names.add(f"n{name}" if events[name].ndim > 1 else name)
    return frozenset(names)


def test_a_complete_file_misses_nothing() -> None:
    for selection in SELECT:
        branches = branches_of(parameters_of(selection))
        assert branches.missing(names(selection)) == ()
        assert branches.dropped(names(selection)) == ()
        assert branches.replaced(names(selection)) == ()


def test_a_needed_branch_is_named() -> None:
    branches = branches_of(parameters_of("wc"))
    assert branches.missing(names("wc") - {"Jet_muonIdx2", "Muon_sip3d"}) == ("Jet_muonIdx2", "Muon_sip3d")


def test_the_fall_back_trigger_counts_only_without_the_first_group() -> None:
    branches, everything = branches_of(parameters_of("dy")), names("dy")
    assert branches.dropped(everything - {DZ}) == ()
    assert branches.dropped(everything - {f"{DZ}_Mass8"}) == (f"{DZ}_Mass8",)
    run2017b = everything - {f"{DZ}_Mass8", f"{DZ}_Mass3p8"}
    assert branches.dropped(run2017b) == (f"{DZ}_Mass8", f"{DZ}_Mass3p8")
    assert branches.dropped(run2017b - {DZ}) == (f"{DZ}_Mass8", f"{DZ}_Mass3p8", DZ)


def test_another_production_is_read_under_its_own_names() -> None:
    branches = branches_of(parameters_of("wc"))
    run3 = (names("wc") - {"MET_pt", "MET_phi"}) | {"PuppiMET_pt", "PuppiMET_phi"}
    assert branches.missing(run3) == ()
    assert branches.replaced(run3) == (("MET_pt", "PuppiMET_pt"), ("MET_phi", "PuppiMET_phi"))
    assert "PuppiMET_pt" in branches.names()


def test_pf_missing_energy_is_preferred_where_both_exist(events: Events) -> None:
    chunk = events({"MET_pt": 30.0})
    chunk["PuppiMET"] = ak.zip({"pt": [40.0], "phi": [0.0]})
    met = column(chunk, "MET_pt")
    assert met is not None
    assert met.to_list() == [30.0]


def test_available_branches_are_named_as_in_the_file(events: Events) -> None:
    found = available_branches(events({"Muon": [{}]}, without=("Jet_puId",)))
    assert {"nMuon", "Muon_pt", "nJet", "Jet_pt", "run", "MET_pt", "HLT_IsoMu27"} <= found
    assert not {"Jet_puId", "Jet", "nMET", "nrun"} & found


@pytest.mark.parametrize("selection", ["dy", "wc", "ttsemilep"])
def test_every_branch_is_needed_or_declared_optional(
    events: Events, w_event: dict[str, Any], selection: str
) -> None:
    """A file without it either cannot be selected from, or its absence is reported."""
    parameters = parameters_of(selection)
    branches = branches_of(parameters)
    for branch in sorted(available_branches(events(w_event)) & branches.names()):
        if branch.startswith("n") or branch in ("run", "luminosityBlock", "event"):
            continue
        chunk = events(w_event, without=(branch,))
        available = available_branches(chunk)
        if branches.missing(available) or branches.dropped(available):
            continue
        pytest.fail(f"{branch} can be absent unnoticed")


def test_optional_branches_may_be_absent(events: Events, tt_event: dict[str, Any]) -> None:
    parameters = parameters_of("ttsemilep")
    optional = ("Jet_jetId", "Jet_puId", "Electron_mvaFall17V2Iso_WP80", "Electron_deltaEtaSC", "HLT_IsoMu27")
    chunk = events(tt_event, without=(*optional, "Flag_goodVertices"))
    assert len(SELECT["ttsemilep"](chunk, parameters).jet) == 1
    assert set(optional) <= set(branches_of(parameters).dropped(available_branches(chunk)))


def test_inclusive_needs_neither_leptons_nor_triggers() -> None:
    branches = branches_of(parameters_of("inclusive"))
    assert not any(name.startswith(("Muon", "Electron", "HLT", "Flag")) for name in branches.names())
