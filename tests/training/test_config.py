import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from models.variants import Variant, parse_variant
from training.config import PrepareConfig, TrainConfig, read_prepare_config, read_train_config
from training.method_cards import CARDS

CONFIGS = Path(__file__).parents[2] / "configs"
MINIMAL = "name: basic\ndata: d\noutput: o\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "card.yaml"
    path.write_text(text)
    return path


def test_a_minimal_card_is_complete(tmp_path: Path) -> None:
    config = read_train_config(written(tmp_path, MINIMAL))
    assert config.method == "basic"
    assert config.attack == Variant("raw")


@pytest.mark.parametrize(
    ("keys", "method"),
    [
        ("attack: fgsm:0.1", "fgsm"),
        ("attack: pgd:0.1:steps=3\nmix: 0.5", "pgd+mix"),
        ("attack: noise:0.1\nmix: 0\nconsistency: 2", "noise+mix+consistency"),
        ("attack: fgsm:0\nmix: 0.5", "basic"),
        ("attack: fgsm:0.1\nattack_factors: shifts", "fgsm+shifts"),
        ("methods: [{method: augment}, {method: mmd_outputs, unlabelled: [u]}]", "augment+mmd_outputs"),
        ("attack: fgsm:0.1\nmethods: [{method: augment}]", "fgsm+augment"),
    ],
)
def test_the_method_in_a_word(tmp_path: Path, keys: str, method: str) -> None:
    assert read_train_config(written(tmp_path, MINIMAL + keys)).method == method


def test_a_card_survives_json() -> None:
    text = "pgd:0.1:steps=5:step=0.03:start=1:restrict=0.2:SV=0.5:vertexMass=0"
    config = TrainConfig(name="a", data=Path("d"), output=Path("o"), attack=parse_variant(text))
    assert json.loads(config.model_dump_json())["attack"] == text
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_a_card_with_every_method_survives_json() -> None:
    written = [
        {"method": name}
        | ({"unlabelled": ["dy", "wc"]} if "unlabelled" in card.model_fields else {})
        | ({"teacher": "runs/basic", "weight": 0.5} if name == "distillation" else {})
        for name, card in CARDS.items()
    ]
    config = TrainConfig.model_validate({"name": "a", "data": "d", "output": "o", "methods": written})
    assert [type(card) for card in config.methods] == list(CARDS.values())
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


ADAPT = MINIMAL + "methods: [{method: mmd_outputs, unlabelled: [u]}, "


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            ADAPT + "{method: mmd}]",
            "key 'methods.1': unknown method 'mmd': choose method from augment, pair_",
        ),
        (ADAPT + "{share: 1}]", "key 'methods.1': expected keys and values, one of them 'method': choose"),
        (ADAPT + "augment]", "key 'methods.1': input should be a valid dictionary"),
        (ADAPT + "{method: augment, shar: 1}]", "unknown key 'methods.1.shar': choose from method, share"),
        (ADAPT + "{method: augment, share: 2}]", "key 'methods.1.share': input should be less than or equal"),
        (ADAPT + "{method: mmd_hidden}]", "key 'methods.1.unlabelled' is missing: add it (folders made by"),
        (
            ADAPT + "{method: mmd_hidden, unlabelled: [u, u]}]",
            "key 'methods.1.unlabelled': a folder is liste",
        ),
        (ADAPT + "{method: distillation, teacher: }]", "the key 'methods.1.teacher' has no value: give one"),
        (MINIMAL + "methods: {method: augment}", "key 'methods': input should be a valid list, got {"),
        (
            ADAPT + "{method: augment}, {method: distillation, teacher: t}]",
            "weight 1 leaves attack and augment no loss to act on: give it a lower weight: mend these keys",
        ),
        (MINIMAL + "attack_factors: shifts", "attack_factors: shifts needs an attack, and attack is raw"),
        (MINIMAL + "attack_factors: shifts\nattack: fgsm:1:SV=2", "the factors of fgsm:1:SV=2 exclude each"),
        (MINIMAL + "gama: 2\n", "unknown key 'gama': choose from name, data, output, attack"),
        (MINIMAL + "gamma: -1\n", "key 'gamma': input should be greater than or equal to 0, got -1"),
        (MINIMAL + "attack: pgs:1\n", "key 'attack': unknown variant 'pgs:1': choose from raw, noise, fgsm"),
        (MINIMAL + "attack: 0.1\n", "key 'attack': write a variant, e.g. fgsm:0.1, got 0.1"),
        (MINIMAL + "alpha: [1, 2]\n", "the key 'alpha.2' is missing"),
        ("data: d\noutput: o\n", "the key 'name' is missing: add it"),
        ("name: [\n", "not valid YAML"),
        ("- a\n- b\n", "expected keys and values, got list"),
        (MINIMAL + "gamma:\n", "the key 'gamma' has no value: give one or remove the key"),
        (MINIMAL + "decay_epochs: .inf\n", "decay_epochs: got inf: write a finite number"),
        (MINIMAL + "seed: 1\nseed: 2\n", "not valid YAML (the key 'seed' is there twice"),
        ("", "expected keys and values, got NoneType"),
    ],
)
def test_a_wrong_card_gives_one_sentence_with_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=r".") as caught:
        read_train_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert complaint in message
    assert "\n" not in message


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml: no such file"):
        read_train_config(tmp_path / "absent.yaml")


def test_a_single_input_must_be_a_list_in_the_words_of_yaml(tmp_path: Path) -> None:
    path = written(tmp_path, "inputs: a.root\noutput: o\n")
    with pytest.raises(ValueError, match=r"key 'inputs': input should be a valid list, got 'a\.root'"):
        read_prepare_config(path)


def test_fractions_must_leave_jets_to_test(tmp_path: Path) -> None:
    path = written(tmp_path, "inputs: [a.root]\noutput: o\ntrain_fraction: 0.9\nvalidation_fraction: 0.1\n")
    with pytest.raises(ValueError, match="must stay below 1"):
        read_prepare_config(path)


NAMES = ("basic", "adversarial", "thesis", "adapted")


def test_the_cards_in_configs_are_valid() -> None:
    data = read_prepare_config(CONFIGS / "prepare.yaml").output
    cards = [read_train_config(CONFIGS / f"train_{name}.yaml") for name in NAMES]
    assert {card.data for card in cards} == {data}
    assert [card.name for card in cards] == [card.output.name for card in cards] == list(NAMES)
    # The demo trains with the defaults; its runs go on with these cards.
    for card, attack in zip(cards[:2], ("raw", "fgsm:0.1"), strict=True):
        assert card == TrainConfig(
            name=card.name, data=data, output=card.output, attack=parse_variant(attack)
        )
    assert (cards[2].gamma, cards[2].loss_input) == (25, "softmax")
    basic, adapted = cards[0].model_dump(), cards[3].model_dump()
    assert {key for key in basic if basic[key] != adapted[key]} == {"name", "output", "methods"}
    assert cards[3].method == "mmd_outputs"


def test_the_cards_of_the_study_differ_in_what_they_are_named_after() -> None:
    names = ("basic", "adversarial", "gamma_25", "gamma_2", "flat")
    cards = {name: read_train_config(CONFIGS / "study" / f"{name}.yaml") for name in names}
    assert all(card.name == name for name, card in cards.items())
    assert len({card.output for card in cards.values()}) == len(names)
    basic = cards["basic"].model_dump()
    changed = {
        name: {key for key, value in card.model_dump().items() if value != basic[key]} - {"name", "output"}
        for name, card in cards.items()
    }
    assert changed == {
        "basic": set(),
        "adversarial": {"attack"},
        "gamma_25": {"gamma", "loss_input"},
        "gamma_2": {"gamma", "loss_input"},
        "flat": {"data"},
    }
    average = read_prepare_config(CONFIGS / "reference_prepare.yaml").model_dump()
    flat = read_prepare_config(CONFIGS / "study" / "prepare_flat.yaml").model_dump()
    assert (average["output"], flat["output"]) == (cards["basic"].data, cards["flat"].data)
    assert {key for key in flat if flat[key] != average[key]} == {"output", "reweighting"}


NUMBERS = [
    (card, name)
    for card in (TrainConfig, PrepareConfig, *CARDS.values())
    for name, field in card.model_fields.items()
    if "float" in str(field.annotation)
]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("card", "name"), NUMBERS, ids=lambda each: getattr(each, "__name__", each))
def test_no_number_of_a_card_may_be_none(card: type[BaseModel], name: str, value: float) -> None:
    """Nor one in a list of numbers: whatever else is missing, this one is complained about."""
    given = (value, 1.0, 1.0, 1.0) if "tuple" in str(card.model_fields[name].annotation) else value
    with pytest.raises(ValidationError) as caught:
        card.model_validate({name: given})
    assert any(error["loc"][0] == name for error in caught.value.errors())


def test_all_kinds_of_cards_have_numbers() -> None:
    assert {card for card, _ in NUMBERS} >= {TrainConfig, PrepareConfig}
    assert len(NUMBERS) >= 20


def test_a_name_that_no_tagger_could_have_is_refused_before_training(tmp_path: Path) -> None:
    """Names of files take 255 bytes; the tagger's metadata and its card agree on what is too long."""
    assert read_train_config(written(tmp_path, MINIMAL.replace("basic", "n" * 150))).name == "n" * 150
    with pytest.raises(ValueError, match="name"):
        read_train_config(written(tmp_path, MINIMAL.replace("basic", "n" * 151)))
