import pytest

from selections.parameters import YEARS, parameters_of
from selections.primary_datasets import known_names, parse_primary_dataset, require_usable, starts_from

# By year and kind of trigger, the names in CMS's catalogue (/*/Run2022C*/NANOAOD, ...).
IN_THE_CATALOGUE = {
    "2016": {
        "muon": ["SingleMuon"],
        "muons": ["DoubleMuon"],
        "electron": ["SingleElectron"],
        "electrons": ["DoubleEG"],
    },
    "2017": {
        "muon": ["SingleMuon"],
        "muons": ["DoubleMuon"],
        "electron": ["SingleElectron"],
        "electrons": ["DoubleEG"],
    },
    "2018": {
        "muon": ["SingleMuon"],
        "muons": ["DoubleMuon"],
        "electron": ["EGamma"],
        "electrons": ["EGamma"],
    },
    "2022": {
        "muon": ["SingleMuon", "Muon"],
        "muons": ["DoubleMuon", "Muon"],
        "electron": ["EGamma"],
        "electrons": ["EGamma"],
    },
    "2023": {
        "muon": ["Muon", "Muon0", "Muon1"],
        "muons": ["Muon", "Muon0", "Muon1"],
        "electron": ["EGamma", "EGamma0", "EGamma1"],
        "electrons": ["EGamma", "EGamma0", "EGamma1"],
    },
}
RECORDED_BY = {
    "wc": "muon",
    "ttsemilep": "muon",
    "dy": "muons",
    "ttdilep_mumu": "muons",
    "wc_electron": "electron",
    "ttsemilep_electron": "electron",
    "dy_electron": "electrons",
}
ALL = sorted(
    {name for kinds in IN_THE_CATALOGUE.values() for names in kinds.values() for name in names} | {"MuonEG"}
)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("selection", [*RECORDED_BY, "ttdilep_emu", "inclusive"])
def test_every_selection_starts_from_the_data_of_its_trigger(selection: str, year: str) -> None:
    row = parameters_of(selection, year=year)
    of_year = IN_THE_CATALOGUE[year.removesuffix("UL")]
    wanted = {"ttdilep_emu": ["MuonEG"], "inclusive": ALL}.get(selection) or of_year[RECORDED_BY[selection]]
    assert {name for name in ALL if starts_from(row, name)} == set(wanted)
    assert starts_from(row, None)


@pytest.mark.parametrize(
    ("text", "name", "year"),
    [
        ("Muon", "Muon", None),
        ("Muon0", "Muon0", None),
        ("Muon_2022C", "Muon", "2022"),
        ("Muon0_Run2023C", "Muon0", "2023"),
        ("EGamma-Run2018A", "EGamma", "2018"),
        ("/Muon/Run2022C-22Sep2023-v1/NANOAOD", "Muon", "2022"),
        ("/EGamma1/Run2023D-22Sep2023_v2-v1/NANOAOD", "EGamma1", "2023"),
        ("DoubleMuon_2017", "DoubleMuon", "2017"),
        ("Muon_20221", "Muon_20221", None),
        ("", "", None),
    ],
)
def test_a_period_or_the_path_in_the_catalogue_may_follow_the_name(
    text: str, name: str, year: str | None
) -> None:
    assert parse_primary_dataset(text) == (name, year)


@pytest.mark.parametrize("primary_dataset", ["Muon_2022C", "Muon0_Run2023B", "/EGamma0/Run2023C-v1/NANOAOD"])
def test_the_year_that_a_name_says_has_to_be_that_of_the_selection(primary_dataset: str) -> None:
    own = parse_primary_dataset(primary_dataset)[1]
    for year in YEARS:
        if year.startswith(str(own)):
            require_usable(parameters_of("wc", year=year), primary_dataset)
        else:
            with pytest.raises(ValueError, match=f"{own}.*{year}"):
                require_usable(parameters_of("wc", year=year), primary_dataset)


@pytest.mark.parametrize("name", ["Mouon", "muon", "SingleMu", "Muon_", "Muons", "data"])
def test_a_name_that_no_year_knows_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}'.*SingleMuon.*JetHT"):
        require_usable(parameters_of("wc"), name)
    # Whoever takes all data takes these, too.
    require_usable(parameters_of("inclusive"), name)


def test_names_from_which_no_selection_starts_are_known() -> None:
    assert {"JetHT", "MuonEG", "EGamma", "Muon"} <= set(known_names())
    for name in ("JetHT", "JetMET0", "ParkingDoubleMuonLowMass7"):
        require_usable(parameters_of("dy"), name)
