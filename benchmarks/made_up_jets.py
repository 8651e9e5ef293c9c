"""Jets of random numbers with all that a training may read: variations, unlabelled jets, a teacher."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.event_split import EventSplit
from models.features import BRANCHES, FLAVOURS, N_FEATURES
from models.network import TaggerNetwork
from models.scaler import FeatureScaler
from models.unlabelled import UnlabelledJets, write_unlabelled
from training.checkpoints import Learner, Run, create_run, save_checkpoint
from training.config import PrepareConfig, TrainConfig
from training.manifest import MANIFEST_NAME, SCALER_NAME, Manifest, SplitEntry, VariationsEntry
from training.shards import TrainingData, fingerprint_of, write_shard


def made_up_data(folder: Path, n_jets: int) -> TrainingData:
    """Write shards of random jets and two variations of each, as `advtag prepare` would."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(n_jets, N_FEATURES)).astype(np.float16)
    mask = np.packbits(rng.random((n_jets, N_FEATURES)) < 0.3, axis=1)
    arrays: dict[str, NDArray[Any]] = {
        "features": features,
        "mask": mask,
        "labels": rng.integers(0, len(FLAVOURS), n_jets).astype(np.uint8),
        "weights": rng.uniform(0.5, 1.5, n_jets).astype(np.float32),
        "variation_features": np.stack([features + np.float16(shift) for shift in (-0.1, 0.1)], axis=1),
        "variation_mask": np.stack([mask, mask], axis=1),
    }
    shard = write_shard(folder, "train", 0, arrays)
    scaler = FeatureScaler(*(np.full(N_FEATURES, value, np.float32) for value in (0, 1, -5)))
    (folder / SCALER_NAME).write_text(json.dumps(scaler.to_dict()))
    empty = SplitEntry(n_jets=0, n_by_flavour={}, shards=())
    manifest = Manifest(
        fingerprint=fingerprint_of(scaler, [shard]),
        feature_names=BRANCHES,
        splits={
            "train": SplitEntry(n_jets=n_jets, n_by_flavour={}, shards=(shard,)),
            "validation": empty,
            "test": empty,
        },
        inputs=(),
        dropped_jets={},
        clipped_values=0,
        reference=None,
        reweighting={},
        variations=VariationsEntry(n_variations=2, matched_shares=(1.0, 1.0), shifts=(0.1,) * N_FEATURES),
        config=PrepareConfig(inputs=("made up",), output=folder),
        versions={},
    )
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json())
    return TrainingData(folder)


def made_up_unlabelled(folder: Path, n_jets: int = 20_000) -> Path:
    """Write random jets of simulation and as many of data, as `advtag collect` would; return the folder."""
    features = np.random.default_rng(2).normal(size=(2 * n_jets, N_FEATURES)).astype(np.float32)
    keys = np.zeros((2 * n_jets, 4), dtype=np.uint64)
    is_data = np.repeat([False, True], n_jets)
    jets = UnlabelledJets(features, is_data, np.ones(2 * n_jets, np.float32), keys, "dy", EventSplit(0.5))
    write_unlabelled(jets, folder)
    return folder


def made_up_teacher(folder: Path, data: TrainingData) -> Path:
    """Write the run directory of a network that knows nothing; return it."""
    config = TrainConfig(name="teacher", data=data.folder, output=folder)
    run = Run(folder, config, data.scaler(), data.manifest.fingerprint)
    network = TaggerNetwork()
    create_run(run)
    save_checkpoint(run, 1, Learner(network, torch.nn.ModuleDict(), torch.optim.Adam(network.parameters())))
    return folder
