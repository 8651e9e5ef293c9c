import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from training.shards import TrainingData
from training.splitting import SplitName


@pytest.fixture
def own_data(training_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(training_data, tmp_path / "own"))


def test_shards_put_together_are_the_split(training_data: Path) -> None:
    data = TrainingData(training_data)
    parts = [data.learning_jets("train", [number]) for number in range(data.n_shards("train"))]
    whole = data.learning_jets("train")
    for index, array in enumerate(whole):
        assert (np.concatenate([part[index] for part in parts]) == array).all()


def test_a_folder_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no manifest\.json: make the training data"):
        TrainingData(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"), [("schema_version", 1), ("format", "else"), ("config", {}), ("surprise", 1)]
)
def test_another_manifest_is_refused_in_one_sentence(own_data: Path, key: str, value: object) -> None:
    path = own_data / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match="not training data of this version"):
        TrainingData(own_data)


def test_other_features_are_refused(own_data: Path) -> None:
    path = own_data / "manifest.json"
    content = json.loads(path.read_text())
    content["feature_names"][0] = "Jet_phi"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="made for other features"):
        TrainingData(own_data)


def test_a_broken_array_is_named(own_data: Path) -> None:
    path = own_data / "train" / "labels_00000.npy"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"labels_00000\.npy: cannot be read"):
        TrainingData(own_data).learning_jets("train")
    np.save(path, np.zeros(3, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"labels_00000\.npy: holds 3 jets, not"):
        TrainingData(own_data).learning_jets("train")
    path.unlink()
    with pytest.raises(ValueError, match=r"labels_00000\.npy: missing: run 'advtag prepare' again"):
        TrainingData(own_data).learning_jets("train")


def test_nan_weights_are_refused(own_data: Path) -> None:
    path = own_data / "train" / "weights_00000.npy"
    weights = np.load(path)
    weights[5] = np.nan
    np.save(path, weights)
    with pytest.raises(ValueError, match="train holds weights that are not finite"):
        TrainingData(own_data).learning_jets("train")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_damaged_file_is_found_by_name(own_data: Path, split: SplitName) -> None:
    """One bit of each file in turn; other splits are not looked at."""
    data = TrainingData(own_data)
    others = [each for each in data.manifest.splits if each != split]
    paths = sorted((own_data / split).iterdir())
    assert len(paths) >= 5
    for path in paths:
        content = bytearray(path.read_bytes())
        content[-1] ^= 4
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path.name}: damaged"):
            data.require_intact(split)
        assert not data.is_intact()
        data.require_intact(*others)
        content[-1] ^= 4
        path.write_bytes(content)
    data.require_intact(*data.manifest.splits)
    paths[0].unlink()
    with pytest.raises(ValueError, match=f"{paths[0].name}: cannot be read"):
        data.require_intact(split)


def test_another_scaler_is_found(own_data: Path) -> None:
    path = own_data / "scaler.json"
    content = json.loads(path.read_text())
    content["mean"][3] += 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"scaler.json is not that of manifest.json"):
        TrainingData(own_data).require_intact("train")
