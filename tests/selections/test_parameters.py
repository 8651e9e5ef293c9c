import pytest

from selections.catalogue import SELECT
from selections.parameters import SELECTIONS, DYSelection, SingleLeptonSelection, parameters_of


def test_every_row_has_its_function() -> None:
    assert set(SELECTIONS) == set(SELECT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"selection": "dyjet"}, "unknown selection 'dyjet': choose from dy, wc, ttsemilep, inclusive"),
        ({"selection": "dy", "profile": "mine"}, "unknown profile 'mine'"),
        ({"selection": "dy", "year": "2012"}, "unknown year '2012'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_choices(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameters_of(**arguments)


def test_each_calibrates_its_flavour() -> None:
    assert [SELECTIONS[name].calibrates for name in ("dy", "wc", "ttsemilep")] == ["light", "c", "b"]
    assert [parameters_of(name).primary_dataset for name in ("dy", "wc", "ttsemilep")] == [
        "DoubleMuon",
        "SingleMuon",
        "SingleMuon",
    ]


def test_electrons_and_pairs_start_from_their_own_data() -> None:
    by_year = {
        year: [parameters_of(name, year=year).primary_dataset for name in ("wc_electron", "dy_electron")]
        for year in ("2017", "2018UL", "2022")
    }
    assert by_year == {
        "2017": ["SingleElectron", "DoubleEG"],
        "2018UL": ["EGamma", "EGamma"],
        "2022": ["EGamma", "EGamma"],
    }
    assert parameters_of("ttdilep_emu").primary_dataset == "MuonEG"
    assert parameters_of("ttdilep_mumu").primary_dataset == "DoubleMuon"
    assert len(parameters_of("ttdilep_emu").triggers[0]) == 4


@pytest.mark.parametrize(("profile", "selection"), [("other_jet", "dy"), ("legacy", "ttdilep_emu")])
def test_a_profile_says_nothing_of_other_rows(profile: str, selection: str) -> None:
    assert parameters_of(selection, profile=profile) == parameters_of(selection)


def test_2017_never_takes_the_prescaled_single_muon_trigger() -> None:
    assert parameters_of("wc", year="2017").triggers == (("HLT_IsoMu27",),)
    assert parameters_of("wc", year="2018").triggers == (("HLT_IsoMu24",),)


def test_years_change_jets_and_reconstructions_their_identification() -> None:
    assert parameters_of("dy", year="2016").jet.abs_eta == 2.4
    assert parameters_of("dy", year="2017").jet.abs_eta == 2.5
    assert [parameters_of("inclusive", year=year).jet.abs_eta for year in ("2016UL", "2018")] == [2.4, 2.5]
    ultra_legacy = parameters_of("dy", year="2016UL").jet
    assert (ultra_legacy.abs_eta, ultra_legacy.jet_id, ultra_legacy.pu_id) == (2.4, 4, 4)


def test_profiles_change_only_what_they_say() -> None:
    dy, wc = parameters_of("dy", profile="btvnano"), parameters_of("wc", profile="btvnano")
    assert isinstance(dy, DYSelection)
    assert isinstance(wc, SingleLeptonSelection)
    assert dy.mass_window == (61.0, 121.0)
    assert wc.qcd_suppression is None
    assert (wc.soft_muon.min_isolation, wc.soft_muon.min_dxy_significance) == (0.2, 1.0)
    assert parameters_of("dy", profile="legacy") == parameters_of("dy")
