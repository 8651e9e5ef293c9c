import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import training.prepare
from models.features import BRANCHES, default_mask, index_of
from training.config import PrepareConfig
from training.prepare import prepare
from training.reading import InputFile, find_inputs, inspect_file
from training.shards import TrainingData
from training.splitting import SPLITS
from training.variations import assign_variations

MakeConfig = Callable[..., PrepareConfig]
NAME = index_of("Jet_DeepCSV_trackJetPt")
MASS = index_of("Jet_DeepCSV_vertexMass")


def hashes(folder: Path) -> dict[str, str]:
    manifest = TrainingData(folder).manifest
    return {
        f"{split}/{shard.number}/{name}": value
        for split in SPLITS
        for shard in manifest.splits[split].shards
        for name, value in shard.sha256.items()
    }


def physical(data: TrainingData, scaled: np.ndarray) -> np.ndarray:
    scaler = data.scaler()
    return scaled.astype(np.float64) * scaler.std + scaler.mean


def stored(data: TrainingData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Physical features of the training jets and of their variations, and the latter's masks."""
    shards = [data.variations(number) for number in range(data.n_shards("train"))]
    features, bits = (np.concatenate(arrays) for arrays in zip(*shards, strict=True))
    own = physical(data, data.learning_jets("train").features)
    return own, physical(data, features), np.unpackbits(bits, axis=2, count=67).astype(bool)


def columns(path: Path) -> dict[str, np.ndarray]:
    tree = uproot.open(path)["Events"]
    names = [name for name in tree.keys() if name.startswith("Jet_")]  # noqa: SIM118
    return {name: ak.to_numpy(ak.flatten(tree[name].array())) for name in names}


@pytest.fixture
def small_file(tmp_path: Path, jet_columns: Any, write_events: Callable[..., None]) -> Path:
    """A file of 40 events, without variations."""
    path = tmp_path / "small.root"
    jets = {name: values[:90].copy() for name, values in jet_columns.items()}
    jets["Jet_DeepCSV_trackJetPt"] = 5000.0 + np.arange(90.0)
    write_events(path, jets, first_event=10_000)
    return path


@pytest.fixture
def inputs(varied_files: Any) -> list[InputFile]:
    return [inspect_file(str(varied_files.nominal))]


def test_each_jet_has_its_variations_or_its_own_features(varied_data: Path, varied_files: Any) -> None:
    data = TrainingData(varied_data)
    own, varied, masks = stored(data)
    own_mask = data.learning_jets("train").mask
    names = np.rint(own[:, NAME])
    assert varied.shape == (len(own), 2, 67)
    for number, path in enumerate(varied_files.variations):
        expected = columns(path)
        # trackJetPt names the jet, and in the variation also that: n + 0.25 (number + 1).
        delta_r = expected["Jet_DeepCSV_trackSumJetDeltaR"]
        rows = np.flatnonzero((expected["Jet_nominalIdx"] >= 0) & (delta_r <= np.float32(0.3)))
        row_of = {int(name): row for name, row in zip(expected[BRANCHES[NAME]][rows] // 1, rows, strict=True)}
        is_held = np.array([int(name) in row_of for name in names])
        rows = np.array([row_of[int(name)] for name in names[is_held]])
        assert 0.85 < is_held.mean() < 0.95
        raw = np.stack([expected[branch][rows] for branch in BRANCHES], axis=1)
        assert (masks[is_held, number] == default_mask(raw)).all()
        values = np.ma.masked_array(varied[is_held, number], masks[is_held, number])
        assert np.ma.allclose(values, np.ma.masked_array(raw, values.mask), rtol=1e-4, atol=1e-3)
        assert values.data[:, NAME] == pytest.approx(names[is_held] + 0.25 * (number + 1), abs=1e-2)
        assert (varied[~is_held, number] == own[~is_held]).all()
        assert (masks[~is_held, number] == own_mask[~is_held]).all()
        share = data.manifest.variations.matched_shares[number]  # type: ignore[union-attr]
        assert share == pytest.approx(is_held.mean())


def test_shifts_are_in_standard_deviations_of_the_training_jets(varied_data: Path) -> None:
    data = TrainingData(varied_data)
    shifts = data.manifest.shifts
    assert shifts is not None
    # All masses are 0.5 more; names 0.25 in the first variation and 0.5 in the other; nothing else moves.
    assert shifts[MASS] == pytest.approx(0.5 / data.scaler().std[MASS], rel=1e-3)
    assert 0.25 < shifts[NAME] * data.scaler().std[NAME] < 0.5
    assert np.delete(shifts, [MASS, NAME]).max() == 0.0


def test_other_arrays_are_those_without_variations(
    varied_data: Path, varied_config: MakeConfig, tmp_path: Path
) -> None:
    prepare(varied_config(tmp_path / "plain", variations=[]))
    plain, varied = hashes(tmp_path / "plain"), hashes(varied_data)
    assert {name: varied[name] for name in plain} == plain
    more = {name.split("/")[0] + "/" + name.split("/")[2] for name in varied.keys() - plain.keys()}
    assert more == {"train/variation_features", "train/variation_mask"}
    assert not [path for split in ("validation", "test") for path in (varied_data / split).glob("varia*")]


def test_no_variation_of_another_splits_jet_is_trained_on(varied_data: Path) -> None:
    data = TrainingData(varied_data)
    own, varied, _ = stored(data)
    tested = {int(name) for jets in data.evaluation_jets() for name in jets.raw[:, NAME]}
    trained = set(np.rint(own[:, NAME]).astype(int))
    names = set(np.floor(varied[..., NAME] + 0.1).astype(int).flatten())
    assert len(tested) > 100
    assert names == trained
    assert not names & tested


def test_the_order_of_files_and_chunks_does_not_matter(
    varied_data: Path, varied_config: MakeConfig, varied_files: Any, tmp_path: Path
) -> None:
    variations = [str(path) for path in varied_files.variations]
    prepare(varied_config(tmp_path / "d", variations=variations[::-1], chunk_events=37))
    assert hashes(tmp_path / "d") == hashes(varied_data)
    prepare(varied_config(tmp_path / "e", variations=[str(varied_files.nominal.parent / "var*.root")]))
    assert hashes(tmp_path / "e") == hashes(varied_data)


def test_variations_find_their_input_among_several(
    varied_data: Path, varied_config: MakeConfig, varied_files: Any, small_file: Path
) -> None:
    prepare(varied_config(small_file.parent / "d", inputs=[str(small_file), str(varied_files.nominal)]))
    data = TrainingData(small_file.parent / "d")
    assert {Path(entry.path).name: len(entry.variations) for entry in data.manifest.inputs} == {
        "small.root": 0,
        "nominal.root": 2,
    }
    own, varied, _ = stored(data)
    is_small = own[:, NAME] > 4999
    assert is_small.any()
    assert (varied[is_small] == own[is_small, np.newaxis]).all()
    n_held = (varied[:, 0] != own).any(axis=1).sum()
    n_before = TrainingData(varied_data).n_jets("train")
    assert 0.8 * n_before < n_held < n_before


def without_index(varied_files: Any, tmp_path: Path) -> list[str]:
    """The variations as other people's files may be: they do not say which jet is which."""
    paths = []
    for path in varied_files.variations:
        tree = uproot.open(path)["Events"]
        branches = [name for name in tree.keys() if name not in ("Jet_nominalIdx", "nJet")]  # noqa: SIM118
        arrays = tree.arrays(branches, library="ak")
        jets = {name.removeprefix("Jet_"): arrays[name] for name in branches if name.startswith("Jet_")}
        paths.append(tmp_path / path.name)
        with uproot.recreate(paths[-1]) as file:
            event = {name: arrays[name] for name in ("run", "luminosityBlock", "event")}
            file.mktree("Events", {**event, "Jet": ak.zip(jets)})
    return [str(path) for path in paths]


def test_jets_without_index_are_matched_by_direction(
    varied_data: Path, varied_config: MakeConfig, varied_files: Any, tmp_path: Path
) -> None:
    prepare(varied_config(tmp_path / "d", variations=without_index(varied_files, tmp_path)))
    assert hashes(tmp_path / "d") == hashes(varied_data)
    variations = TrainingData(tmp_path / "d").manifest.inputs[0].variations
    assert [variation.has_index for variation in variations] == [False, False]


def test_without_index_and_direction_there_is_no_match(
    varied_files: Any, events_file: Path, write_events: Callable[..., None], jet_columns: Any, tmp_path: Path
) -> None:
    write_events(tmp_path / "other.root", jet_columns)
    with pytest.raises(
        ValueError, match=r"other\.root: its jets cannot be matched with those of .*events\.root"
    ):
        assign_variations([inspect_file(str(events_file))], [str(tmp_path / "other.root")])


def test_a_variation_of_other_events_is_refused(inputs: list[InputFile], events_file: Path) -> None:
    with pytest.raises(ValueError, match=r"events\.root: does not hold the events of .*nominal\.root: add"):
        assign_variations(inputs, [str(events_file)])


@pytest.mark.parametrize("n_variations", [0, 1])
def test_a_variation_beside_its_nominal_file_is_no_input(
    varied_files: Any, inputs: list[InputFile], n_variations: int
) -> None:
    # Else its jets would be split by other keys than those of the nominal file.
    twin = inspect_file(str(varied_files.variations[1]))
    with pytest.raises(ValueError, match=r"variation_2\.root and .*nominal\.root hold the same events"):
        assign_variations([*inputs, twin], [str(path) for path in varied_files.variations[:n_variations]])
    assert assign_variations([twin], []) == [twin]


def test_a_variation_of_two_inputs_is_refused(
    varied_files: Any, inputs: list[InputFile], tmp_path: Path
) -> None:
    copy = inspect_file(str(shutil.copy(varied_files.nominal, tmp_path / "copy.root")))
    with pytest.raises(ValueError, match=r"variation_1\.root: .*nominal\.root and .*copy\.root both hold"):
        assign_variations([*inputs, copy], [str(varied_files.variations[0])])


def test_a_copy_is_no_variation(varied_files: Any, inputs: list[InputFile], tmp_path: Path) -> None:
    for source in (varied_files.nominal, varied_files.variations[0]):
        copy = str(shutil.copy(source, tmp_path / "copy.root"))
        with pytest.raises(ValueError, match=r"root: is .*root or a copy of it: list it once"):
            assign_variations(inputs, [str(varied_files.variations[0]), copy])


def test_a_file_is_input_or_variation(inputs: list[InputFile]) -> None:
    with pytest.raises(ValueError, match="listed under 'inputs' and 'variations': remove it from one"):
        assign_variations(inputs, [inputs[0].path])


def test_all_inputs_have_the_same_number_of_variations(
    varied_files: Any, inputs: list[InputFile], small_file: Path, write_events: Callable[..., None]
) -> None:
    jets = columns(small_file) | {"Jet_nominalIdx": np.resize([0, 1, 0, 1, 2, 3, 0, 1, 2], 90)}
    write_events(small_file.parent / "other.root", jets, first_event=10_000)
    variations = [str(path) for path in (*varied_files.variations, small_file.parent / "other.root")]
    with pytest.raises(ValueError, match=r"has 2 variations but .*small\.root has 1: give all the same"):
        assign_variations([*inputs, inspect_file(str(small_file))], variations)


def test_missing_variations_are_named() -> None:
    with pytest.raises(FileNotFoundError, match="mend 'variations' of the configuration"):
        find_inputs(["nowhere.root"], key="variations")


def test_other_variations_are_prepared_anew(
    varied_config: MakeConfig, varied_files: Any, tmp_path: Path
) -> None:
    first, second = (shutil.copy(path, tmp_path) for path in varied_files.variations)
    config = varied_config(tmp_path / "d", variations=[str(first)])
    prepare(config)
    before = hashes(tmp_path / "d")
    manifest = tmp_path / "d" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    prepare(config)
    assert manifest.stat().st_mtime_ns == written
    shutil.copy(second, first)
    prepare(config)
    after = hashes(tmp_path / "d")
    assert {name.split("/")[2] for name in before if before[name] != after[name]} == {
        "variation_features",
        "variation_mask",
    }


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


@pytest.mark.parametrize(
    ("where", "calls_before"), [("clean_jets", 4), ("write_shard", 1), ("write_text", 1)]
)
def test_a_killed_preparation_ends_with_the_same_bytes(
    varied_config: MakeConfig,
    varied_files: Any,
    small_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    calls_before: int,
) -> None:
    folder = small_file.parent
    nominal, *variations = (shutil.copy(path, folder) for path in (varied_files[0], *varied_files[1]))
    # 800 events in four chunks, and then the small file, which has no variations.
    settings = {"inputs": [nominal, str(small_file)], "variations": variations, "chunk_events": 200}
    prepare(varied_config(folder / "straight", **settings))
    called, original = itertools.count(), getattr(training.prepare, where)

    def dies(*args: object, **kwargs: object) -> object:
        if next(called) == calls_before:
            raise Killed
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(training.prepare, where, dies)
        with pytest.raises(Killed):
            prepare(varied_config(folder / "d", **settings))
    prepare(varied_config(folder / "d", **settings))
    assert next(called) > calls_before
    assert hashes(folder / "d") == hashes(folder / "straight")
    manifests = [json.loads((folder / name / "manifest.json").read_text()) for name in ("d", "straight")]
    assert {key for key in manifests[0] if manifests[0][key] != manifests[1][key]} == {"config"}


def test_data_without_variations_say_so(training_data: Path) -> None:
    data = TrainingData(training_data)
    assert data.n_variations == 0
    assert data.manifest.shifts is None
    with pytest.raises(
        ValueError, match="no jets as other detectors see them: prepare again with 'variations'"
    ):
        data.variations(0)


def test_resampled_jets_keep_their_variations(varied_config: MakeConfig, tmp_path: Path) -> None:
    prepare(varied_config(tmp_path / "d", reweighting="resample"))
    own, varied, _ = stored(TrainingData(tmp_path / "d"))
    assert (np.floor(varied[..., NAME] + 0.1) == np.rint(own[:, [NAME]])).all()
