"""Taggers and jets that the tests of `models` share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.features import IS_INTEGER, MISSING, N_FEATURES
from models.metadata import TaggerMetadata
from models.network import TaggerNetwork, dense_layers
from models.onnx_graphs import attack_graph, save_onnx, tagger_graph
from models.scaler import FeatureScaler, ScalerStatistics

Jets = Callable[..., NDArray[np.float32]]


@pytest.fixture(scope="session")
def make_jets() -> Jets:
    """Features as a file holds them: plausible numbers, defaults, and numbers beyond the track count."""

    def make(n_jets: int, seed: int = 0) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        raw = rng.normal(1.0, 3.0, (n_jets, N_FEATURES))
        raw[:, IS_INTEGER] = rng.integers(0, 8, (n_jets, int(IS_INTEGER.sum())))
        chance = rng.random(raw.shape)
        for k, bad in enumerate((MISSING, np.nan, np.inf, -np.inf, -1.0, 0.0)):
            raw[(chance > 0.02 * k) & (chance < 0.02 * (k + 1))] = bad
        return raw.astype(np.float32)

    return make


@pytest.fixture(scope="session")
def scaler(make_jets: Jets) -> FeatureScaler:
    statistics = ScalerStatistics()
    statistics.update(make_jets(2000, seed=1))
    return statistics.finish()


@pytest.fixture(scope="session")
def make_metadata(scaler: FeatureScaler) -> Callable[..., TaggerMetadata]:
    def make(**changes: Any) -> TaggerMetadata:
        content = {
            "name": "basic",
            "epoch": 3,
            "method": "basic",
            "gamma": 25.0,
            "loss_input": "logits",
            "scaler": scaler,
            "data_fingerprint": "made for tests",
        }
        return TaggerMetadata(**{**content, **changes})

    return make


@pytest.fixture(scope="session")
def make_network() -> Callable[..., TaggerNetwork]:
    """An untrained network; the gain, 1 for torch's own start, spreads its logits as training would."""

    def make(gain: float = 2.4, seed: int = 0) -> TaggerNetwork:
        torch.manual_seed(seed)
        network = TaggerNetwork().eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter *= gain
        return network

    return make


@pytest.fixture(scope="session")
def write_run(
    make_metadata: Callable[..., TaggerMetadata], make_network: Callable[..., TaggerNetwork]
) -> Callable[..., Path]:
    """Write a run folder as a training leaves it; returns the folder."""

    def write(folder: Path, epochs: Sequence[int] = (1,), *, attack: bool = True, **changes: Any) -> Path:
        folder.mkdir(exist_ok=True)
        for epoch in epochs:
            layers = dense_layers(make_network(seed=epoch))
            metadata = make_metadata(epoch=epoch, **changes)
            save_onnx(tagger_graph(layers, metadata), folder / f"epoch_{epoch:03d}_tagger.onnx")
            if attack:
                save_onnx(attack_graph(layers, metadata), folder / f"epoch_{epoch:03d}_attack.onnx")
        return folder

    return write
