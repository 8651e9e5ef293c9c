"""The loader of weaver-core on the same jets, for `benchmarks.training`, where it is installed.

It is no dependency of the project: `pip install weaver-core` into an environment of its own. Its most
favourable setting is measured: everything read once, kept in memory and shuffled anew each epoch, features
scaled beforehand.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import yaml
from pyarrow import parquet

from models.features import BRANCHES, FLAVOURS
from training.shards import TrainingData

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def is_installed() -> bool:
    """Return whether weaver-core can be imported."""
    return find_spec("weaver") is not None


class WeaverBatches:
    """Batches of features, labels and weights, read by weaver-core; one iteration is an epoch.

    Args:
        data: The jets; they are written as weaver reads them, parquet of float32, into the same folder.
        batch_size: Jets of a batch.
    """

    def __init__(self, data: TrainingData, *, batch_size: int) -> None:
        from weaver.utils.dataset import SimpleIterDataset

        table, card = data.folder / "jets.parquet", data.folder / "jets.yaml"
        _write_table(data, table)
        _write_card(card)
        dataset = SimpleIterDataset(
            {"jets": [str(table)]}, str(card), in_memory=True, fetch_step=1, async_load=False, name="train"
        )
        self._loader = torch.utils.data.DataLoader(dataset, batch_size=batch_size)
        self._n_batches = data.n_jets("train") // batch_size

    def __iter__(self) -> Iterator[Tensors]:
        # In memory, weaver goes on for ever.
        for inputs, labels, _ in islice(self._loader, self._n_batches):
            yield inputs["jets"], labels["_label_"], inputs["weights"]


def _write_table(data: TrainingData, path: Path) -> None:
    jets = data.learning_jets("train")
    columns = dict(zip(BRANCHES, jets.features.astype(np.float32).T, strict=True))
    flavours = {f"is_{name}": (jets.labels == i).astype(np.int8) for i, name in enumerate(FLAVOURS)}
    parquet.write_table(pa.table(columns | flavours | {"jet_weight": jets.weights}), path)


def _write_card(path: Path) -> None:
    inputs = {
        "jets": {"length": None, "vars": [[name, None] for name in BRANCHES]},
        "weights": {"length": None, "vars": [["jet_weight", None]]},
    }
    labels = {"type": "simple", "value": [f"is_{name}" for name in FLAVOURS]}
    path.write_text(yaml.safe_dump({"inputs": inputs, "labels": labels}))
