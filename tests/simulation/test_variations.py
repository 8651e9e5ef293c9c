import dataclasses

import awkward as ak
import numpy as np
import pytest
import uproot

from simulation import (
    SampleRequest,
    generate,
    match_jets,
    scenario_name,
    scenario_named,
    simulate_sample,
    simulate_samples,
    simulate_variations,
)
from simulation.provenance import read_provenance
from simulation.scenarios import KNOB_EVENTS, drawn_knobs
from simulation.variations import read_jets

REQUEST = SampleRequest("ttsl", "mc", 150, seed=3)
SCENARIOS = ("mc", "mc+efficiency_scale=0.95", "data_resolution")
VARIED = dataclasses.replace(REQUEST, variations=SCENARIOS[1:])
DRAWN = "mc+efficiency_scale=0.95..1.03+misalignment_d0=-0.001..0.001"


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """One set of events as three detectors see it."""
    folder = tmp_path_factory.mktemp("varied")
    paths = [folder / f"{number}.root" for number in range(3)]
    return simulate_variations(VARIED, paths)


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


def test_jets_of_a_variation_know_the_jet_that_they_are(varied):
    nominal, seen = (read_jets(info.path) for info in varied[:2])
    index = events(varied[1])["Jet_nominalIdx"].array()
    matched = seen[index >= 0]
    partner = nominal[index[index >= 0]]
    assert ak.all(np.hypot(matched.eta - partner.eta, (matched.phi - partner.phi + 3.2) % 6.4 - 3.2) < 0.3)
    # The same pairs as matching from the other side finds, but for a few where two jets are near.
    assert ak.count(matched.eta) == pytest.approx(len(match_jets(nominal, seen)), rel=0.01)
    for info in (varied[0], varied[2]):
        assert "Jet_nominalIdx" not in events(info)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two blocks of events whose detector is drawn from a prior, in two sizes of batches."""
    request = SampleRequest("dy", "mc", KNOB_EVENTS + 20, seed=4, variations=(DRAWN,))
    made = {}
    for size in (KNOB_EVENTS, 70):
        folder = tmp_path_factory.mktemp(f"drawn{size}")
        made[size] = simulate_variations(request, [folder / "a.root", folder / "b.root"], batch_size=size)
    return made


def test_knobs_are_drawn_for_blocks_of_events_and_stored_with_jets(drawn):
    info = drawn[KNOB_EVENTS][1]
    arrays = events(info).arrays(["Jet_knob_efficiency_scale", "Jet_knob_misalignment_d0", "event"])
    knobs = arrays["Jet_knob_efficiency_scale"]
    first, second = knobs[arrays["event"] <= KNOB_EVENTS], knobs[arrays["event"] > KNOB_EVENTS]
    assert len(set(ak.flatten(first).tolist())) == len(set(ak.flatten(second).tolist())) == 1
    assert ak.flatten(first)[0] != ak.flatten(second)[0]
    assert ak.all((knobs > 0.95) & (knobs < 1.03))
    assert ak.all(abs(arrays["Jet_knob_misalignment_d0"]) < 0.001)
    assert read_provenance(info.path)["scenario"]["priors"] == [
        ["efficiency_scale", 0.95, 1.03],
        ["misalignment_d0", -0.001, 0.001],
    ]


def test_batches_do_not_change_what_is_drawn(drawn):
    for whole, parts in zip(drawn[KNOB_EVENTS], drawn[70], strict=True):
        first, second = (events(info).arrays() for info in (whole, parts))
        assert all(first[name].tolist() == second[name].tolist() for name in first.fields)


def test_priors_are_uniform():
    scenario = scenario_named(DRAWN)
    values = [drawn_knobs(scenario, 1, block=block)["efficiency_scale"] for block in range(1000)]
    # Uniform from 0.95 to 1.03: mean 0.99 known to 0.08 / sqrt(12 x 1000) = 0.0007.
    assert np.mean(values) == pytest.approx(0.99, abs=0.003)
    assert np.std(values) == pytest.approx(0.08 / 12**0.5, rel=0.05)


def test_variations_are_made_in_parts_and_only_once(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "PART_SIZE", 30)
    requests = [SampleRequest(process, "mc", 60, variations=(DRAWN,)) for process in ("dy", "wc")]
    parallel = simulate_samples(requests, tmp_path / "two", n_processes=2)
    assert [(info.process, info.scenario) for info in parallel] == [
        (process, scenario) for process in ("dy", "wc") for _ in range(2) for scenario in ("mc", DRAWN)
    ]
    serial = simulate_samples(requests, tmp_path / "one", n_processes=1)
    for first, second in zip(parallel, serial, strict=True):
        assert events(first).arrays().tolist() == events(second).arrays().tolist()

    def refuse(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(generate, "simulate_variations", refuse)
    assert simulate_samples(requests, tmp_path / "two", n_processes=1) == parallel


def test_what_changes_the_generator_is_no_variation(tmp_path):
    with pytest.raises(ValueError, match="'data_radiation' changes the generator"):
        SampleRequest("dy", "mc", 10, variations=("data_radiation",))
    with pytest.raises(ValueError, match="'mc' is asked for twice"):
        SampleRequest("dy", "mc", 10, variations=("mc",))
    with pytest.raises(ValueError, match="give each scenario one path"):
        simulate_variations(VARIED, [tmp_path / "a"])


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


def test_another_draw_draws_other_knobs_from_the_same_range() -> None:
    once, again = (scenario_named(f"mc+efficiency_scale=0.95..1.03{more}") for more in ("", "+draw=2"))
    assert once.priors == again.priors
    assert once.detector == again.detector
    knobs = [drawn_knobs(scenario, 1, block=0)["efficiency_scale"] for scenario in (once, again)]
    assert knobs[0] != knobs[1]
    assert all(0.95 <= knob <= 1.03 for knob in knobs)


def test_a_draw_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match=r"has a draw of 1\.5: give a whole number"):
        scenario_named("mc+draw=1.5")
    assert (
        scenario_name("mc", {"efficiency_scale": (0.95, 1.03)}, draw=2)
        == "mc+efficiency_scale=0.95..1.03+draw=2"
    )
