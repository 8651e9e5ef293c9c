"""Jets on their way from ROOT to shards: scattered over staging files, shuffled when taken back."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from models.features import FLAVOURS, N_FEATURES
from storage.arrays import append_records
from training.reading import Jets
from training.splitting import SPLITS, SplitName, shard_of, shuffled_order

_ARRAYS: Final = ("raw", "label", "keys", "reference", "variations")
"""What a record holds of a jet, in the order of `training.reading.Jets`."""


def _record(n_variations: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("raw", np.float32, (N_FEATURES,)),
            ("label", np.uint8),
            ("keys", np.uint64, (4,)),
            ("reference", np.float32, (len(FLAVOURS),)),
            ("variations", np.float32, (n_variations, N_FEATURES)),
        ]
    )


class Staging:
    """One file for each shard to come; only the jets of one call are ever in memory.

    Args:
        folder: A folder of its own, made if it is missing.
        n_shards: Shards of each split.
        seed: Of the shuffling.
        n_variations: Of each jet of the training split; those of jets of other splits are left out.
    """

    def __init__(
        self, folder: Path, n_shards: Mapping[SplitName, int], *, seed: int, n_variations: int = 0
    ) -> None:
        self._folder, self._n_shards, self._seed = folder, n_shards, seed
        self._records = {split: _record(n_variations if split == "train" else 0) for split in SPLITS}
        folder.mkdir(exist_ok=True)

    def add(self, split: SplitName, jets: Jets) -> None:
        """Append each jet to the file of the shard it is drawn into."""
        if split != "train":
            jets = jets._replace(variations=jets.variations[:, :0])
        numbers = shard_of(jets.keys, seed=self._seed, n_shards=self._n_shards[split])
        for number in np.unique(numbers):
            part = jets.keep(numbers == number)
            records = np.empty(len(part.labels), dtype=self._records[split])
            for name, values in zip(_ARRAYS, part, strict=True):
                records[name] = values
            append_records(self._path(split, int(number)), records)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file that is there."""
        return {path.name: path.stat().st_size for path in sorted(self._folder.iterdir())}

    def holds(self, sizes: Mapping[str, int], *, written: Mapping[SplitName, Collection[int]]) -> bool:
        """Tell whether all that was staged when `sizes` was taken is there.

        Args:
            sizes: From `sizes`.
            written: The shards that are written already, whose files were removed.
        """
        gone = {self._path(split, number).name for split, numbers in written.items() for number in numbers}
        there = self.sizes()
        return all(name in gone or there.get(name, -1) >= size for name, size in sizes.items())

    def cut_back(self, sizes: Mapping[str, int]) -> None:
        """Undo what was added since `sizes` was taken."""
        for path in self._folder.iterdir():
            if path.name not in sizes:
                path.unlink()
            elif path.stat().st_size > sizes[path.name]:
                with path.open("r+b") as file:
                    file.truncate(sizes[path.name])

    def read(self, split: SplitName, number: int) -> Jets:
        """Return the jets of a shard, shuffled."""
        path = self._path(split, number)
        record = self._records[split]
        records = np.fromfile(path, dtype=record) if path.exists() else np.empty(0, dtype=record)
        jets = Jets(*(records[name] for name in _ARRAYS))
        return jets.keep(shuffled_order(jets.keys, jets.pt, seed=self._seed))

    def remove(self, split: SplitName, number: int) -> None:
        """Remove the file of a shard that is no longer needed."""
        self._path(split, number).unlink(missing_ok=True)

    def _path(self, split: SplitName, number: int) -> Path:
        return self._folder / f"{split}_{number:05d}"
