"""Training jets in random batches, from memory or from a moving window of shards."""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from models.features import IS_INTEGER, N_FEATURES
from training.shards import TrainingData
from training.splitting import SplitName
from training.workers import ALONE, Workers

_log = logging.getLogger(__name__)
_SHARE_OF_MEMORY = 0.8
"""Of a GPU's free memory, for the jets; the rest is for computing with them."""


_PACKED_INTEGERS = np.packbits(IS_INTEGER)
_VARIATION_SALT = 1
_BITS = torch.from_numpy(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).view(np.int64)[:, 0])
"""For each byte its eight bits, highest first, as the bytes 0 or 1 of one int64."""


class Partner(NamedTuple):
    """The jets of a batch as another detector sees them, each drawn from its variations.

    A jet without a variation is its own partner. `scaled` is float32, shape ``(n_jets, 67)``; `frozen_bits`
    uint8, ``(n_jets, 9)``.
    """

    scaled: torch.Tensor
    frozen_bits: torch.Tensor

    @property
    def frozen(self) -> torch.Tensor:
        """The cells that no perturbation moves, bool, shape ``(n_jets, 67)``; unpacked with each call."""
        return _unpacked(self.frozen_bits)


class Batch(NamedTuple):
    """Jets ready to compute with, on the device of the training.

    `scaled` is float32, shape ``(n_jets, 67)``; `labels` int64, ``(n_jets,)``; `weights` float32,
    ``(n_jets,)``; `frozen_bits` uint8, ``(n_jets, 9)``; `partner` is there if a method asked for it.
    """

    scaled: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    frozen_bits: torch.Tensor
    partner: Partner | None = None

    @property
    def frozen(self) -> torch.Tensor:
        """The cells that no perturbation moves, bool, shape ``(n_jets, 67)``; unpacked with each call."""
        return _unpacked(self.frozen_bits)

    def pieces(self, size: int) -> "Iterator[Batch]":
        """Yield the batch in pieces of at most `size` jets."""
        for start in range(0, len(self.labels), size):
            part = slice(start, start + size)
            scaled, labels, weights, frozen_bits = (tensor[part] for tensor in self[:4])
            partner = None if self.partner is None else Partner(*(tensor[part] for tensor in self.partner))
            yield Batch(scaled, labels, weights, frozen_bits, partner)


def joined(*batches: Batch) -> Batch:
    """Return the jets of several batches as one; it has partners if all of them have."""
    own = zip(*(batch[:4] for batch in batches), strict=True)
    scaled, labels, weights, frozen_bits = (torch.cat(tensors) for tensors in own)
    partners = [batch.partner for batch in batches if batch.partner is not None]
    partner = None
    if len(partners) == len(batches):
        partner = Partner(*(torch.cat(tensors) for tensors in zip(*partners, strict=True)))
    return Batch(scaled, labels, weights, frozen_bits, partner)


def _unpacked(bits: torch.Tensor) -> torch.Tensor:
    # Eight at once by a table: (n, 9) -> (9 n,) int64 -> (n, 72) bool -> (n, 67).
    words = _BITS.to(bits.device).index_select(0, bits.flatten().int())
    return words.view(torch.bool).view(len(bits), 8 * len(_PACKED_INTEGERS))[:, :N_FEATURES]


class _StoredVariations:
    """The variations of training jets in memory, flattened: row ``jet * n_variations + variation``."""

    def __init__(self, data: TrainingData, shards: Sequence[int], *, device: torch.device) -> None:
        self._number = data.n_variations
        n_jets = sum(data.manifest.splits["train"].shards[shard].n_jets for shard in shards)
        shape = n_jets, self._number
        stored = torch.float16 if data.manifest.config.feature_type == "float16" else torch.float32
        features = torch.empty((*shape, N_FEATURES), dtype=stored, device=device)
        frozen_bits = torch.empty((*shape, len(_PACKED_INTEGERS)), dtype=torch.uint8, device=device)
        start = 0
        for shard in shards:
            found = data.variations(shard)
            part = slice(start, start + len(found.features))
            features[part] = torch.from_numpy(found.features)
            frozen_bits[part] = torch.from_numpy(found.mask | _PACKED_INTEGERS)
            start = part.stop
        self._features, self._frozen_bits = features.flatten(0, 1), frozen_bits.flatten(0, 1)

    def select(self, jets: torch.Tensor, variations: torch.Tensor) -> Partner:
        rows = jets * self._number + variations.to(jets.device)
        return Partner(self._features.index_select(0, rows).float(), self._frozen_bits.index_select(0, rows))


class StoredJets:
    """Jets of some shards in memory, as compact as on disk: 148 bytes a jet with features in float16.

    Each variation of a jet takes 143 bytes more. Read shard by shard into place, so the memory needed beside
    is that of one shard.

    Args:
        data: The prepared jets.
        split: Which split of them.
        shards: Numbers of the shards; None for all.
        device: Where the jets are kept.
        with_partners: Load the jets' variations, too.

    Raises:
        ValueError: If a file is broken, or there are no variations but they are wanted.
    """

    def __init__(
        self,
        data: TrainingData,
        split: SplitName,
        shards: Sequence[int] | None = None,
        *,
        device: torch.device,
        with_partners: bool = False,
    ) -> None:
        numbers = range(data.n_shards(split)) if shards is None else shards
        n_jets = sum(data.manifest.splits[split].shards[number].n_jets for number in numbers)
        stored = torch.float16 if data.manifest.config.feature_type == "float16" else torch.float32
        self._features = torch.empty((n_jets, N_FEATURES), dtype=stored, device=device)
        self._labels = torch.empty(n_jets, dtype=torch.uint8, device=device)
        self._weights = torch.empty(n_jets, dtype=torch.float32, device=device)
        self._frozen_bits = torch.empty((n_jets, len(_PACKED_INTEGERS)), dtype=torch.uint8, device=device)
        start = 0
        for number in numbers:
            jets = data.learning_jets(split, [number])
            part = slice(start, start + len(jets.labels))
            self._features[part] = torch.from_numpy(jets.features)
            self._labels[part] = torch.from_numpy(jets.labels)
            self._weights[part] = torch.from_numpy(jets.weights)
            self._frozen_bits[part] = torch.from_numpy(np.packbits(jets.mask, axis=1) | _PACKED_INTEGERS)
            start = part.stop
        self._variations = _StoredVariations(data, numbers, device=device) if with_partners else None

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def device(self) -> torch.device:
        """Where the jets are."""
        return self._labels.device

    def select(self, indices: torch.Tensor, variations: torch.Tensor | None = None) -> Batch:
        """Return some jets as a batch; selecting before casting moves half the bytes.

        Args:
            indices: Which jets, shape ``(n_jets,)``.
            variations: Which variation of each is its partner, same shape; None for no partners.
        """
        indices = indices.to(self._labels.device)
        partner = None
        if variations is not None and self._variations is not None:
            partner = self._variations.select(indices, variations)
        return Batch(
            self._features.index_select(0, indices).float(),
            self._labels.index_select(0, indices).long(),
            self._weights.index_select(0, indices),
            self._frozen_bits.index_select(0, indices),
            partner,
        )

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield all jets in batches as they lie."""
        for indices in torch.arange(len(self)).split(batch_size) if len(self) else ():
            yield self.select(indices)


def seed_of(*numbers: int) -> int:
    """Return a seed of 64 bits that is a function of these numbers alone, none negative.

    So the state of a training's random numbers is its position: nothing needs to be stored.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


class ShuffledTrainingJets:
    """The training split, epoch after epoch in a new order.

    The jets were shuffled over all shards when they were written, so a window of shards in memory at once,
    drawn anew each epoch and shuffled inside, is as good as a shuffle of everything.

    Args:
        data: The prepared jets.
        batch_size: Jets of a batch, of all processes together; batches are of nearly equal size, at most
            this, because the jets of a short last batch would count for more than others.
        window_shards: Shards in memory at once; None for all, or on a GPU for as many as fit. All are read
            once.
        seed: Of the order.
        device: Where the jets are kept.
        workers: Which share of each batch is wanted.
        with_partners: Give each jet one of its variations, drawn anew in each batch.

    Raises:
        ValueError: If there are no variations but they are wanted.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        batch_size: int,
        window_shards: int | None = None,
        seed: int = 1,
        device: torch.device,
        workers: Workers = ALONE,
        with_partners: bool = False,
    ) -> None:
        self._data, self._batch_size, self._seed = data, batch_size, seed
        self._device, self._workers = device, workers
        if with_partners:
            data.require_variations()
        self._n_variations = data.n_variations if with_partners else 0
        self._sizes = [shard.n_jets for shard in data.manifest.splits["train"].shards]
        self._window = min(window_shards or self._fitting_shards(), len(self._sizes))
        self._all = self._load(range(len(self._sizes))) if self._window == len(self._sizes) else None

    def n_batches(self, epoch: int) -> int:
        """Return the number of batches of an epoch; with windows it may differ from epoch to epoch."""
        return sum(self._batches_in(window) for window in self._windows(epoch))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's share of the batches of an epoch, without the first `start` of them.

        All batches of an epoch hold every jet once, in an order that is a function of seed and epoch.
        """
        for number, window in enumerate(self._windows(epoch)):
            n_batches = self._batches_in(window)
            if start < n_batches:
                jets = self._load(window) if self._all is None else self._all
                generator = torch.Generator(self._device).manual_seed(seed_of(self._seed, epoch, number))
                # On the device itself: a GPU shuffles a billion jets in the time of a few batches.
                order = torch.randperm(len(jets), generator=generator, device=self._device)
                for batch, indices in enumerate(torch.tensor_split(order, n_batches)[start:], start):
                    variations = self._drawn_variations(len(indices), epoch, number, batch)
                    share = self._workers.share
                    yield jets.select(share(indices), None if variations is None else share(variations))
            start = max(0, start - n_batches)

    def _drawn_variations(self, n_jets: int, *position: int) -> torch.Tensor | None:
        """Return a variation for each jet of a whole batch, a function of the seed and its position."""
        if not self._n_variations:
            return None
        seed = seed_of(self._seed, *position, _VARIATION_SALT)
        generator = torch.Generator(self._device).manual_seed(seed)
        return torch.randint(self._n_variations, (n_jets,), generator=generator, device=self._device)

    def _windows(self, epoch: int) -> list[list[int]]:
        if self._all is not None:
            return [list(range(len(self._sizes)))]
        order = np.random.default_rng(seed_of(self._seed, epoch)).permutation(len(self._sizes)).tolist()
        return [order[start : start + self._window] for start in range(0, len(order), self._window)]

    def _batches_in(self, window: Sequence[int]) -> int:
        # A small window may hold no jet: then there is no batch, and nothing to divide by its weight.
        return -(-sum(self._sizes[number] for number in window) // self._batch_size)

    def _load(self, shards: Sequence[int]) -> StoredJets:
        return StoredJets(
            self._data, "train", shards, device=self._device, with_partners=self._n_variations > 0
        )

    def _fitting_shards(self) -> int:
        """Return how many shards fit into a GPU's free memory, at least 1; on a processor all of them."""
        n_shards = len(self._sizes)
        if self._device.type != "cuda":
            return n_shards
        is_half = self._data.manifest.config.feature_type == "float16"
        bytes_per_view = N_FEATURES * (2 if is_half else 4) + len(_PACKED_INTEGERS)
        bytes_per_jet = bytes_per_view * (1 + self._n_variations) + 5
        free, _ = torch.cuda.mem_get_info(self._device)
        share = _SHARE_OF_MEMORY * free / (bytes_per_jet * sum(self._sizes))
        if share < 1:
            _log.info("the jets fit into the GPU's memory %.0f%% at a time: moving windows", 100 * share)
        return max(1, min(n_shards, int(share * n_shards)))
