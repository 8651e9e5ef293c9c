"""Shards of jets: plain `.npy` arrays, written once, read in blocks.

Arrays of a shard: `features` scaled, float16 or float32 ``(n, 67)``; `labels` uint8 ``(n,)``; `weights`
float32 ``(n,)``; `mask` uint8 ``(n, 9)``, the default mask with eight cells a byte; `keys` uint64 ``(n, 4)``;
and for the test split `raw` float32 ``(n, 67)``, the features in physical units, and where the files had them
`reference` float32 ``(n, 4)``, the reference tagger's probabilities of b, bb, c and udsg. For the training
split, if it was prepared with variations, `variation_features` ``(n, n_variations, 67)``, scaled and stored
like `features`, and `variation_mask` uint8 ``(n, n_variations, 9)``; a jet that a variation does not hold is
there as it is.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, FLAVOURS, N_FEATURES
from models.scaler import FeatureScaler
from storage.arrays import read_array, write_array
from storage.documents import read_json
from storage.files import sha256
from training.manifest import MANIFEST_NAME, SCALER_NAME, Manifest, ShardEntry, read_manifest
from training.splitting import SplitName


class LearningJets(NamedTuple):
    """What a training step needs; see the module for shapes. `mask` is unpacked, bool ``(n, 67)``."""

    features: NDArray[np.float16] | NDArray[np.float32]
    labels: NDArray[np.uint8]
    weights: NDArray[np.float32]
    mask: NDArray[np.bool_]


class Variations(NamedTuple):
    """Training jets as other detectors see them; see the module for shapes. `mask` is packed."""

    features: NDArray[np.float16] | NDArray[np.float32]
    mask: NDArray[np.uint8]


class EvaluationJets(NamedTuple):
    """What an evaluation needs; see the module for shapes. `reference` is None where the files had none."""

    raw: NDArray[np.float32]
    labels: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    reference: NDArray[np.float32] | None


def write_shard(
    folder: Path, split: SplitName, number: int, arrays: dict[str, NDArray[Any]], *, clipped_values: int = 0
) -> ShardEntry:
    """Write the arrays of one shard below `folder` and return its entry of the manifest."""
    hashes = {}
    for name, array in arrays.items():
        path = _array_path(folder, split, name, number)
        path.parent.mkdir(exist_ok=True)
        write_array(path, array)
        hashes[name] = sha256(path)
    n_by_flavour = np.bincount(arrays["labels"], minlength=len(FLAVOURS)).tolist()
    return ShardEntry(
        number=number,
        n_jets=len(arrays["labels"]),
        n_by_flavour=tuple(n_by_flavour),
        clipped_values=clipped_values,
        sha256=hashes,
    )


def fingerprint_of(scaler: FeatureScaler, shards: Iterable[ShardEntry]) -> str:
    """Return the SHA-256 over a scaler and the hashes of all arrays, hexadecimal."""
    digest = hashlib.sha256(json.dumps(scaler.to_dict()).encode())
    for shard in shards:
        digest.update(json.dumps(shard.sha256, sort_keys=True).encode())
    return digest.hexdigest()


class TrainingData:
    """A folder made by `training.prepare.prepare`.

    Raises:
        FileNotFoundError: If the folder holds no manifest.
        ValueError: If it was made for other features or by another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        if self.manifest.feature_names != BRANCHES:
            raise ValueError(
                f"{self.folder}: made for other features than this version's: run 'advtag prepare' again"
            )

    def scaler(self) -> FeatureScaler:
        """Return the scaler of the features, from the training split.

        Raises:
            ValueError: If its file is missing or broken.
        """
        path = self.folder / SCALER_NAME
        try:
            return FeatureScaler.from_dict(read_json(path))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read: run 'advtag prepare' again") from error

    def is_intact(self) -> bool:
        """Tell whether every file is there and as it was written; reads them all."""
        try:
            self.require_intact(*self.manifest.splits)
        except (OSError, ValueError):
            return False
        return True

    def require_intact(self, *splits: SplitName) -> None:
        """Check that the files of some splits, and the scaler, are as they were written; reads them all.

        Raises:
            ValueError: If one is missing or damaged; the sentence names it.
        """
        shards = [shard for entry in self.manifest.splits.values() for shard in entry.shards]
        if fingerprint_of(self.scaler(), shards) != self.manifest.fingerprint:
            raise ValueError(
                f"{self.folder}: {SCALER_NAME} is not that of {MANIFEST_NAME}: run 'advtag prepare' again"
            )
        for split in splits:
            for shard in self.manifest.splits[split].shards:
                for name, expected in shard.sha256.items():
                    self._require_same(_array_path(self.folder, split, name, shard.number), expected)

    def _require_same(self, path: Path, expected: str) -> None:
        try:
            found = sha256(path)
        except OSError as error:
            raise ValueError(
                f"{path}: cannot be read ({error.strerror}): run 'advtag prepare' again"
            ) from error
        if found != expected:
            raise ValueError(f"{path}: damaged since it was written: run 'advtag prepare' again")

    def n_shards(self, split: SplitName) -> int:
        """Return the number of shards of a split."""
        return len(self.manifest.splits[split].shards)

    def n_jets(self, split: SplitName) -> int:
        """Return the number of jets of a split."""
        return self.manifest.splits[split].n_jets

    def learning_jets(self, split: SplitName, shards: Sequence[int] | None = None) -> LearningJets:
        """Return the jets of some shards, all by default, one after the other.

        Raises:
            ValueError: If a file is missing or broken, or a weight is no finite number.
        """
        numbers = range(self.n_shards(split)) if shards is None else shards
        features, labels, weights, packed = (
            np.concatenate([self._load(split, name, number) for number in numbers])
            for name in ("features", "labels", "weights", "mask")
        )
        if not np.isfinite(weights).all():
            raise ValueError(f"{self.folder}: {split} holds weights that are not finite: prepare it again")
        mask = np.unpackbits(packed, axis=1, count=N_FEATURES).astype(np.bool_)
        return LearningJets(features, labels, weights, mask)

    @property
    def n_variations(self) -> int:
        """Number of variations of each training jet; 0 without any."""
        return self.manifest.variations.n_variations if self.manifest.variations else 0

    def require_variations(self) -> None:
        """Check that the training jets have variations.

        Raises:
            ValueError: If they have none.
        """
        if not self.n_variations:
            raise ValueError(
                f"{self.folder}: holds no jets as other detectors see them: prepare again with 'variations'"
            )

    def variations(self, shard: int) -> Variations:
        """Return the variations of the training jets of a shard.

        Raises:
            ValueError: If there are none, or a file is missing or broken.
        """
        self.require_variations()
        features, mask = (
            self._load("train", name, shard) for name in ("variation_features", "variation_mask")
        )
        expected = len(features), self.n_variations
        if features.shape[:2] != expected or mask.shape[:2] != expected:
            raise ValueError(
                f"{self.folder}: shard {shard} holds {features.shape[1]} variations, not {expected[1]}: "
                "run 'advtag prepare' again"
            )
        return Variations(features, mask)

    def evaluation_jets(self) -> Iterator[EvaluationJets]:
        """Yield the jets of the test split, shard by shard, mapped from the files and not read yet.

        Raises:
            ValueError: If a file is missing or broken.
        """
        for number in range(self.n_shards("test")):
            names = ("raw", "labels", "keys", *(["reference"] if self.manifest.reference else []))
            raw, labels, keys, *rest = (self._load("test", name, number, mapped=True) for name in names)
            reference = rest[0] if rest else None
            yield EvaluationJets(raw, labels, keys, reference)

    def _load(self, split: SplitName, name: str, number: int, *, mapped: bool = False) -> NDArray[Any]:
        path = _array_path(self.folder, split, name, number)
        array = read_array(path, remedy="run 'advtag prepare' again", mapped=mapped)
        n_jets = self.manifest.splits[split].shards[number].n_jets
        if len(array) != n_jets:
            raise ValueError(f"{path}: holds {len(array)} jets, not {n_jets}: run 'advtag prepare' again")
        return array


def _array_path(folder: Path, split: SplitName, name: str, number: int) -> Path:
    return folder / split / f"{name}_{number:05d}.npy"
