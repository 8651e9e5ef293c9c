import json

import pytest
from pydantic import ValidationError

from models.features import BRANCHES
from models.metadata import METADATA_KEY, read_metadata


def changed(metadata, **changes):
    content = json.loads(metadata.to_properties()[METADATA_KEY])
    return {METADATA_KEY: json.dumps({**content, **changes})}


def test_they_read_back_as_they_were_written(make_metadata):
    metadata = make_metadata(name="adversarial", method="fgsm", attack="fgsm:0.01")
    again = read_metadata(metadata.to_properties(), source="a.onnx")
    assert again == metadata
    assert again.scaler == metadata.scaler
    assert again.label == "adversarial@3"


def test_the_split_of_unlabelled_jets_is_written_where_there_is_one(make_metadata):
    """Files of before have no such key, and taggers that saw no such jets are written as they were."""
    assert "adapted_on" not in json.loads(make_metadata().to_properties()[METADATA_KEY])
    assert read_metadata(make_metadata().to_properties(), source="a.onnx").adapted_on is None
    adapted = make_metadata(adapted_on="0.50:2")
    assert read_metadata(adapted.to_properties(), source="a.onnx").adapted_on == "0.5:2"


def test_they_cannot_be_changed(make_metadata):
    with pytest.raises(ValidationError, match="frozen"):
        make_metadata().epoch = 4


def test_the_names_of_the_features_lie_inside(make_metadata):
    content = json.loads(make_metadata().to_properties()[METADATA_KEY])
    assert tuple(content["feature_names"]) == BRANCHES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 1}, "schema 1, but this advtag reads schema 2"),
        ({"name": "a b"}, "wrong at name"),
        ({"epoch": -1}, "wrong at epoch"),
        ({"method": "Magic!"}, "wrong at method"),
        ({"attack": "magic:1"}, "wrong at attack"),
        ({"scaler": 3}, "wrong at scaler: .*expected an object"),
        ({"adapted_on": "half"}, "wrong at adapted_on: .*write SHARE:SEED"),
        ({"surprise": 1}, "wrong at surprise"),
        ({"feature_names": ["Jet_pt", *BRANCHES[1:]]}, "feature 0 is Jet_pt, but this advtag reads Jet_eta"),
        ({"feature_names": ["Jet_eta"]}, "1 features, but this advtag reads 67"),
    ],
)
def test_wrong_content_is_one_sentence_with_the_file(make_metadata, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_metadata(changed(make_metadata(), **changes), source="run/a.onnx")
    assert str(caught.value).startswith("run/a.onnx: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 2**31},  # more than the axis of a histogram holds
        {"name": "n" * 200},
        {"data_fingerprint": "\x1b[31m"},
        {"gamma": 10**400},
        {"surprise\x1b[2J": 1},
    ],
)
def test_no_value_reaches_terminals_or_breaks_histograms(make_metadata, changes):
    with pytest.raises(ValueError, match=r"run/a.onnx: ") as caught:
        read_metadata(changed(make_metadata(), **changes), source="run/a.onnx")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("key", ["gamma", "scaler"])
def test_numbers_that_are_none_are_refused(make_metadata, key, value):
    text = make_metadata().to_properties()[METADATA_KEY]
    content = json.loads(text)
    content["gamma"] = 25.0
    text = (
        json.dumps(content).replace("25.0", value)
        if key == "gamma"
        else text.replace('"std":[', f'"std":[{value},')
    )
    with pytest.raises(ValueError, match=r"a.onnx: "):
        read_metadata({METADATA_KEY: text}, source="a.onnx")


def test_all_that_is_missing_is_named_at_once(make_metadata):
    """A user adds metadata to a network of another maker once, not key after key."""
    content = json.loads(make_metadata().to_properties()[METADATA_KEY])
    for key in ("epoch", "method", "scaler"):
        del content[key]
    with pytest.raises(ValueError, match=r"a.onnx: its metadata lack epoch, method, scaler"):
        read_metadata({METADATA_KEY: json.dumps(content)}, source="a.onnx")
    del content["schema_version"]
    with pytest.raises(ValueError, match="name, epoch, method, gamma, loss_input, scaler, data_fingerprint"):
        read_metadata({METADATA_KEY: json.dumps(content)}, source="a.onnx")


def test_a_missing_key_says_so():
    with pytest.raises(ValueError, match=r"a.onnx: no metadata named 'advtag'"):
        read_metadata({}, source="a.onnx")


@pytest.mark.parametrize("text", ["{", "[]", "{}", "3"])
def test_what_is_no_metadata_says_so(text):
    with pytest.raises(ValueError, match=r"a.onnx: its metadata are no JSON object"):
        read_metadata({METADATA_KEY: text}, source="a.onnx")
