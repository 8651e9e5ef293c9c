"""The run directory: what a training leaves behind, epoch by epoch.

`epoch_NNN.pt` is written last of an epoch's files, so where it exists the epoch is complete. `interrupted.pt`
is the state in the middle of the next epoch, if a signal ended the training there.
"""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from pydantic import ValidationError

from models.features import BRANCHES
from models.metadata import TaggerMetadata
from models.network import TaggerNetwork, dense_layers
from models.onnx_graphs import attack_graph, save_onnx, tagger_graph
from models.scaler import FeatureScaler
from storage.documents import parse_json, read_json
from storage.files import LOCK_NAME, remove_remnants, replaced_file, write_text
from storage.names import printable
from storage.wording import few
from training.config import TrainConfig
from training.manifest import SCALER_NAME
from training.stored_weights import read_state, require_finite, set_weights

CHECKPOINT_FORMAT: Final = "advtag checkpoint"
SCHEMA_VERSION: Final = 2
CONFIG_NAME: Final = "config.json"
FEATURES_NAME: Final = "features.json"
INTERRUPTED_NAME: Final = "interrupted.pt"
MAY_CHANGE: Final = frozenset(
    {"output", "data", "epochs", "threads", "device", "compile", "tensorboard", "patience", "monitor"}
)
"""What may differ when a training is resumed: where it runs and for how long, not what it learns."""
_CHECKPOINT: Final = re.compile(r"epoch_(\d+)\.pt")


class Learner(NamedTuple):
    """What a training changes: the network, the modules of its methods, and the optimiser of both."""

    network: TaggerNetwork
    modules: torch.nn.ModuleDict
    optimizer: torch.optim.Optimizer


class Position(NamedTuple):
    """Where a training stands: in `epoch`, counted from 1, with the losses of the batches done in it.

    After a complete epoch it is the beginning of the next. Losses are those of `training.train.train_step`.
    """

    epoch: int
    losses: list[torch.Tensor]


class Run(NamedTuple):
    """What identifies a training.

    `method_fingerprints` are of the unlabelled jets and teachers that its methods read, in the order of the
    run card; `adapted_on` says from which events these jets are, as text, or is None.
    """

    folder: Path
    config: TrainConfig
    scaler: FeatureScaler
    data_fingerprint: str
    method_fingerprints: tuple[str, ...] = ()
    adapted_on: str | None = None


def create_run(run: Run) -> None:
    """Make the run directory with its scaler, feature schema and, last, its configuration."""
    run.folder.mkdir(parents=True, exist_ok=True)
    remove_remnants(run.folder)
    write_text(run.folder / SCALER_NAME, json.dumps(run.scaler.to_dict()))
    write_text(run.folder / FEATURES_NAME, json.dumps(list(BRANCHES), indent=1))
    content = {
        "config": run.config.model_dump(mode="json"),
        "data_fingerprint": run.data_fingerprint,
        "method_fingerprints": list(run.method_fingerprints),
        "adapted_on": run.adapted_on,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    write_text(run.folder / CONFIG_NAME, json.dumps(content, indent=1))


def read_run(folder: Path) -> Run:
    """Return what a run directory says about its training.

    Raises:
        FileNotFoundError: If the folder is no run directory.
        ValueError: If its files are broken or of another version.
    """
    folder = Path(folder)
    if not (folder / CONFIG_NAME).is_file():
        raise FileNotFoundError(f"{folder}: holds no {CONFIG_NAME}: give the output folder of 'advtag train'")
    try:
        content = read_json(folder / CONFIG_NAME)
        config = TrainConfig.model_validate(content["config"])
        scaler = FeatureScaler.from_dict(read_json(folder / SCALER_NAME))
        if read_json(folder / FEATURES_NAME) != list(BRANCHES):
            raise ValueError("other features")
        return Run(
            folder,
            config,
            scaler,
            str(content["data_fingerprint"]),
            tuple(content.get("method_fingerprints", ())),  # runs of before methods had none
            content.get("adapted_on"),
        )
    except (OSError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise ValueError(
            f"{folder}: not a run directory of this version: train anew in another folder"
        ) from error


def is_unused(folder: Path) -> bool:
    """Tell whether a run may begin in a folder: it is not there, empty, or `create_run` was killed in it."""
    if not folder.exists():
        return True
    begun = {SCALER_NAME, FEATURES_NAME, LOCK_NAME}
    return folder.is_dir() and all(
        path.name in begun or path.name.endswith(".partial") for path in folder.iterdir()
    )


def epochs_of(folder: Path) -> list[int]:
    """Return the complete epochs of a run directory, ascending."""
    matches = (_CHECKPOINT.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Return where the state after an epoch (1, 2, ...) is kept."""
    return folder / f"epoch_{epoch:03d}.pt"


def save_checkpoint(run: Run, epoch: int, learner: Learner) -> Path:
    """Write the taggers and then the state of an epoch; return the path of the state."""
    export_onnx(run, epoch, learner.network)
    path = checkpoint_path(run.folder, epoch)
    _save_state(path, run, Position(epoch + 1, []), learner)
    (run.folder / INTERRUPTED_NAME).unlink(missing_ok=True)
    return path


def save_interrupted(run: Run, position: Position, learner: Learner) -> Path:
    """Write the state in the middle of an epoch and return its path."""
    path = run.folder / INTERRUPTED_NAME
    _save_state(path, run, position, learner)
    return path


def _save_state(path: Path, run: Run, position: Position, learner: Learner) -> None:
    state = {
        "format": CHECKPOINT_FORMAT,
        "schema_version": SCHEMA_VERSION,
        "epoch": position.epoch - 1,
        "losses": torch.stack(position.losses) if position.losses else torch.empty(0),
        "config": run.config.model_dump_json(),
        "data_fingerprint": run.data_fingerprint,
        "method_fingerprints": list(run.method_fingerprints),
        "network": learner.network.state_dict(),
        "modules": learner.modules.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
    }
    # In memory first: torch's own writer reports a full disk as an error of its archive.
    content = io.BytesIO()
    torch.save(state, content)
    with replaced_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Return the state saved by `save_checkpoint`; nothing in the file is executed.

    Raises:
        ValueError: If the file is broken or of another version.
    """
    state = read_state(path, device)
    version = state.get("format"), state.get("schema_version")
    if version != (CHECKPOINT_FORMAT, SCHEMA_VERSION):
        said = printable(" ".join(str(each) for each in version)[:80])
        raise ValueError(f"{path}: not a checkpoint of this version but {said!r}: remove it or train anew")
    return state


def restore_network(run: Run, path: Path, network: TaggerNetwork) -> None:
    """Set a network to a checkpoint of a run; else as `restore`."""
    state = load_checkpoint(path)
    with _one_sentence(path):
        _check_identity(run, path, state)
    set_weights(network, state.get("network"), path)


def restore(run: Run, path: Path, learner: Learner, *, device: torch.device | None = None) -> Position:
    """Set all that learns to a checkpoint of a run, and return where the training goes on.

    Raises:
        ValueError: If the checkpoint is broken, of another version, training, epoch or network, or holds
            numbers that are not finite.
    """
    state = load_checkpoint(path, device)
    with _one_sentence(path):
        _check_identity(run, path, state)
    set_weights(learner.network, state.get("network"), path)
    set_weights(learner.modules, state.get("modules", {}), path)  # there were none before methods
    require_finite(state.get("optimizer"), path)
    with _one_sentence(path):
        learner.optimizer.load_state_dict(state["optimizer"])
        if len(state["losses"]) and state["losses"].ndim != 2:
            raise ValueError("its losses lack those of the methods")
        return Position(int(state["epoch"]) + 1, list(state["losses"].unbind()))


def _check_identity(run: Run, path: Path, state: dict[str, Any]) -> None:
    config = TrainConfig.model_validate(parse_json(state["config"], source="its settings"))
    epoch = _epoch_of(path)
    if state["data_fingerprint"] != run.data_fingerprint:
        raise ValueError("trained on other data")
    if tuple(state.get("method_fingerprints", ())) != run.method_fingerprints:
        raise ValueError("its methods had other unlabelled jets or another teacher")
    if changed := changed_keys(config, run.config):
        raise ValueError(few(changed))
    if epoch is not None and state["epoch"] != epoch:
        raise ValueError(f"epoch {state['epoch']}")


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:  # RuntimeError: torch
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: holds another training or epoch than its folder and name say ({printable(reason)}): "
            "remove it"
        ) from error


def newest_state(folder: Path) -> Path | None:
    """Return the checkpoint to go on from: that of an interrupted epoch, else of the last complete one."""
    epochs = epochs_of(folder)
    interrupted = folder / INTERRUPTED_NAME
    if interrupted.is_file() and load_checkpoint(interrupted).get("epoch") == (epochs or [0])[-1]:
        return interrupted
    return checkpoint_path(folder, epochs[-1]) if epochs else None


def _epoch_of(path: Path) -> int | None:
    match = _CHECKPOINT.fullmatch(path.name)
    return int(match[1]) if match else None


def open_run(run: Run, *, resume: bool) -> None:
    """Make the run directory of a new training, or of one that goes on.

    Raises:
        ValueError: If it holds another training, or one not to be resumed.
    """
    folder, config = run.folder, run.config
    if is_unused(folder):
        create_run(run)
        return
    if not (folder / CONFIG_NAME).is_file():
        raise ValueError(f"{folder}: exists and is no run directory: choose another 'output'")
    found = read_run(folder)
    changed = changed_keys(found.config, config)
    if changed:
        raise ValueError(
            f"{folder}: holds a training with other settings ({', '.join(changed)}): choose another 'output'"
        )
    if found.data_fingerprint != run.data_fingerprint:
        raise ValueError(f"{folder}: was trained on other data than {config.data}: choose another 'output'")
    if found.method_fingerprints != run.method_fingerprints:
        raise ValueError(
            f"{folder}: its methods had other unlabelled jets or another teacher than are there now: "
            "choose another 'output'"
        )
    state = newest_state(folder)
    if state is not None and not resume:
        begun = " and the beginning of the next" if state.name == INTERRUPTED_NAME else ""
        raise ValueError(
            f"{folder}: already holds {len(epochs_of(folder))} epochs{begun} of this training: "
            "resume it, or choose another 'output'"
        )
    create_run(run)


def changed_keys(found: TrainConfig, wanted: TrainConfig) -> list[str]:
    """Return the settings that differ, as `key: found there, wanted here`, leaving out those that may."""
    before, after = _without_places(found), _without_places(wanted)
    # The cosine ends with the last epoch: more epochs are another training from the first on.
    may_change = MAY_CHANGE - ({"epochs"} if wanted.schedule == "cosine" else set())
    return [
        f"{key}: {before[key]} there, {after[key]} here"
        for key in before
        if key not in may_change and before[key] != after[key]
    ]


def _without_places(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as plain values, without the places of what methods read: its content counts."""
    settings = config.model_dump(mode="json")
    settings["methods"] = [card.model_dump(mode="json", exclude=set(card.places)) for card in config.methods]
    return settings


def export_onnx(run: Run, epoch: int, network: TaggerNetwork) -> list[Path]:
    """Write a network as tagger and attack beside its checkpoint; return both paths."""
    config = run.config
    metadata = TaggerMetadata(
        name=config.name,
        epoch=epoch,
        method=config.method,
        attack=config.attack.name,
        gamma=config.gamma,
        loss_input=config.loss_input,
        scaler=run.scaler,
        data_fingerprint=run.data_fingerprint,
        adapted_on=run.adapted_on,
    )
    layers = dense_layers(network)
    paths = [run.folder / f"epoch_{epoch:03d}_{kind}.onnx" for kind in ("tagger", "attack")]
    save_onnx(tagger_graph(layers, metadata), paths[0])
    save_onnx(attack_graph(layers, metadata), paths[1])
    return paths


def export(folder: Path) -> list[Path]:
    """Make the ONNX files of every epoch of a run directory anew from its checkpoints; return their paths.

    Raises:
        FileNotFoundError: If the folder is no run directory or holds no checkpoint.
        ValueError: If a checkpoint is broken, of another version, training or epoch.
    """
    run = read_run(folder)
    epochs = epochs_of(run.folder)
    if not epochs:
        raise FileNotFoundError(f"{run.folder}: holds no checkpoint: train it first")
    paths = []
    for epoch in epochs:
        network = TaggerNetwork(dropout=run.config.dropout)
        restore_network(run, checkpoint_path(run.folder, epoch), network)
        paths += export_onnx(run, epoch, network)
    return paths
