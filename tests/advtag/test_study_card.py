"""The card of a study: what it refuses, and which trainings and samples it stands for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from advtag import study_plan
from advtag.study_card import StudyCard, read_study_card, tagger_name
from advtag.study_records import Records, difference
from advtag.study_stages import Study, check, prepare_card, sample_requests
from advtag.study_trainings import run_cards, waves
from simulation import SampleRequest, scenario_from

SHIPPED = Path(__file__).parents[2] / "configs" / "defences.yaml"

Write = Callable[..., Path]


def content(**changes: Any) -> dict[str, Any]:
    """A small card, some of its keys changed; None leaves a key out."""
    card = {
        "name": "small",
        "output": "out",
        "samples": {
            "training": {"events": {"tt": 20}},
            "evaluation": {"mc": {"events": {"dy": 20}}, "data": {"events": {"dy": 20}, "seed": 2}},
        },
        "methods": {"basic": {}, "fgsm": {"attack": "fgsm:0.1"}},
        "seeds": [1, 2],
        "selections": ["dy"],
    }
    return {key: value for key, value in (card | changes).items() if value is not None}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a card and return its path."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "cards" / "study.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content(**changes), sort_keys=False))
        return path

    return write


def read(path: Path) -> StudyCard:
    card = read_study_card(path)
    check(Study(card))
    return card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metods": {}}, "unknown key 'metods': choose from name, title,"),
        ({"name": None}, "the key 'name' is missing: add it (of the study)"),
        ({"methods": {"a b": {}}}, "key 'methods.a b': string should match"),
        ({"methods": {"fgsm": {"attack": "fgsm:0.1"}}}, "reference is 'basic': choose from fgsm"),
        ({"methods": {"basic": {"seed": 3}}}, "methods.basic.seed: the study chooses that itself"),
        ({"training": {"output": "x"}}, "training.output: the study chooses that itself"),
        ({"methods": {"basic": {"speed": 3}}}, "methods.basic: unknown key 'speed': choose from attack, mix"),
        ({"methods": {"basic": {"epochs": 0}}}, "methods.basic: key 'epochs': input should be greater"),
        (
            {"methods": {"basic": {}, "mmd": {"methods": [{"method": "mmd_outputs"}]}}},
            "methods.mmd: mmd_outputs adapts to unlabelled jets: add the key 'unlabelled'",
        ),
        (
            {"methods": {"basic": {}, "aug": {"methods": [{"method": "augment", "shared": 1}]}}},
            "methods.aug: unknown key 'methods.0.augment.shared': choose from method, share",
        ),
        ({"prepare": {"bins": 3}}, "prepare: unknown key 'bins': choose from reweighting,"),
        ({"samples": None}, "no events: add 'samples', or 'training_inputs' and 'filesets'"),
        ({"training_inputs": ["x.root"]}, "samples are simulated and own files given: leave one out"),
        (
            {"samples": {"training": {"events": {"tt": 1}}, "evaluation": {"mc": {"events": {"dy": 1}}}}},
            "samples: evaluation needs 'mc' and at least one sample to compare it with",
        ),
        (
            {"samples": {"training": {}, "evaluation": {}}},
            "samples.training: no process is asked for: add e.g. events: {dy: 20000}",
        ),
        (
            {"samples": {"training": {"event": 3}, "evaluation": {}}},
            "unknown key 'samples.training.event': choose from scenario, events,",
        ),
        (
            {
                "samples": {
                    "training": {"events": {"tt": 1}},
                    "evaluation": {
                        "mc": {"events": {"dy": 1}, "same_events": True},
                        "data": {"events": {"dy": 1}},
                    },
                }
            },
            "samples: same_events is for what simulation is compared with: leave it out of 'mc'",
        ),
        (
            {
                "samples": {
                    "training": {"events": {"tt": 1}},
                    "evaluation": {
                        "mc": {"events": {"dy": 1}},
                        "data": {"events": {"dy": 1}, "same_events": True},
                    },
                }
            },
            "scenario 'data' changes the generator, not only the detector: make a sample of its own",
        ),
        ({"unlabelled": {"scenario": "second"}}, "unlabelled.scenario is 'second': choose from data"),
        ({"unlabelled": {"fraction": 0.3}}, "unknown key 'unlabelled.fraction': choose from selections,"),
        ({"null_scenario": "nil"}, "null_scenario is 'nil': choose from data"),
        ({"seeds": [1, 1]}, "seeds has 1 twice: leave one out"),
        ({"seeds": []}, "key 'seeds': list should have at least 1 item"),
        ({"selections": ["dyjets"]}, "unknown selection 'dyjets'"),
        ({"variants": ["fast:3"]}, "'fast:3'"),
        (
            {"samples": None, "training_inputs": ["x.root"], "filesets": {"data": "none.json"}},
            "none.json: no such fileset",
        ),
    ],
)
def test_a_wrong_card_is_refused_in_one_sentence(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        read(write(**changes))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_method_named_twice_is_refused(write: Write) -> None:
    path = write()
    path.write_text(path.read_text().replace("  fgsm:", "  basic:"))
    with pytest.raises(ValueError, match="the key 'basic' is there twice"):
        read(path)


def test_files_on_the_card_are_found_from_where_it_lies(write: Write, tmp_path: Path) -> None:
    own = {"samples": None, "training_inputs": ["../a.root", "root://host/b.root", "/c.root"]}
    card = read_study_card(write(**own, filesets={"data": "f.json"}))
    folder = tmp_path / "cards"
    assert card.training_inputs == (f"{folder}/../a.root", "root://host/b.root", "/c.root")
    assert card.filesets == {"data": f"{folder}/f.json"}
    assert card.output == Path("out")  # as in all commands, from where the command runs


def test_null_is_the_name_of_a_scenario_and_not_nothing(write: Write) -> None:
    samples = content()["samples"]
    samples["evaluation"][None] = {"events": {"dy": 5}, "seed": 3}
    card = read(write(samples=samples))
    assert card.scenarios == ("data", "null")
    assert card.null == "null"
    assert sample_requests(Study(card))["null"] == [SampleRequest("dy", "null", 5, seed=3)]


def test_every_method_is_trained_with_every_seed(write: Write) -> None:
    cards = run_cards(read(write(training={"epochs": 3, "attack": "noise:0.1"})))
    assert [card.name for card in cards] == ["basic.s1", "basic.s2", "fgsm.s1", "fgsm.s2"]
    assert [(card.seed, card.epochs, card.attack.name) for card in cards[1:3]] == [
        (2, 3, "noise:0.1"),
        (1, 3, "fgsm:0.1"),
    ]
    assert cards[0].output == Path("out").resolve() / "runs" / tagger_name("basic", 1)


def test_methods_get_unlabelled_jets_and_a_teacher_of_the_same_seed(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "study"
    methods = {
        "taught": {"methods": [{"method": "distillation", "teacher": "basic"}]},
        "mmd": {"methods": [{"method": "mmd_outputs", "weight": 2}]},
        "basic": {},
    }
    path = write(methods=methods, unlabelled={"selections": ["dy", "wc"]}, output=str(out))
    cards = {card.name: card for card in run_cards(read(path))}
    [mmd] = cards["mmd.s2"].methods
    assert mmd.unlabelled == (out / "unlabelled" / "dy", out / "unlabelled" / "wc")
    assert cards["taught.s2"].methods[0].teacher == out / "runs" / "basic.s2"
    assert [[card.name for card in group] for group in waves(list(cards.values()))] == [
        ["mmd.s1", "mmd.s2", "basic.s1", "basic.s2"],
        ["taught.s1", "taught.s2"],
    ]


def test_trainings_cannot_teach_one_another(write: Write) -> None:
    taught = {name: {"methods": [{"method": "distillation", "teacher": name}]} for name in ("a", "b")}
    path = write(methods={"basic": {}, "a": taught["b"], "b": taught["a"]})
    with pytest.raises(ValueError, match="it and its teacher wait for one another"):
        waves(run_cards(read_study_card(path)))


def test_the_shipped_study_asks_for_the_samples_that_its_page_describes(tmp_path: Path) -> None:
    study = Study(read_study_card(SHIPPED, output=tmp_path))
    check(study)
    requests = sample_requests(study)
    folder = SHIPPED.parent / "defences"
    priors = tuple(scenario_from(str(folder / f"{name}.yaml")) for name in ("prior", "prior_2", "prior_3"))
    second = scenario_from(str(folder / "second.yaml"))
    assert requests["training"][0] == SampleRequest("qcd", "mc", 25_000, seed=1, variations=priors)
    assert requests["second"][0] == SampleRequest("dy", second, 200_000, seed=14)
    assert {name: [each.process for each in several] for name, several in requests.items()} == {
        "training": ["qcd", "tt"],
        "mc": ["dy", "wc", "ttsl"],
        "data": ["dy", "wc", "ttsl"],
        "null": ["dy"],
        "second": ["dy"],
        "edge": ["dy", "wc", "ttsl"],
    }
    edge = scenario_from(str(folder / "edge.yaml"))
    assert [each.scenarios for each in requests["edge"]] == [("mc", edge)] * 3
    # 5 parts of QCD and 3 of top pairs, of at most 5000 events; each seen by three more detectors
    config = prepare_card(study)
    assert (len(config.inputs), len(config.variations)) == (8, 24)
    assert len(run_cards(study.card)) == 3 * len(study.card.methods)


def test_the_plan_of_a_trained_study_names_results_of_a_scenario_that_is_not_simulated_yet(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(read_study_card(write(), output=tmp_path))
    for name, value in {"unfinished": [], "taggers": [], "evaluation_settings": {}}.items():
        monkeypatch.setattr(study_plan, name, lambda *_, value=value: value)
    rows = {(row["stage"], row["what"]): row["state"] for row in study_plan.plan_rows(study)}
    assert rows["process", "results/data/dy.zip"] == "to do"


def test_settings_that_changed_are_named(tmp_path: Path) -> None:
    before = {"share": 0.3, "bins": 5, "files": ["a", "b"]}
    assert difference(before, before | {"share": 0.4}) == "share: 0.3 there, 0.4 here"
    assert difference(before, before | {"files": ["b", "c", "d", "e"]}) == (
        "files: a there, c, d and 1 more here"
    )
    records, made = Records(tmp_path / "study.json"), tmp_path / "made"
    records.require_same(made, before)
    assert not records.is_same(made, before)  # it is not there yet
    made.mkdir()
    assert records.is_same(made, before)
    with pytest.raises(ValueError, match=r"the card has changed \(bins: 5 there, 6 here\)") as raised:
        records.require_same(made, before | {"bins": 6}, remove=[tmp_path, tmp_path / "not_there"])
    assert str(raised.value).endswith(f"or remove {made} and {tmp_path}")
