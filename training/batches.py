"""Training jets in random batches, from memory or from a moving window of shards."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from training.attacks import frozen_cells
from training.shards import LearningJets, TrainingData


class Batch(NamedTuple):
    """Jets ready to compute with, on the device of the training.

    `scaled` is float32, shape ``(n_jets, 67)``; `labels` int64, ``(n_jets,)``; `weights` float32,
    ``(n_jets,)``; `frozen` are the cells that no perturbation moves, bool, ``(n_jets, 67)``.
    """

    scaled: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    frozen: torch.Tensor

    def pieces(self, size: int) -> "Iterator[Batch]":
        """Yield the batch in pieces of at most `size` jets."""
        for tensors in zip(*(torch.split(tensor, size) for tensor in self), strict=True):
            yield Batch(*tensors)


class StoredJets:
    """Jets in memory as compact as on disk: features in float16 or float32, labels in a byte."""

    def __init__(self, jets: LearningJets, device: torch.device) -> None:
        self._features = torch.from_numpy(jets.features).to(device)
        self._labels = torch.from_numpy(jets.labels).to(device)
        self._weights = torch.from_numpy(jets.weights).to(device)
        self._frozen = frozen_cells(torch.from_numpy(jets.mask).to(device))

    def __len__(self) -> int:
        return len(self._labels)

    def select(self, indices: torch.Tensor) -> Batch:
        """Return some jets as a batch; selecting before casting moves half the bytes."""
        return Batch(
            self._features.index_select(0, indices).float(),
            self._labels.index_select(0, indices).long(),
            self._weights.index_select(0, indices),
            self._frozen.index_select(0, indices),
        )

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield all jets in batches as they lie."""
        for indices in torch.arange(len(self), device=self._labels.device).split(batch_size):
            yield self.select(indices)

    def shuffled(self, batch_size: int) -> Iterator[Batch]:
        """Yield all jets once in random order, in batches of nearly equal size, at most `batch_size`.

        Equal, because the jets of a short last batch would count for more than others.
        """
        # Drawn on the processor, so that the order is the same on every device.
        order = torch.randperm(len(self)).to(self._labels.device)
        n_batches = -(-len(self) // batch_size)
        # A small window may hold no jet: then there is no batch, and nothing to divide by its weight.
        for indices in torch.tensor_split(order, n_batches) if n_batches else ():
            yield self.select(indices)


class ShuffledTrainingJets:
    """The training split, epoch after epoch in a new order.

    The jets were shuffled over all shards when they were written, so a window of shards in memory at once,
    drawn anew each epoch and shuffled inside, is as good as a shuffle of everything.

    Args:
        data: The prepared jets.
        window_shards: Shards in memory at once; None for all, which are then read once.
        device: Where the jets are kept.
    """

    def __init__(self, data: TrainingData, *, window_shards: int | None, device: torch.device) -> None:
        self._data, self._device = data, device
        self._n_shards = data.n_shards("train")
        self._window = min(window_shards or self._n_shards, self._n_shards)
        self._all = self._load(range(self._n_shards)) if self._window == self._n_shards else None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield every jet once; the order is drawn from torch's global generator."""
        if self._all is not None:
            yield from self._all.shuffled(batch_size)
            return
        order = torch.randperm(self._n_shards).tolist()
        for start in range(0, self._n_shards, self._window):
            yield from self._load(order[start : start + self._window]).shuffled(batch_size)

    def _load(self, shards: Sequence[int]) -> StoredJets:
        return StoredJets(self._data.learning_jets("train", shards), self._device)
