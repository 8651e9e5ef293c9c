"""Jets on their way from ROOT to shards: scattered over staging files, shuffled when taken back."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from models.features import N_FEATURES
from training.reading import Jets
from training.splitting import SplitName, shard_of, shuffled_order

_RECORD: Final = np.dtype(
    [("raw", np.float32, (N_FEATURES,)), ("label", np.uint8), ("keys", np.uint64, (4,))]
)


class Staging:
    """One file for each shard to come; only the jets of one call are ever in memory.

    Args:
        folder: An empty folder of its own.
        n_shards: Shards of each split.
        seed: Of the shuffling.
    """

    def __init__(self, folder: Path, n_shards: Mapping[SplitName, int], *, seed: int) -> None:
        self._folder, self._n_shards, self._seed = folder, n_shards, seed
        folder.mkdir()

    def add(self, split: SplitName, jets: Jets) -> None:
        """Append each jet to the file of the shard it is drawn into."""
        numbers = shard_of(jets.keys, seed=self._seed, n_shards=self._n_shards[split])
        for number in np.unique(numbers):
            part = jets.keep(numbers == number)
            records = np.empty(len(part.labels), dtype=_RECORD)
            records["raw"], records["label"], records["keys"] = part
            with self._path(split, int(number)).open("ab") as file:
                records.tofile(file)

    def take(self, split: SplitName) -> Iterator[tuple[int, Jets]]:
        """Yield number and jets of each shard, shuffled, and remove its staging file."""
        for number in range(self._n_shards[split]):
            path = self._path(split, number)
            records = np.fromfile(path, dtype=_RECORD) if path.exists() else np.empty(0, dtype=_RECORD)
            path.unlink(missing_ok=True)
            jets = Jets(records["raw"], records["label"], records["keys"])
            yield number, jets.keep(shuffled_order(jets.keys, jets.pt, seed=self._seed))

    def _path(self, split: SplitName, number: int) -> Path:
        return self._folder / f"{split}_{number:05d}"
