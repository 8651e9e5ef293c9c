"""Taggers of the real size with random weights: speed does not depend on what they learned."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import uproot

from models.features import BRANCHES, JET_FIELDS, N_FEATURES, feature_matrix
from models.metadata import TaggerMetadata
from models.onnx_graphs import attack_graph, tagger_graph
from models.scaler import FeatureScaler, ScalerStatistics
from models.tagger import Tagger

WIDTHS = (N_FEATURES, 100, 100, 100, 100, 100, 4)
"""Source: thesis, the DeepCSV-like network."""


def scaler_of(path: Path) -> FeatureScaler:
    """Return the scaling that fits the jets of a file."""
    with uproot.open(path) as file:
        columns = file["Events"].arrays(BRANCHES, library="np")
    statistics = ScalerStatistics()
    flat = {
        field: np.concatenate(columns[branch]) for field, branch in zip(JET_FIELDS, BRANCHES, strict=True)
    }
    statistics.update(feature_matrix(flat))
    return statistics.finish()


def made_tagger(name: str, epoch: int, scaler: FeatureScaler) -> Tagger:
    """Return a tagger with its attack."""
    rng = np.random.default_rng(epoch)
    layers = [
        (
            (rng.normal(size=(n_out, n_in)) * np.sqrt(2 / n_in)).astype(np.float32),
            np.zeros(n_out, np.float32),
        )
        for n_in, n_out in pairwise(WIDTHS)
    ]
    metadata = TaggerMetadata(
        name=name,
        epoch=epoch,
        method="basic",
        gamma=25.0,
        loss_input="softmax",
        scaler=scaler,
        data_fingerprint="made",
    )
    return Tagger(
        metadata,
        tagger_graph(layers, metadata).SerializeToString(),
        attack_graph(layers, metadata).SerializeToString(),
    )
