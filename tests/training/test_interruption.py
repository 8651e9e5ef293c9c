"""A training that ends early, by a signal, a full disk or its patience, and goes on as if it never had."""

import errno
import hashlib
import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from storage.files import replaced_file
from training.checkpoints import checkpoint_path, epochs_of, load_checkpoint
from training.config import TrainConfig
from training.history import read_history
from training.interruption import Interrupted
from training.shards import TrainingData
from training.train import train

MakeConfig = Callable[..., TrainConfig]

CARDS: list[dict[str, object]] = [
    {},
    {"attack": "pgd:0.1:steps=2:start=1", "mix": 0.5, "window_shards": 1, "micro_batch": 100},
    {"schedule": "cosine", "warmup_epochs": 0.5, "dropout": 0.3},
]


def weights_hash(folder: Path, epoch: int) -> str:
    digest = hashlib.sha256()
    for tensor in load_checkpoint(checkpoint_path(folder, epoch))["network"].values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def signalled_at(n_jets: int, number: signal.Signals = signal.SIGTERM) -> Callable[[int, int], None]:
    """A progress that sends this process a signal once so many jets are done."""
    sent: list[int] = []

    def progress(done: int, total: int) -> None:
        if done >= n_jets and not sent:
            sent.append(done)
            os.kill(os.getpid(), number)

    return progress


@pytest.fixture
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.train._REPORT_EVERY", -1.0)


@pytest.mark.parametrize("changes", CARDS[:2])
def test_four_epochs_are_two_and_two_more(
    train_config: MakeConfig, tmp_path: Path, changes: dict[str, object]
) -> None:
    whole = train(train_config(epochs=4, output=tmp_path / "whole", **changes))
    train(train_config(epochs=2, output=tmp_path / "parts", **changes))
    parts = train(train_config(epochs=4, output=tmp_path / "parts", **changes), resume=True)
    assert weights_hash(whole, 4) == weights_hash(parts, 4)
    assert weights_hash(whole, 4) != weights_hash(whole, 3)


@pytest.mark.usefixtures("every_step_is_reported")
@pytest.mark.parametrize("changes", CARDS)
def test_a_training_stopped_in_mid_epoch_goes_on_bit_by_bit(
    train_config: MakeConfig, training_data: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    n_jets = TrainingData(training_data).n_jets("train")
    whole = train(train_config(output=tmp_path / "whole", **changes))
    config = train_config(output=tmp_path / "parts", **changes)
    for place in (0.4, 1.5):  # in the first epoch, and in the second
        with pytest.raises(Interrupted):
            train(config, resume=True, progress=signalled_at(round(place * n_jets)))
        assert (config.output / "interrupted.pt").is_file()
    assert epochs_of(config.output) == [1]
    parts = train(config, resume=True)
    assert weights_hash(whole, 1) == weights_hash(parts, 1)
    assert weights_hash(whole, 2) == weights_hash(parts, 2)
    histories = [[record[:-1] for record in read_history(folder)] for folder in (whole, parts)]
    assert histories[0] == histories[1]
    assert {path.name for path in whole.iterdir()} == {path.name for path in parts.iterdir()}


@pytest.mark.usefixtures("every_step_is_reported")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_signal_ends_the_training_with_its_exit_code_and_its_old_action(
    train_config: MakeConfig, number: signal.Signals, code: int
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        train(train_config(), progress=signalled_at(1, number))
    assert ended.value.code == code
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("every_step_is_reported")
def test_an_interrupted_training_is_not_begun_anew_by_mistake(train_config: MakeConfig) -> None:
    with pytest.raises(Interrupted):
        train(train_config(), progress=signalled_at(1))
    with pytest.raises(ValueError, match="already holds 0 epochs and the beginning of the next"):
        train(train_config())


@pytest.mark.usefixtures("every_step_is_reported")
def test_a_state_without_the_losses_of_methods_is_one_sentence(train_config: MakeConfig) -> None:
    with pytest.raises(Interrupted):
        train(train_config(), progress=signalled_at(1))
    path = train_config().output / "interrupted.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"losses": state["losses"][:, 0]}, path)
    with pytest.raises(ValueError, match=r"interrupted\.pt: .*: remove it"):
        train(train_config(), resume=True)


def test_a_training_in_a_thread_leaves_signals_alone(train_config: MakeConfig) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, train_config(epochs=1)).result().is_dir()


@pytest.mark.parametrize("full_at", ["epoch_002_tagger.onnx", "epoch_002.pt", "history.csv"])
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(
    train_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    whole = train(train_config(output=tmp_path / "whole"))
    folder = train(train_config(epochs=1))
    history = (folder / "history.csv").read_bytes()

    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        if path.name == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with replaced_file(path) as temporary:
            yield temporary

    with monkeypatch.context() as patch:
        for module in ("training.checkpoints", "models.onnx_graphs", "storage.tables"):
            patch.setattr(f"{module}.replaced_file", full)
        with pytest.raises(
            OSError, match=r"cannot write epoch 2 \(No space left on device\): make room"
        ) as e:
            train(train_config(), resume=True)
        assert "\n" not in str(e.value)
    assert epochs_of(folder) == [1]
    if full_at == "history.csv":
        assert (folder / "history.csv").read_bytes() == history
    train(train_config(), resume=True)
    assert weights_hash(folder, 2) == weights_hash(whole, 2)


def test_data_without_a_jet_are_one_sentence(
    train_config: MakeConfig, training_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "empty"
    shutil.copytree(training_data, data)
    content = json.loads((data / "manifest.json").read_text())
    content["splits"]["train"] |= {"n_jets": 0, "shards": []}
    (data / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="holds no jet to train on: prepare more files"):
        train(train_config(data=data))
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_with_broken_weights_is_not_gone_on_from(train_config: MakeConfig) -> None:
    path = checkpoint_path(train(train_config()), 2)
    state = load_checkpoint(path)
    state["network"]["head.bias"][1] = math.nan
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"epoch_002\.pt: holds weights that are not finite: remove it"):
        train(train_config(epochs=3), resume=True)


def test_early_stopping_is_the_same_when_resumed(train_config: MakeConfig, tmp_path: Path) -> None:
    # A rate of nothing: no epoch is better than the first.
    settings = {"patience": 2, "learning_rate": 1e-12, "dropout": 0.0, "monitor": "auc_raw", "epochs": 9}
    calls: list[tuple[int, int]] = []
    whole = train(
        train_config(output=tmp_path / "whole", **settings), progress=lambda *call: calls.append(call)
    )
    assert epochs_of(whole) == [1, 2, 3]
    assert calls[-1][0] == calls[-1][1]  # the bar is full
    parts = train(train_config(output=tmp_path / "parts", **(settings | {"epochs": 2})))
    train(train_config(output=tmp_path / "parts", **settings), resume=True)
    assert epochs_of(parts) == [1, 2, 3]


def test_the_cosine_schedule_cannot_be_prolonged(train_config: MakeConfig) -> None:
    train(train_config(epochs=1, schedule="cosine"))
    with pytest.raises(ValueError, match="epochs: 1 there, 2 here"):
        train(train_config(epochs=2, schedule="cosine"), resume=True)
