import awkward as ak
import pytest

from selections.catalogue import SELECT
from selections.objects import good_jets
from selections.parameters import (
    SELECTIONS,
    YEARS,
    DileptonSelection,
    DYSelection,
    SingleLeptonSelection,
    parameters_of,
)


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
    assert (ultra_legacy.abs_eta, ultra_legacy.jet_id, ultra_legacy.pu_id) == (2.4, 4, 1)


# Numbers of Jet_puId that pass loose, medium and tight, by the documentation of NanoAOD: in 2016UL the lowest
# bit is the loose one, in every other year the highest.
PU_ID_NUMBERS = {"2016UL": {"loose": {1, 3, 7}, "tight": {7}}, "else": {"loose": {4, 6, 7}, "tight": {7}}}


@pytest.mark.parametrize("year", [year for year in YEARS if not year.startswith("202")])
def test_soft_jets_pass_the_identification_against_pileup_of_their_year(year: str) -> None:
    of_year = PU_ID_NUMBERS.get(year, PU_ID_NUMBERS["else"])
    wanted = of_year["loose" if year.endswith("UL") else "tight"]
    every = set.union(*of_year.values(), {0})
    jets = ak.zip(
        {
            "pt": [[30.0] * len(every)],
            "eta": [[0.0] * len(every)],
            "jetId": [[7] * len(every)],
            "puId": [sorted(every)],
        }
    )
    passing = good_jets(ak.zip({"Jet": jets}, depth_limit=1), parameters_of("dy", year=year).jet)
    assert {number for number, passes in zip(sorted(every), passing[0], strict=True) if passes} == wanted


# Filters of missing energy by year, from the recommendations of CMS: eight in 2016, which has not the one
# against badly calibrated crystals; nine in 2017 and 2018; Run 3 has none for noise in HB and HE, but in HF.
COMMON = {
    "goodVertices", "globalSuperTightHalo2016Filter", "EcalDeadCellTriggerPrimitiveFilter", "BadPFMuonFilter",
    "BadPFMuonDzFilter", "eeBadScFilter",
}  # fmt: skip
HCAL = {"HBHENoiseFilter", "HBHENoiseIsoFilter"}
FILTERS = {
    "2016": COMMON | HCAL,
    "2017": COMMON | HCAL | {"ecalBadCalibFilter"},
    "2018": COMMON | HCAL | {"ecalBadCalibFilter"},
    "2022": COMMON | {"ecalBadCalibFilter", "hfNoisyHitsFilter"},
    "2023": COMMON | {"ecalBadCalibFilter", "hfNoisyHitsFilter"},
}


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("selection", [name for name in SELECTIONS if name != "inclusive"])
def test_every_year_asks_for_its_own_filters_of_missing_energy(selection: str, year: str) -> None:
    found = parameters_of(selection, year=year).met_filters
    assert {flag.removeprefix("Flag_") for flag in found} == FILTERS[year.removesuffix("UL")]
    assert len(set(found)) == len(found)


# Isolation above which a muon counts as soft: 0.5 in the stacks of W+c with a hard muon alone, 0.2 elsewhere
# (BTVNanoCommissioning, and the code behind CMS-BTV-20-001).
@pytest.mark.parametrize(
    ("selection", "isolation", "pt_ratio"),
    [
        ("wc", 0.5, 0.4),
        ("wc_electron", 0.2, 0.6),
        ("ttsemilep", 0.2, 0.4),
        ("ttsemilep_electron", 0.2, 0.6),
        ("ttdilep_emu", 0.2, None),
        ("ttdilep_mumu", 0.2, None),
    ],
)
def test_soft_muons_are_those_of_their_channel(
    selection: str, isolation: float, pt_ratio: float | None
) -> None:
    row = parameters_of(selection)
    assert isinstance(row, SingleLeptonSelection | DileptonSelection)
    assert (row.soft_muon.min_isolation, row.soft_muon.max_pt_ratio) == (isolation, pt_ratio)


def test_profiles_change_only_what_they_say() -> None:
    dy, wc = parameters_of("dy", profile="btvnano"), parameters_of("wc", profile="btvnano")
    assert isinstance(dy, DYSelection)
    assert isinstance(wc, SingleLeptonSelection)
    assert dy.mass_window == (61.0, 121.0)
    assert wc.qcd_suppression is None
    assert (wc.soft_muon.min_isolation, wc.soft_muon.min_dxy_significance) == (0.2, 1.0)
    assert parameters_of("dy", profile="legacy") == parameters_of("dy")
