import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from processors.corrections import CorrectionsCard, parse_corrections, read_corrections

SELECTIONS = ("dy", "wc")


def table_file(folder: Path) -> Path:
    """Muon scale factors of one bin with a label, and pileup weights."""
    label = {
        "nodetype": "category",
        "input": "ValType",
        "content": [{"key": "sf", "value": 0.9}, {"key": "sfup", "value": 1.0}],
    }
    pileup = {"nodetype": "binning", "input": "mu", "edges": [0, 50], "content": [1.1], "flow": "clamp"}
    path = folder / "sf.json"
    output = {"name": "weight", "type": "real"}
    muon_inputs = [{"name": "abseta", "type": "real"}, {"name": "ValType", "type": "string"}]
    pileup_inputs = [{"name": "mu", "type": "real"}]
    corrections = [
        {"name": "muon", "version": 1, "inputs": muon_inputs, "output": output, "data": label},
        {"name": "pileup", "version": 1, "inputs": pileup_inputs, "output": output, "data": pileup},
    ]
    path.write_text(json.dumps({"schema_version": 2, "corrections": corrections}))
    return path


def muon_card(**changes: Any) -> dict[str, Any]:
    card = {
        "name": "muon_id",
        "file": "sf.json",
        "correction": "muon",
        "object": "muon",
        "inputs": {"abseta": "abs(eta)", "ValType": "systematic"},
        "nominal": "sf",
    }
    return card | changes


def test_a_configuration_names_its_tables_from_its_own_folder(tmp_path: Path) -> None:
    table_file(tmp_path)
    path = tmp_path / "corrections.yaml"
    path.write_text(yaml.safe_dump({"weights": [muon_card(selections=["wc"])]}))
    corrections = read_corrections(path, selections=SELECTIONS)
    assert [card.name for card in corrections.weights_of("wc")] == ["muon_id"]
    assert corrections.weights_of("dy") == ()
    assert list(corrections.as_config()["tables"]) == ["sf.json: muon"]
    assert str(tmp_path) not in json.dumps(corrections.as_config())


def test_an_empty_configuration_corrects_nothing(tmp_path: Path) -> None:
    path = tmp_path / "corrections.yaml"
    path.write_text("")
    assert read_corrections(path, selections=SELECTIONS).card == CorrectionsCard()
    with pytest.raises(FileNotFoundError, match="no such configuration of corrections"):
        read_corrections(tmp_path / "other.yaml", selections=SELECTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "none.json"}, "none.json: no such file of corrections"),
        ({"correction": "tau"}, "no correction 'tau' in it: choose from muon, pileup"),
        ({"inputs": {"abseta": "eta"}, "nominal": None}, "takes the inputs abseta, ValType, not abseta"),
        ({"nominal": "central"}, "has no ValType 'central': choose from sf, sfup"),
        ({"up": "sfup"}, "up and down come together"),
        ({"up": "sfup", "down": "sfdown"}, "has no ValType 'sfdown'"),
        ({"nominal": None}, "an input 'systematic' and the label 'nominal' come together"),
        ({"selections": ["dyjet"]}, "no selection 'dyjet': choose from dy, wc"),
        ({"object": "tau"}, r"weights\.0\.object: Input should be 'event'"),
        ({"colour": 1}, r"weights\.0\.colour"),
        ({"name": "with space"}, r"weights\.0\.name"),
        (
            {"inputs": {"abseta": "eta", "ValType": {"constant": "medium"}}, "nominal": None},
            "has no ValType 'medium'",
        ),
    ],
)
def test_a_mistake_is_named_in_one_sentence(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    table_file(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        parse_corrections({"weights": [muon_card(**changes)]}, folder=tmp_path, selections=SELECTIONS)
    assert "\n" not in str(caught.value)


def test_two_weights_may_not_share_a_name(tmp_path: Path) -> None:
    table_file(tmp_path)
    with pytest.raises(ValueError, match="weight muon_id is there twice"):
        parse_corrections({"weights": [muon_card()] * 2}, folder=tmp_path, selections=SELECTIONS)


def test_the_example_names_only_known_keys() -> None:
    example = Path(__file__).parents[2] / "configs" / "corrections.yaml"
    card = CorrectionsCard.model_validate(yaml.safe_load(example.read_text()))
    assert {weight.name for weight in card.weights} >= {"pileup", "muon_id", "muon_iso", "muon_trigger"}
    assert not any(weight.file.is_absolute() for weight in card.weights)
