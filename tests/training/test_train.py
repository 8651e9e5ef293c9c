import json
import math
import multiprocessing
import shutil
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

import training.train
from models.network import TaggerNetwork
from models.variants import Variant
from storage.files import one_writer
from training.attacks import Perturbation
from training.batches import Batch, StoredJets
from training.checkpoints import checkpoint_path, epochs_of, load_checkpoint
from training.composition import methods_of, read_sources
from training.config import TrainConfig
from training.history import read_history, read_terms
from training.losses import focal_loss
from training.shards import TrainingData
from training.train import train, train_step
from training.validation import validate

MakeConfig = Callable[..., TrainConfig]
CPU = torch.device("cpu")


def parameters(folder: Path, epoch: int) -> list[torch.Tensor]:
    state = load_checkpoint(checkpoint_path(folder, epoch))
    moments = [value for entry in state["optimizer"]["state"].values() for value in entry.values()]
    return [*state["network"].values(), *moments]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.fixture
def batch(training_data: Path) -> Batch:
    return next(StoredJets(TrainingData(training_data), "train", device=CPU).in_order(500))


def test_it_learns(train_config: MakeConfig) -> None:
    history = read_history(train(train_config(epochs=4)))
    assert history[-1].train_loss < 0.9 * history[0].train_loss
    assert history[-1].auc_raw > 0.7
    assert history[-1].auc_attacked < history[-1].auc_raw


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attack": "fgsm:0.1", "window_shards": 1},
        {"attack": "pgd:0.1:steps=2:start=1", "schedule": "constant", "warmup_epochs": 1.5},
    ],
)
def test_a_resumed_training_is_bit_by_bit_the_one_that_never_stopped(
    train_config: MakeConfig, tmp_path: Path, changes: dict[str, object]
) -> None:
    whole = train(train_config(epochs=3, output=tmp_path / "whole", **changes))
    parts = tmp_path / "parts"
    train(train_config(epochs=1, output=parts, **changes))
    torch.rand(17)  # whatever else the caller's process draws in between
    train(train_config(epochs=3, output=parts, **changes), resume=True)
    for epoch in (1, 2, 3):
        assert same(parameters(whole, epoch), parameters(parts, epoch))
        tagger = f"epoch_{epoch:03d}_tagger.onnx"
        assert (whole / tagger).read_bytes() == (parts / tagger).read_bytes()
    without_speed = [[record[:-1] for record in read_history(folder)] for folder in (whole, parts)]
    assert without_speed[0] == without_speed[1]


def test_resuming_after_a_crash_redoes_the_broken_epoch(train_config: MakeConfig, tmp_path: Path) -> None:
    whole = train(train_config(epochs=3, output=tmp_path / "whole"))
    broken = train(train_config(epochs=3, output=tmp_path / "broken"))
    checkpoint_path(broken, 3).unlink()  # its taggers and its line of the history are there already
    train(train_config(epochs=3, output=broken), resume=True)
    assert same(parameters(whole, 3), parameters(broken, 3))
    assert [record.epoch for record in read_history(broken)] == [1, 2, 3]


def test_resuming_a_finished_training_changes_nothing(train_config: MakeConfig) -> None:
    folder = train(train_config())
    before = {path: path.stat().st_mtime_ns for path in folder.glob("epoch_*")}
    calls: list[tuple[int, int]] = []
    train(train_config(), resume=True, progress=lambda *call: calls.append(call))
    assert {path: path.stat().st_mtime_ns for path in folder.glob("epoch_*")} == before
    assert calls == []


def test_the_seed_decides_the_training(train_config: MakeConfig, tmp_path: Path) -> None:
    folders = [
        train(train_config(epochs=1, seed=seed, output=tmp_path / f"{number}"))
        for number, seed in enumerate((1, 1, 2))
    ]
    states = [parameters(folder, 1) for folder in folders]
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_the_callers_torch_is_left_alone(train_config: MakeConfig) -> None:
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(train_config(epochs=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_run_is_not_overwritten(train_config: MakeConfig) -> None:
    train(train_config(epochs=1))
    with pytest.raises(ValueError, match="already holds 1 epochs of this training: resume it"):
        train(train_config(epochs=1))


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_with_other_settings_is_not_overwritten(train_config: MakeConfig, resume: bool) -> None:
    folder = train(train_config(epochs=1))
    before = (folder / "config.json").read_text()
    with pytest.raises(ValueError, match=r"other settings \(gamma: 0.0 there, 2.0 here\)"):
        train(train_config(epochs=1, gamma=2), resume=resume)
    assert (folder / "config.json").read_text() == before


def test_a_run_on_other_data_is_not_continued(train_config: MakeConfig, training_data: Path) -> None:
    folder = train(train_config(epochs=1))
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"data_fingerprint": "0"}))
    with pytest.raises(ValueError, match="was trained on other data"):
        train(train_config(epochs=2), resume=True)


def test_a_foreign_folder_is_not_touched(train_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="exists and is no run directory"):
        train(train_config())


def test_a_run_killed_while_its_folder_was_made_begins_anew(
    train_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, text: str) -> None:
        if path.name == "config.json":
            path.with_name(f".{path.name}.4711.partial").write_text(text[:100])
            raise KeyboardInterrupt
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr("training.checkpoints.write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            train(train_config(epochs=1))
    folder = train(train_config(epochs=1), resume=True)
    assert checkpoint_path(folder, 1).is_file()
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize("killed_at", ["epoch_002_attack.onnx", "epoch_002.pt"])
def test_resuming_after_a_kill_in_the_middle_of_a_file(
    train_config: MakeConfig, tmp_path: Path, killed_at: str
) -> None:
    whole = train(train_config(output=tmp_path / "whole"))
    killed = train(train_config(output=tmp_path / "killed"))
    files = ["epoch_002_tagger.onnx", "epoch_002_attack.onnx", "epoch_002.pt"]
    for name in files[files.index(killed_at) :]:
        (killed / name).unlink()
    (killed / f".{killed_at}.4711.partial").write_bytes((whole / killed_at).read_bytes()[:1000])
    train(train_config(output=killed), resume=True)
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.iterdir()}
    assert same(parameters(whole, 2), parameters(killed, 2))
    for name in files[:2]:
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def hold(folder: Path, pipe: Connection) -> None:
    with one_writer(folder):
        pipe.send("held")
        pipe.recv()


def test_a_run_that_another_process_trains_is_left_alone(train_config: MakeConfig) -> None:
    config = train_config(epochs=1)
    pipe, other = multiprocessing.Pipe()
    holder = multiprocessing.get_context("fork").Process(
        target=hold, args=(config.output, other), daemon=True
    )
    holder.start()
    assert pipe.recv() == "held"
    for resume in (False, True):
        with pytest.raises(ValueError, match="another process is writing into it"):
            train(config, resume=resume)
    assert [path.name for path in config.output.iterdir()] == [".lock"]
    holder.kill()
    holder.join()
    # The file of the lock outlives a killed process, and does not bar the next.
    assert epochs_of(train(config)) == [1]
    assert not (config.output / ".lock").exists()


def test_missing_data_leave_no_run_directory(train_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make the training data with 'advtag prepare'"):
        train(train_config(data=tmp_path / "absent"))
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_says_so(train_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.train.focal_loss", lambda logits, *_, **__: logits.sum(dim=1) * math.nan)
    with pytest.raises(ValueError, match=r"the loss of epoch 1 is nan: lower learning_rate"):
        train(train_config(epochs=1))


def test_the_learning_rate_falls_as_in_the_thesis(train_config: MakeConfig) -> None:
    history = read_history(train(train_config(epochs=2, learning_rate=3e-3)))
    assert [record.learning_rate for record in history] == pytest.approx([3e-3, 3e-3 / (1 + 1 / 30)])


def test_micro_batches_step_as_the_whole_batch(train_config: MakeConfig, batch: Batch) -> None:
    networks = []
    for micro_batch in (None, 64):
        torch.manual_seed(1)
        network = TaggerNetwork(dropout=0.0)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        config = train_config(batch_size=500, micro_batch=micro_batch, gamma=2)
        loss = train_step(network, optimizer, batch, config)
        networks.append((network, loss))
    torch.testing.assert_close(networks[0][1], networks[1][1])
    for one, many in zip(*(network.parameters() for network, _ in networks), strict=True):
        torch.testing.assert_close(one, many, atol=1e-6, rtol=1e-5)


def test_a_step_minimises_the_weighted_mean_loss(train_config: MakeConfig, batch: Batch) -> None:
    torch.manual_seed(1)
    network = TaggerNetwork(dropout=0.0)
    losses = focal_loss(network(batch.scaled), batch.labels, gamma=2)
    expected = torch.autograd.grad((batch.weights * losses).sum() / batch.weights.sum(), network.head.weight)[
        0
    ]
    before = network.head.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    loss = train_step(network, optimizer, batch, train_config(gamma=2, batch_size=500))
    assert loss.item() == pytest.approx(np.average(losses.detach().numpy(), weights=batch.weights.numpy()))
    torch.testing.assert_close(network.head.weight.detach(), before - 0.1 * expected)


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
def test_fgsm_training_steps_on_the_attacked_batch(
    train_config: MakeConfig, batch: Batch, loss_input: str
) -> None:
    networks = []
    for attack in ("fgsm:0.2", "raw"):
        torch.manual_seed(1)
        network = TaggerNetwork(dropout=0.0)
        config = train_config(attack=attack, loss_input=loss_input, batch_size=500)
        methods = methods_of(config, read_sources(config, TrainingData(config.data), CPU), CPU)
        inputs = batch.scaled
        if attack == "raw":
            assert not methods
            perturbation = Perturbation(Variant("fgsm", 0.2), loss_input=config.loss_input)
            inputs = perturbation(network, inputs, batch.labels, batch.frozen)
            assert not torch.equal(inputs, batch.scaled)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        train_step(network, optimizer, batch._replace(scaled=inputs), config, methods=methods)
        networks.append(network)
    for attacked, pre_attacked in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(attacked, pre_attacked)


def test_the_scale_of_the_weights_does_not_matter(train_config: MakeConfig, batch: Batch) -> None:
    results = []
    for scale in (1.0, 1000.0):
        torch.manual_seed(1)
        network = TaggerNetwork(dropout=0.0)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        scaled_batch = batch._replace(weights=batch.weights * scale)
        results.append(train_step(network, optimizer, scaled_batch, train_config(batch_size=500)).item())
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_validation_is_unweighted_and_in_evaluation_mode(
    train_config: MakeConfig, training_data: Path
) -> None:
    jets = TrainingData(training_data).learning_jets("validation")
    stored = StoredJets(TrainingData(training_data), "validation", device=CPU)
    attack = Perturbation(Variant("noise", 0.1))
    torch.manual_seed(1)
    network = TaggerNetwork(dropout=0.5).train()
    result = validate(network, stored, train_config(gamma=2), attack)
    assert network.training
    network.eval()
    logits = network(torch.from_numpy(jets.features.astype(np.float32)))
    loss = focal_loss(logits, torch.from_numpy(jets.labels).long(), gamma=2).mean().item()
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert result == validate(network, stored, train_config(gamma=2), attack)


def test_a_missing_gpu_is_one_sentence(train_config: MakeConfig) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="torch sees no GPU: use cpu or auto"):
        train(train_config(device="cuda"))
    with pytest.raises(ValueError, match="compile: true is for GPUs"):
        train(train_config(device="auto", compile=True))
    train(train_config(device="auto", epochs=1))


def test_progress_counts_jets(train_config: MakeConfig, training_data: Path) -> None:
    calls: list[tuple[int, int]] = []
    train(train_config(epochs=2), progress=lambda *call: calls.append(call))
    n_jets = TrainingData(training_data).n_jets("train")
    assert calls[-1] == (2 * n_jets, 2 * n_jets)
    assert (n_jets, 2 * n_jets) in calls
    assert calls == sorted(calls)


def test_bf16_trains_and_gives_the_caller_its_precision_back(
    train_config: MakeConfig, tmp_path: Path
) -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    runs = [
        train(train_config(precision=precision, output=tmp_path / precision, epochs=1))
        for precision in ("float32", "bf16")
    ]
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    losses = [read_history(run)[-1].validation_loss for run in runs]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_tensorboard_holds_the_history(train_config: MakeConfig) -> None:
    folder = train(train_config(tensorboard=True))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    for record in read_history(folder):
        assert [e.value for e in events.Scalars("auc_raw") if e.step == record.epoch] == [
            pytest.approx(record.auc_raw)
        ]
    assert len(events.Scalars("train_loss")) == 2


def test_tensorboard_holds_what_methods_add(train_config: MakeConfig) -> None:
    folder = train(train_config(tensorboard=True, attack="fgsm:0.1", consistency=1.0))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload().Scalars("terms/2_consistency")
    terms = read_terms(folder)
    assert [term[:3] for term in terms] == [(1, 2, "consistency"), (2, 2, "consistency")]
    assert [event.value for event in events] == pytest.approx([term.value for term in terms])


@pytest.mark.parametrize("what", ["loss", "weights"])
def test_numbers_that_break_end_the_training_and_keep_the_last_good_epoch(
    train_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """In the second of three epochs: the first is kept, and can be gone on from."""
    config = train_config(epochs=3)
    take = training.train.train_step
    n_steps = 0

    def step(network: TaggerNetwork, *args: object, **options: object) -> torch.Tensor:
        nonlocal n_steps
        n_steps += 1
        losses = take(network, *args, **options)  # type: ignore[arg-type]
        if n_steps == n_batches + 2:
            if what == "loss":
                return losses * torch.nan
            with torch.no_grad():
                network.head.bias[0] = torch.inf
        return losses

    n_batches = -(-TrainingData(config.data).n_jets("train") // config.batch_size)
    monkeypatch.setattr(training.train, "train_step", step)
    with pytest.raises(ValueError, match=r"epoch 2 (is|are) .*learning_rate.*epochs 1 to 1 are kept"):
        train(config)
    monkeypatch.undo()
    assert epochs_of(config.output) == [1]
    assert len(read_history(config.output)) == 1
    train(config, resume=True)
    assert epochs_of(config.output) == [1, 2, 3]


def test_damaged_jets_are_not_trained_on(
    train_config: MakeConfig, training_data: Path, tmp_path: Path
) -> None:
    """A bit of a weight still is a number, and a label another one: nothing but the hash tells."""
    data = Path(shutil.copytree(training_data, tmp_path / "data"))
    path = data / "train" / "labels_00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    config = train_config(data=data)
    with pytest.raises(ValueError, match=r"labels_00001.npy: damaged since it was written"):
        train(config)
    assert not config.output.exists()
