"""The run directory: what a training leaves behind, epoch by epoch.

`epoch_NNN.pt` is written last of an epoch's files, so where it exists the epoch is complete.
"""

import json
import re
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
from storage.files import remove_remnants, replaced_file, write_text
from storage.tables import read_table, write_table
from training.config import TrainConfig
from training.manifest import SCALER_NAME

CHECKPOINT_FORMAT: Final = "advtag checkpoint"
SCHEMA_VERSION: Final = 1
CONFIG_NAME: Final = "config.json"
FEATURES_NAME: Final = "features.json"
HISTORY_NAME: Final = "history.csv"
MAY_CHANGE: Final = frozenset({"output", "data", "epochs", "threads", "device"})
"""What may differ when a training is resumed: where it runs and for how long, not what it learns."""
_CHECKPOINT: Final = re.compile(r"epoch_(\d+)\.pt")


class EpochRecord(NamedTuple):
    """One line of `history.csv`.

    The training loss is weighted, with dropout and, for method fgsm, under attack; the validation loss is
    unweighted, on raw inputs. The areas are of BvsL on the validation split.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    auc_raw: float
    auc_fgsm: float
    jets_per_second: float


class Run(NamedTuple):
    """What identifies a training."""

    folder: Path
    config: TrainConfig
    scaler: FeatureScaler
    data_fingerprint: str


def create_run(run: Run) -> None:
    """Make the run directory with its scaler, feature schema and, last, its configuration."""
    run.folder.mkdir(parents=True, exist_ok=True)
    remove_remnants(run.folder)
    write_text(run.folder / SCALER_NAME, json.dumps(run.scaler.to_dict()))
    write_text(run.folder / FEATURES_NAME, json.dumps(list(BRANCHES), indent=1))
    content = {
        "config": run.config.model_dump(mode="json"),
        "data_fingerprint": run.data_fingerprint,
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
        content = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        config = TrainConfig.model_validate_json(json.dumps(content["config"]))
        scaler = FeatureScaler.from_dict(json.loads((folder / SCALER_NAME).read_text(encoding="utf-8")))
        return Run(folder, config, scaler, str(content["data_fingerprint"]))
    except (OSError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise ValueError(
            f"{folder}: not a run directory of this version: train anew in another folder"
        ) from error


def is_unused(folder: Path) -> bool:
    """Tell whether a run may begin in a folder: it is not there, empty, or `create_run` was killed in it."""
    if not folder.exists():
        return True
    begun = {SCALER_NAME, FEATURES_NAME}
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


def save_checkpoint(
    run: Run, epoch: int, network: TaggerNetwork, optimizer: torch.optim.Optimizer, device: torch.device
) -> Path:
    """Write the taggers and then the state of an epoch; return the path of the state."""
    export_onnx(run, epoch, network)
    state = {
        "format": CHECKPOINT_FORMAT,
        "schema_version": SCHEMA_VERSION,
        "epoch": epoch,
        "config": run.config.model_dump_json(),
        "data_fingerprint": run.data_fingerprint,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random_state": torch.get_rng_state(),
        "random_state_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    path = checkpoint_path(run.folder, epoch)
    with replaced_file(path) as temporary:
        torch.save(state, temporary)
    return path


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Return the state saved by `save_checkpoint`; nothing in the file is executed.

    Raises:
        ValueError: If the file is broken or of another version.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device or "cpu")
        if (state["format"], state["schema_version"]) != (CHECKPOINT_FORMAT, SCHEMA_VERSION):
            raise ValueError("other version")
    except Exception as error:  # torch raises errors of zip, pickle and its own on a broken file
        raise ValueError(f"{path}: not a checkpoint of this version: remove it or train anew") from error
    return state


def restore(
    run: Run,
    epoch: int,
    network: TaggerNetwork,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Set a network, and an optimiser, to an epoch of a run, and return the whole state.

    Raises:
        ValueError: If the checkpoint is broken, of another version, training or epoch.
    """
    path = checkpoint_path(run.folder, epoch)
    state = load_checkpoint(path, device)
    try:
        config = TrainConfig.model_validate_json(state["config"])
        found = state["epoch"], state["data_fingerprint"], changed_keys(config, run.config)
        if found != (epoch, run.data_fingerprint, []):
            raise ValueError("another training or epoch")
        network.load_state_dict(state["network"])
        if optimizer:
            optimizer.load_state_dict(state["optimizer"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # torch raises the last
        raise ValueError(
            f"{path}: holds another training or epoch than its folder and name say: remove it"
        ) from error
    return state


def changed_keys(found: TrainConfig, wanted: TrainConfig) -> list[str]:
    """Return the settings that differ, as `key: found there, wanted here`, leaving out those that may."""
    before, after = found.model_dump(mode="json"), wanted.model_dump(mode="json")
    return [
        f"{key}: {before[key]} there, {after[key]} here"
        for key in before
        if key not in MAY_CHANGE and before[key] != after[key]
    ]


def export_onnx(run: Run, epoch: int, network: TaggerNetwork) -> list[Path]:
    """Write a network as tagger and attack beside its checkpoint; return both paths."""
    config = run.config
    metadata = TaggerMetadata(
        name=config.name,
        epoch=epoch,
        method=config.method,
        epsilon=config.training_epsilon,
        gamma=config.gamma,
        loss_input=config.loss_input,
        scaler=run.scaler,
        data_fingerprint=run.data_fingerprint,
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
        restore(run, epoch, network)
        paths += export_onnx(run, epoch, network)
    return paths


def read_history(folder: Path) -> list[EpochRecord]:
    """Return the lines of `history.csv`, none if it does not exist."""
    path = folder / HISTORY_NAME
    return read_table(path, kind=EpochRecord) if path.is_file() else []


def write_history(folder: Path, records: list[EpochRecord]) -> None:
    """Write `history.csv` in one stroke."""
    write_table(records, folder / HISTORY_NAME, kind=EpochRecord)
