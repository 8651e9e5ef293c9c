import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.network import TaggerNetwork
from models.perturbations import Variant, perturb
from models.tagger import load_taggers
from training.attacks import Perturbation, frozen_cells
from training.checkpoints import (
    checkpoint_path,
    epochs_of,
    export,
    load_checkpoint,
    read_run,
)
from training.config import TrainConfig
from training.shards import TrainingData
from training.train import train


@pytest.fixture
def own_run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def raw_and_labels(training_data: Path) -> tuple[np.ndarray, np.ndarray]:
    jets = next(TrainingData(training_data).evaluation_jets())
    return jets.raw, jets.labels.astype(np.int64)


@pytest.fixture(scope="module")
def network(finished_run: Path) -> TaggerNetwork:
    network = TaggerNetwork()
    network.load_state_dict(load_checkpoint(checkpoint_path(finished_run, 2))["network"])
    return network.eval()


def test_a_run_directory_is_complete(finished_run: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    expected = {"config.json", "scaler.json", "features.json", "history.csv"}
    for epoch in ("001", "002"):
        expected |= {f"epoch_{epoch}{end}" for end in (".pt", "_tagger.onnx", "_attack.onnx")}
    assert names == expected
    assert epochs_of(finished_run) == [1, 2]


def test_a_checkpoint_describes_itself_and_runs_no_code(finished_run: Path) -> None:
    state = torch.load(checkpoint_path(finished_run, 2), weights_only=True)
    assert (state["epoch"], state["schema_version"]) == (2, 2)
    assert json.loads(state["config"])["attack"] == "fgsm:0.1"
    assert sum(tensor.numel() for tensor in state["network"].values()) == 47_604


def test_the_tagger_gives_what_the_network_gives(
    finished_run: Path, network: TaggerNetwork, raw_and_labels: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, _ = raw_and_labels
    tagger = load_taggers([finished_run], epochs=[2])[0]
    scaled, _ = tagger.scaler.scale(raw)
    with torch.no_grad():
        expected = network(torch.from_numpy(scaled)).numpy()
    assert tagger.logits(raw) == pytest.approx(expected, abs=1e-4)
    assert tagger.logits(raw[:0]).shape == (0, 4)


def test_the_attack_is_the_one_trained_against(
    finished_run: Path, network: TaggerNetwork, raw_and_labels: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, labels = raw_and_labels
    tagger = load_taggers([finished_run], epochs=[2])[0]
    scaled, mask = tagger.scaler.scale(raw)
    in_torch = Perturbation(Variant("fgsm", 0.1))(
        network,
        torch.from_numpy(scaled),
        torch.from_numpy(labels),
        frozen_cells(torch.from_numpy(mask)),
    ).numpy()
    moved = perturb(Variant("fgsm", 0.1), tagger, raw, labels=labels)
    on_physical_features, _ = tagger.scaler.scale(moved)
    close = np.isclose(on_physical_features, in_torch, atol=1e-3)
    # Only a gradient within rounding of zero may have another sign.
    assert close.mean() > 0.9999


def test_metadata_say_how_it_was_trained(finished_run: Path, training_data: Path) -> None:
    metadata = load_taggers([finished_run], epochs=[2])[0].metadata
    assert (metadata.name, metadata.epoch, metadata.method) == ("adversarial", 2, "fgsm")
    assert (metadata.attack, metadata.gamma, metadata.loss_input) == ("fgsm:0.1", 0.0, "logits")
    assert metadata.data_fingerprint == TrainingData(training_data).manifest.fingerprint
    assert metadata.scaler == TrainingData(training_data).scaler()


def test_export_makes_the_same_files_again(own_run: Path) -> None:
    before = {path.name: path.read_bytes() for path in own_run.glob("*.onnx")}
    for path in own_run.glob("*.onnx"):
        path.unlink()
    paths = export(own_run)
    assert {path.name: path.read_bytes() for path in paths} == before
    for path in paths:
        onnx.checker.check_model(str(path))


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json: give the output folder"):
        export(tmp_path)


def test_a_run_without_epochs_is_named(own_run: Path) -> None:
    for path in own_run.glob("*.pt"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="holds no checkpoint: train it first"):
        export(own_run)


def test_other_files_beside_the_checkpoints_are_no_epochs(own_run: Path) -> None:
    for name in ("epoch_best.pt", "epoch_002_before.pt", ".epoch_003.pt.4711.partial"):
        (own_run / name).touch()
    assert epochs_of(own_run) == [1, 2]


def test_a_broken_checkpoint_is_one_sentence(own_run: Path) -> None:
    path = checkpoint_path(own_run, 1)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"epoch_001\.pt: not a checkpoint of this version") as caught:
        export(own_run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 1},
        {"data_fingerprint": "0"},
        {"config": TrainConfig(name="a", data=Path("d"), output=Path("o"), gamma=2).model_dump_json()},
    ],
)
def test_a_checkpoint_of_another_training_or_epoch_is_refused(
    own_run: Path, change: dict[str, object]
) -> None:
    state = torch.load(checkpoint_path(own_run, 2), weights_only=True)
    torch.save(state | change, checkpoint_path(own_run, 2))
    config = read_run(own_run).config.model_copy(update={"output": own_run, "epochs": 3})
    for use in (lambda: export(own_run), lambda: train(config, resume=True)):
        with pytest.raises(ValueError, match=r"epoch_002\.pt: holds another training or epoch"):
            use()


def saved_weights(run: Path, epoch: int) -> tuple[Path, dict[str, object], dict[str, torch.Tensor]]:
    path = checkpoint_path(run, epoch)
    state = torch.load(path, weights_only=True)
    return path, state, state["network"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_weights_of_a_wrapped_network_are_those_of_the_network(own_run: Path, prefix: str) -> None:
    """As DistributedDataParallel and torch.compile name them: exported bit by bit, and resumed."""
    expected = (own_run / "epoch_002_tagger.onnx").read_bytes()
    path, state, weights = saved_weights(own_run, 2)
    state["network"] = {prefix + name: tensor for name, tensor in weights.items()}
    torch.save(state, path)
    export(own_run)
    assert (own_run / "epoch_002_tagger.onnx").read_bytes() == expected
    config = read_run(own_run).config.model_copy(update={"output": own_run, "epochs": 3})
    train(config, resume=True)
    assert epochs_of(own_run) == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: {}, "lacks the weights head.bias"),
        (lambda _: 3, "lacks the weights head.bias"),
        (lambda weights: {**weights, "tail\x1b[31m": weights["head.bias"]}, r"unknown weights tail\\x1b"),
        (lambda weights: {f"student.{name}": each for name, each in weights.items()}, "student.head.bias"),
        (lambda weights: {**weights, "head.bias": torch.zeros(5)}, r"head.bias is \(5,\), .* has \(4,\)"),
        (lambda weights: {**weights, "head.bias": [0.0] * 4}, "head.bias is list"),
        (lambda weights: {**weights, "head.bias": torch.full((4,), torch.nan)}, "not finite"),
        (lambda weights: {**weights, "head.bias": torch.full((4,), torch.inf)}, "not finite"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_reason(
    own_run: Path, change: Callable[[dict[str, torch.Tensor]], object], reason: str
) -> None:
    path, state, weights = saved_weights(own_run, 2)
    torch.save(state | {"network": change(weights)}, path)
    config = read_run(own_run).config.model_copy(update={"output": own_run, "epochs": 3})
    for use in (lambda: export(own_run), lambda: train(config, resume=True)):
        with pytest.raises(ValueError, match=reason) as caught:
            use()
        assert str(caught.value).startswith(str(path))
        assert str(caught.value).isprintable()


def test_a_state_of_the_optimiser_that_is_not_finite_is_refused(own_run: Path) -> None:
    path, state, _ = saved_weights(own_run, 2)
    state["optimizer"]["state"][0]["exp_avg"][0] = np.nan  # type: ignore[index]
    torch.save(state, path)
    config = read_run(own_run).config.model_copy(update={"output": own_run, "epochs": 3})
    with pytest.raises(ValueError, match=r"epoch_002.pt: holds weights that are not finite"):
        train(config, resume=True)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04 no zip", b"\x80\x04cos\nsystem\n(S'true'\ntR."]
)
def test_what_is_no_file_of_torch_is_one_sentence(own_run: Path, content: bytes) -> None:
    path = checkpoint_path(own_run, 1)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"epoch_001\.pt: not a checkpoint of this version") as caught:
        export(own_run)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"head.bias": torch.zeros(4)}])
def test_what_torch_reads_but_is_no_checkpoint_is_one_sentence(own_run: Path, content: object) -> None:
    torch.save(content, checkpoint_path(own_run, 1))
    with pytest.raises(ValueError, match=r"epoch_001\.pt: not a checkpoint of this version"):
        export(own_run)


def test_a_checkpoint_of_another_version_is_refused(own_run: Path) -> None:
    state = torch.load(checkpoint_path(own_run, 1), weights_only=True)
    torch.save(state | {"schema_version": 9}, checkpoint_path(own_run, 1))
    with pytest.raises(ValueError, match="not a checkpoint of this version"):
        load_checkpoint(checkpoint_path(own_run, 1))


@pytest.mark.parametrize("name", ["config.json", "scaler.json", "features.json"])
def test_a_broken_run_directory_is_one_sentence(own_run: Path, name: str) -> None:
    (own_run / name).write_text("{")
    with pytest.raises(ValueError, match="not a run directory of this version"):
        read_run(own_run)
