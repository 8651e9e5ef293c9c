import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.event_split import EventSplit
from models.unlabelled import UnlabelledJets, read_description, read_unlabelled, write_parts, write_unlabelled

SPLIT = EventSplit(0.333, 2)


def made(n_jets: int = 6) -> UnlabelledJets:
    number = np.arange(n_jets)
    features = np.random.default_rng(1).normal(size=(n_jets, 67)).astype(np.float32)
    features[:1, 0] = np.nan  # files hold such values, and they are kept
    weights = np.where(number % 3 == 0, -1.0, 0.5).astype(np.float32)
    keys = np.column_stack([np.full(n_jets, 2**63), number, number, number]).astype(np.uint64)
    return UnlabelledJets(features, number % 2 == 0, weights, keys, "wc", SPLIT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_unlabelled(made(), tmp_path / "wc", samples={"files": ["a.root"]}, mc_flavours={"b": 0.25})
    return tmp_path / "wc"


def test_jets_come_back_bit_by_bit(folder: Path) -> None:
    jets = read_unlabelled(folder)
    for name in ("features", "is_data", "weights", "keys"):
        np.testing.assert_array_equal(getattr(jets, name), getattr(made(), name))
        assert getattr(jets, name).dtype == getattr(made(), name).dtype
    assert (jets.selection, jets.split) == ("wc", SPLIT)
    description = read_description(folder)
    assert (description.n_mc, description.n_data) == (3, 3)
    assert description.samples == {"files": ["a.root"]}
    assert description.mc_flavours == {"b": 0.25}
    assert description.fingerprint == jets.fingerprint != ""


def test_parts_are_the_whole(folder: Path, tmp_path: Path) -> None:
    whole = made()
    parts = [
        whole._replace(**{name: getattr(whole, name)[part] for name in whole._fields[:4]})
        for part in (slice(0, 4), slice(4, 4), slice(4, 6))
    ]
    options = {"n_jets": 6, "selection": "wc", "split": SPLIT}
    description = write_parts(parts, tmp_path / "parts", **options)
    assert description.fingerprint == read_unlabelled(folder).fingerprint
    for wrong in (5, 7):
        with pytest.raises(ValueError, match=f"{wrong} unlabelled jets were announced"):
            write_parts(parts, tmp_path / "wrong", **(options | {"n_jets": wrong}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "wc"]


@pytest.mark.parametrize("change", ["selection", "split", "weights", "features", "keys"])
def test_the_fingerprint_is_of_all_that_is_trained_on(folder: Path, tmp_path: Path, change: str) -> None:
    others = {
        "selection": "dy",
        "split": EventSplit(0.5),
        "weights": made().weights * 2,
        "features": made().features[::-1],
        "keys": made().keys + np.uint64(1),
    }
    description = write_unlabelled(made()._replace(**{change: others[change]}), tmp_path / "other")
    assert description.fingerprint != read_unlabelled(folder).fingerprint


@pytest.mark.parametrize("is_data", [True, False])
def test_both_data_and_simulation_are_needed(tmp_path: Path, is_data: bool) -> None:
    with pytest.raises(ValueError, match="both are needed"):
        write_unlabelled(made()._replace(is_data=np.full(6, is_data)), tmp_path / "one")
    with pytest.raises(ValueError, match="0 jets of data and 0 of simulation"):
        write_unlabelled(made(0), tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finite numbers"):
        write_unlabelled(made()._replace(weights=np.full(6, np.nan, np.float32)), tmp_path / "nan")


def cut_off(folder: Path) -> None:
    content = (folder / "features.npy").read_bytes()
    (folder / "features.npy").write_bytes(content[: len(content) // 2])


def change_a_weight(folder: Path) -> None:
    weights = np.load(folder / "weights.npy")
    weights[1] += 1
    np.save(folder / "weights.npy", weights)


def describe(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "unlabelled.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_off, r"features.npy: .*cut off: collect the jets again"),
        (change_a_weight, "its arrays are not those that were written"),
        (lambda folder: (folder / "keys.npy").unlink(), "keys.npy: missing: collect"),
        (lambda folder: np.save(folder / "is_data.npy", np.zeros(6)), "float64 of shape .*expected bool"),
        (lambda folder: np.save(folder / "weights.npy", np.zeros(5, np.float32)), r"shape \(5,\), expected"),
        (
            lambda folder: (folder / "unlabelled.json").write_text("{"),
            "unlabelled.json: not a JSON file .*: collect",
        ),
        (describe(format_version=2), r"this version \(format_version: "),
        (describe(split="x"), "split: .*no split of events"),
        (describe(feature_names=["Jet_pt"]), "inputs are not the 67"),
        (describe(selection="dy"), "its arrays are not those that were written"),
    ],
)
def test_a_damaged_folder_is_one_sentence(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(ValueError, match=message) as caught:
        read_unlabelled(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_another_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no unlabelled.json: give the folder of `advtag"):
        read_unlabelled(tmp_path)
