import pytest

from simulation import SampleRequest, read_scenario, scenario_from, scenario_named, simulate_sample

CARD = """
base: [null, data_tails]
knobs:
  resolution_scale: 1.05
  efficiency_scale: [0.95, 1.03]
pythia:
  StringZ:rFactB: 1.05
"""


@pytest.fixture
def card(tmp_path):
    def write(text):
        path = tmp_path / "scenario.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_file_says_what_a_name_says(card):
    scenario = scenario_named(scenario_from(card(CARD.replace("null", "'null'"))))
    assert scenario.is_data
    assert scenario.detector.tail_fraction == 0.07
    assert scenario.detector.resolution_scale == 1.05
    assert scenario.priors == (("efficiency_scale", 0.95, 1.03),)
    assert scenario.pythia == ("StringZ:rFactB = 1.05",)
    assert scenario_from("data_tails") == "data_tails"
    assert scenario_named(scenario_from(card("knobs: {jet_noise: 1}"))).detector.jet_noise == 1.0
    assert scenario_from(card("pythia: {PartonLevel:MPI: on}")) == "mc+PartonLevel:MPI=on"
    assert scenario_from(card("")) == "mc"


def test_base_null_is_a_scenario_not_nothing(card):
    # YAML reads a bare null as nothing: the scenario of that name is meant.
    assert scenario_named(scenario_from(card(CARD))).is_data
    assert scenario_from(card("base: null")) == "null"


def test_a_scenario_is_read_back_from_the_file_of_events(card, tmp_path):
    name = scenario_from(card(CARD))
    info = simulate_sample(SampleRequest("dy", name, 10), tmp_path / "dy.root")
    assert read_scenario(info.path) == scenario_named(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("knob: {}", "unknown key 'knob': choose from base, knobs, pythia"),
        ("knobs: {speed: 1}", "unknown knob 'speed' of the detector"),
        ("knobs: {tail_fraction: much}", "'knobs.tail_fraction' is 'much'"),
        ("knobs: {tail_fraction: 1.5}", "set to 1.5: give a number from 0 to 1"),
        ("knobs: {efficiency_scale: -1}", "set to -1.0: give a number from 0 to inf"),
        ("knobs: {tail_fraction: [0.1, 0.2, 0.3]}", "has 3 numbers: give one, or"),
        ("knobs: {tail_fraction: [0.2, 0.1]}", "from 0.2 to 0.1: give the smaller number first"),
        ("base: reality", "unknown scenario 'reality'"),
        ("{", "not valid YAML"),
        ("[mc]", "'the file' is"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(card, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        scenario_from(card(text))
    assert "scenario.yaml: " in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: no such file"):
        scenario_from(str(tmp_path / "none.yaml"))
