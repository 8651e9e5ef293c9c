"""Scale factors as weights: on a correction written by hand, in the words of `advtag fit`."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from datamc.results import Scenario
from processors.scale_factor_weights import read_scale_factor_weights

OWN = Scenario("basic", 20, "fgsm:0.1")
OTHER = Scenario("basic", 19, "fgsm:0.1")


def correction_file(path: Path, *, description: str) -> Path:
    """Factors 1.1, 1.2, 1.4 of light, c, b; twice that above CvsL 0.5; `total_up` is 3 everywhere."""

    def halves(low: float) -> dict:
        return {
            "nodetype": "binning", "input": "CvsL", "edges": [0.0, 0.5, 1.0], "content": [low, 2 * low],
            "flow": "clamp",
        }  # fmt: skip

    flavours = [{"key": key, "value": halves(low)} for key, low in ((0, 1.1), (4, 1.2), (5, 1.4))]
    central = {"nodetype": "category", "input": "flavour", "content": flavours}
    content = [{"key": "central", "value": central}, {"key": "total_up", "value": 3.0}]
    correction = {
        "name": "flavour_tagging_shape",
        "description": description,
        "version": 1,
        "inputs": [
            {"name": "CvsL", "type": "real"}, {"name": "CvsB", "type": "real"},
            {"name": "flavour", "type": "int"}, {"name": "systematic", "type": "string"},
        ],
        "output": {"name": "weight", "type": "real"},
        "data": {"nodetype": "category", "input": "systematic", "content": content},
    }  # fmt: skip
    path.write_text(json.dumps({"schema_version": 2, "corrections": [correction]}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    told = "Scale factors. tagger: basic, epoch 20; inputs of the simulation: fgsm:0.1; errors: statistical"
    return correction_file(tmp_path / "sf.json", description=told)


SCORES = {"CvsL": np.array([0.2, 0.7, 0.2, 0.2]), "CvsB": np.full(4, 0.5)}
FLAVOUR = np.array([0, 1, 4, 6])  # udsg, pileup, c, bb
FACTORS = [1.1, 2.2, 1.2, 1.4]


def test_each_flavour_gets_its_factor(path: Path) -> None:
    weights = pickle.loads(pickle.dumps(read_scale_factor_weights(path)))
    assert weights.scenario == OWN
    np.testing.assert_allclose(weights.of_jets(SCORES, FLAVOUR), FACTORS)
    # data, of unknown flavour, are left alone
    np.testing.assert_allclose(weights.of_jets(SCORES, np.full(4, -1)), 1)
    up = read_scale_factor_weights(path, systematic="total_up")
    np.testing.assert_allclose(up.of_jets(SCORES, FLAVOUR), 3)


def test_a_factor_that_is_no_number_ends_the_run(path: Path) -> None:
    """log(0) is minus infinity, as a formula of another maker may give it."""
    content = json.loads(path.read_text())
    formula = {
        "nodetype": "formula", "expression": "log(x)", "parser": "TFormula", "variables": ["CvsL"],
    }  # fmt: skip
    content["corrections"][0]["data"]["content"][1]["value"] = formula
    path.write_text(json.dumps(content))
    up = read_scale_factor_weights(path, systematic="total_up")
    scores = SCORES | {"CvsL": np.array([0.5, 0.0, 0.5, 0.0])}
    with pytest.raises(ValueError, match=r"sf.json: 2 of 4 jets .*total_up"):
        up.of_jets(scores, FLAVOUR)


def parts(scenario: Scenario) -> list:
    """The four jets, two at a time."""
    return [
        (chosen, scenario, {name: values[chosen] for name, values in SCORES.items()})
        for chosen in (slice(0, 2), slice(2, 4))
    ]


def test_only_the_checkpoint_it_belongs_to_is_weighted(path: Path) -> None:
    weights = read_scale_factor_weights(path)
    found = list(weights.weights([*parts(OTHER), *parts(OWN)], flavour=FLAVOUR))
    np.testing.assert_allclose(np.concatenate([factor for *_, factor in found[:2]]), 1)
    np.testing.assert_allclose(np.concatenate([factor for *_, factor in found[2:]]), FACTORS)


def test_weight_of_an_event_is_the_product_over_its_jets(path: Path) -> None:
    weights = read_scale_factor_weights(path)
    # the second event's jets are apart, in different parts
    event = np.array([7, 9, 9, 7])
    found = list(weights.weights(parts(OWN), flavour=FLAVOUR, event=event))
    expected = [1.1 * 1.4, 2.2 * 1.2, 2.2 * 1.2, 1.1 * 1.4]
    np.testing.assert_allclose(np.concatenate([factor for *_, factor in found]), expected)
    none = list(weights.weights([], flavour=FLAVOUR[:0], event=event[:0]))
    assert none == []


def test_other_files_are_one_sentence(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no systematic 'jes' in it"):
        read_scale_factor_weights(path, systematic="jes")
    nameless = correction_file(tmp_path / "b.json", description="some factors")
    with pytest.raises(ValueError, match="does not tell the tagger it belongs to"):
        read_scale_factor_weights(nameless)
    with pytest.raises(FileNotFoundError):
        read_scale_factor_weights(tmp_path / "none.json")
