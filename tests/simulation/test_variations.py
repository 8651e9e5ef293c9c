import awkward as ak
import numpy as np
import pytest
import uproot

from simulation import SampleRequest, match_jets, scenario_name, scenario_named, simulate_sample
from simulation.provenance import read_provenance
from simulation.variations import read_jets, simulate_variations

REQUEST = SampleRequest("ttsl", "mc", 150, seed=3)
SCENARIOS = ("mc", "mc+efficiency_scale=0.95", "data_resolution")


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """One set of events as three detectors see it."""
    folder = tmp_path_factory.mktemp("varied")
    paths = [folder / f"{number}.root" for number in range(3)]
    return simulate_variations(REQUEST, SCENARIOS, paths)


def events(info):
    return uproot.open(info.path)["Events"]


def test_all_files_hold_the_same_events(varied):
    for name in ("run", "luminosityBlock", "event"):
        first, *others = (events(info)[name].array().tolist() for info in varied)
        assert all(other == first for other in others)
    assert [info.scenario for info in varied] == list(SCENARIOS)
    assert [info.is_data for info in varied] == [False, False, True]


def test_the_generator_is_the_same_in_all_files(varied):
    for name in ("GenPart_pt", "GenPart_vx", "GenJet_pt"):
        assert events(varied[0])[name].array().tolist() == events(varied[1])[name].array().tolist()


def test_the_first_file_is_that_of_a_sample_of_its_own(varied, tmp_path):
    alone = simulate_sample(REQUEST, tmp_path / "alone.root")
    for name in ("Jet_pt", "Jet_DeepCSV_trackSip3dSig_0", "MET_pt", "HLT_IsoMu27"):
        assert events(varied[0])[name].array().tolist() == events(alone)[name].array().tolist()


def test_files_hold_their_knobs(varied):
    knobs = [read_provenance(info.path)["scenario"]["detector"] for info in varied]
    assert [knob["efficiency_scale"] for knob in knobs] == [1.0, 0.95, 1.0]
    assert [knob["resolution_scale"] for knob in knobs] == [1.0, 1.0, 1.12]


def test_jets_of_two_detectors_are_matched(varied):
    first, second, third = (read_jets(info.path, "pt") for info in varied)
    pairs = match_jets(first, second)
    assert len(pairs) / ak.count(first.pt) > 0.96
    assert len(np.unique(pairs[:, 1])) == len(pairs)
    ratio = ak.to_numpy(ak.flatten(second.pt))[pairs[:, 1]] / ak.to_numpy(ak.flatten(first.pt))[pairs[:, 0]]
    assert np.median(np.abs(ratio - 1)) < 0.03
    # A worse resolution of impact parameters changes no jet at all.
    assert first.pt.tolist() == third.pt.tolist()


def test_random_numbers_are_shared_where_detectors_agree(varied):
    name = "Jet_DeepCSV_trackSip2dSig_0"
    leading = [ak.to_numpy(ak.flatten(events(info)[name].array())) for info in varied]
    exists = (leading[0] > -900) & (leading[2] > -900)
    # Offsets of 1.12 times the size, not other ones: nearly the same numbers.
    assert np.corrcoef(leading[0][exists], leading[2][exists])[0, 1] > 0.95


def test_matching_takes_each_jet_once_and_knows_the_angle():
    first = ak.Array([[{"eta": 0.0, "phi": 3.1}, {"eta": 0.1, "phi": 3.1}], [], [{"eta": 1.0, "phi": 0.0}]])
    second = ak.Array([[{"eta": 0.0, "phi": -3.1}], [{"eta": 0.0, "phi": 0.0}], [{"eta": 1.0, "phi": 0.3}]])
    # 3.1 and -3.1 are 0.083 apart; the second jet finds it taken, the third lies 0.3 away.
    assert match_jets(first, second).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="3 and 1 events"):
        match_jets(first, second[:1])


def test_what_changes_the_generator_is_no_variation(tmp_path):
    with pytest.raises(ValueError, match="'data_radiation' changes the generator"):
        simulate_variations(REQUEST, ["mc", "data_radiation"], [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ValueError, match="give each scenario one path"):
        simulate_variations(REQUEST, ["mc", "null"], [tmp_path / "a"])


def test_scenarios_are_composed():
    both = scenario_named("data_resolution+data_radiation")
    assert both.is_data
    assert both.detector.resolution_scale == 1.12
    assert both.pythia == ("TimeShower:alphaSvalue = 0.130",)
    everything = scenario_named(
        "data_resolution+data_tails+data_efficiency+data_misalignment+data_fragmentation+data_radiation"
    )
    data = scenario_named("data")
    assert (everything.detector, everything.pythia) == (data.detector, data.pythia)
    assert not scenario_named("mc+tail_fraction=0.08").is_data
    assert scenario_name("data_tails", {"efficiency_scale": 0.9}) == "data_tails+efficiency_scale=0.9"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mc+speed=1", "unknown knob 'speed'"),
        ("mc+tail_fraction=much", "knob 'tail_fraction' is set to 'much': give a number"),
        ("data_tails+tail_fraction=0.1", "sets tail_fraction to both 0.07 and 0.1: leave one out"),
        ("mc+reality", "unknown scenario 'reality'"),
    ],
)
def test_a_wrong_scenario_is_refused_in_one_sentence(name, message):
    with pytest.raises(ValueError, match=message):
        scenario_named(name)
