"""ROOT files -> cleaned, weighted, scaled and shuffled jets on disk.

Two passes, in memory that does not grow with the number of jets. The first reads the ROOT files, cleans the jets,
scatters them over staging files and gathers the statistics of the training split; the second shuffles and scales one
staging file after the other and writes it as a shard. The result depends on the jets alone, not on chunks or files.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, FLAVOURS, N_FEATURES
from models.scaler import FeatureScaler, ScalerStatistics
from training.config import PrepareConfig
from training.manifest import (
    MANIFEST_NAME,
    SCALER_NAME,
    InputEntry,
    Manifest,
    ReweightingEntry,
    ShardEntry,
    SplitEntry,
    read_manifest,
)
from training.outputs import replaced_folder, write_text
from training.reading import InputFile, Jets, clean_jets, find_inputs, inspect_file, read_jets
from training.reweighting import count_jets, effective_jets, weight_table, weights_of
from training.shards import write_shard
from training.splitting import SPLITS, SplitName, shard_of, shuffled_order, split_of

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)
_STAGED: Final = np.dtype(
    [("raw", np.float32, (N_FEATURES,)), ("label", np.uint8), ("keys", np.uint64, (4,))]
)


class Survey(NamedTuple):
    """What the first pass learned."""

    statistics: ScalerStatistics
    counts: NDArray[np.int64]
    dropped: Counter[str]
    n_shards: dict[SplitName, int]


def prepare(config: PrepareConfig, *, progress: Progress | None = None) -> Path:
    """Make training data and return the path of their manifest.

    Data that are already there and were made from the same files by the same configuration are left as they are;
    others are replaced once the new ones are complete.

    Args:
        config: The run card.
        progress: Called with the events done, counted once per pass, and their total.

    Raises:
        FileNotFoundError: If an input matches no file.
        ValueError: If a file is broken or lacks branches, no jet is left to train on, or `output` is a folder that
            holds something else.
    """
    files = [inspect_file(path) for path in find_inputs(config.inputs)]
    manifest_path = config.output / MANIFEST_NAME
    if _is_already_prepared(config, files):
        _log.info("%s is up to date", config.output)
        return manifest_path
    report = progress or _silent
    with replaced_folder(config.output) as folder:
        staging = folder / "staging"
        staging.mkdir()
        survey = _scatter(config, files, staging, report)
        _write(config, files, survey, folder, report)
        staging.rmdir()
    return manifest_path


def _silent(done: int, total: int) -> None:
    del done, total


def _is_already_prepared(config: PrepareConfig, files: Sequence[InputFile]) -> bool:
    """Tell whether the output is what would be made now.

    Raises:
        ValueError: If the output exists but is no training data.
    """
    if not config.output.exists():
        return False
    if not config.output.is_dir() or (
        any(config.output.iterdir()) and not (config.output / MANIFEST_NAME).exists()
    ):
        raise ValueError(f"{config.output}: exists and is no training data: choose another 'output'")
    try:
        found = read_manifest(config.output)
    except (FileNotFoundError, ValueError):
        return False
    same_files = [entry.fingerprint for entry in found.inputs] == [file.fingerprint for file in files]
    return same_files and found.config == config and found.feature_names == BRANCHES


def _scatter(config: PrepareConfig, files: Sequence[InputFile], staging: Path, report: Progress) -> Survey:
    """Pass one: read, clean, and lay every jet into the staging file of its split and shard."""
    fractions = (config.train_fraction, config.validation_fraction)
    n_jets = sum(file.n_jets for file in files)
    shares = dict(zip(SPLITS, (*fractions, 1.0 - sum(fractions)), strict=True))
    n_shards = {split: max(1, round(n_jets * share / config.shard_jets)) for split, share in shares.items()}
    counts = np.zeros((len(FLAVOURS), config.pt_bins, config.eta_bins), dtype=np.int64)
    survey = Survey(ScalerStatistics(), counts, Counter(), n_shards)
    n_events, done = sum(file.n_events for file in files), 0
    for file in files:
        for n_read, jets in read_jets(file.path, chunk_events=config.chunk_events):
            kept, dropped = clean_jets(jets)
            survey.dropped.update(dropped)
            numbers = split_of(kept.keys, seed=config.seed, train=fractions[0], validation=fractions[1])
            for number, split in enumerate(SPLITS):
                part = kept.keep(numbers == number)
                _stage(part, split, n_shards[split], staging, seed=config.seed)
                if split == "train":
                    _learn(part, survey)
            done += n_read
            report(done, 2 * n_events)
    if not survey.counts.any():
        raise ValueError(
            f"no jet to train on in {', '.join(file.path for file in files)}: of {n_jets} jets the cuts removed "
            f"{dict(survey.dropped)}: add files"
        )
    return survey


def _learn(jets: Jets, survey: Survey) -> None:
    survey.statistics.update(jets.raw)
    _, pt_bins, eta_bins = survey.counts.shape
    survey.counts[...] += count_jets(jets.pt, jets.eta, jets.labels, pt_bins=pt_bins, eta_bins=eta_bins)


def _stage(jets: Jets, split: SplitName, n_shards: int, staging: Path, *, seed: int) -> None:
    numbers = shard_of(jets.keys, seed=seed, n_shards=n_shards)
    for number in np.unique(numbers):
        part = jets.keep(numbers == number)
        records = np.empty(len(part.labels), dtype=_STAGED)
        records["raw"], records["label"], records["keys"] = part
        with _staging_file(staging, split, int(number)).open("ab") as file:
            records.tofile(file)


def _unstage(path: Path, *, seed: int) -> Jets:
    """Return the jets of a staging file in their final order, and remove the file."""
    records = np.fromfile(path, dtype=_STAGED) if path.exists() else np.empty(0, dtype=_STAGED)
    path.unlink(missing_ok=True)
    jets = Jets(records["raw"], records["label"], records["keys"])
    return jets.keep(shuffled_order(jets.keys, jets.pt, seed=seed))


def _staging_file(staging: Path, split: SplitName, number: int) -> Path:
    return staging / f"{split}_{number:05d}"


def _write(
    config: PrepareConfig, files: Sequence[InputFile], survey: Survey, folder: Path, report: Progress
) -> None:
    """Pass two: shuffle, scale, weigh, and write shards, scaler and manifest."""
    scaler = survey.statistics.finish()
    write_text(folder / SCALER_NAME, json.dumps(scaler.to_dict()))
    table = weight_table(
        survey.counts,
        method=config.reweighting,
        balance_flavours=config.balance_flavours,
        cap=config.weight_cap,
    )
    entries: dict[SplitName, SplitEntry] = {}
    n_clipped = n_done = 0
    n_events = sum(file.n_events for file in files)
    for split in SPLITS:
        shards, n_by_flavour = [], np.zeros(len(FLAVOURS), dtype=np.int64)
        for number in range(survey.n_shards[split]):
            jets = _unstage(_staging_file(folder / "staging", split, number), seed=config.seed)
            arrays, clipped = _arrays_of(jets, scaler, table, np.dtype(config.feature_type))
            if split == "test":
                arrays["raw"] = jets.raw
            shards.append(write_shard(folder, split, number, arrays))
            n_by_flavour += np.bincount(jets.labels, minlength=len(FLAVOURS))
            n_clipped += clipped
            n_done += 1
            report(n_events + n_events * n_done // sum(survey.n_shards.values()), 2 * n_events)
        entries[split] = _split_entry(shards, n_by_flavour)
    if n_clipped:
        _log.warning("%d scaled values did not fit into %s and were clipped", n_clipped, config.feature_type)
    manifest = Manifest(
        fingerprint=_fingerprint(entries, scaler),
        feature_names=BRANCHES,
        splits=entries,
        inputs=tuple(InputEntry(**file._asdict()) for file in files),
        dropped_jets=dict(survey.dropped),
        clipped_values=n_clipped,
        reweighting=_reweighting_entries(table, survey.counts),
        config=config,
        versions={package: version(package) for package in ("numpy", "uproot", "awkward")},
    )
    write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1))


def _arrays_of(
    jets: Jets, scaler: FeatureScaler, table: NDArray[np.float64], feature_type: np.dtype[np.floating]
) -> tuple[dict[str, NDArray[np.generic]], int]:
    """Return the arrays of a shard, and how many scaled values had to be clipped.

    Of n numbers none lies further than sqrt(n - 1) standard deviations from their mean, so in the training split
    nothing is clipped below four thousand million jets; it takes a wild value in another split.
    """
    scaled, mask = scaler.scale(jets.raw)
    limit = float(np.finfo(feature_type).max)
    n_clipped = int((np.abs(scaled) > limit).sum())
    arrays: dict[str, NDArray[np.generic]] = {
        "features": np.clip(scaled, -limit, limit).astype(feature_type),
        "labels": jets.labels,
        "weights": weights_of(table, jets.pt, jets.eta, jets.labels),
        "mask": np.packbits(mask, axis=1),
        "keys": jets.keys,
    }
    return arrays, n_clipped


def _split_entry(shards: list[ShardEntry], n_by_flavour: NDArray[np.int64]) -> SplitEntry:
    return SplitEntry(
        n_jets=int(n_by_flavour.sum()),
        n_by_flavour=dict(zip(FLAVOURS, n_by_flavour.tolist(), strict=True)),
        shards=tuple(shards),
    )


def _reweighting_entries(
    table: NDArray[np.float64], counts: NDArray[np.int64]
) -> dict[str, ReweightingEntry]:
    weighted = (table * counts).sum(axis=(1, 2))
    largest = np.where(counts > 0, table, 0.0).max(axis=(1, 2))
    effective = effective_jets(table, counts)
    for flavour, n_effective, n_jets in zip(FLAVOURS, effective, counts.sum(axis=(1, 2)), strict=True):
        if n_jets == 0:
            _log.warning("no %s jet to train on: the tagger will not know this flavour", flavour)
        elif n_effective < 0.02 * n_jets:
            _log.warning("few %s jets carry most of their weight: use fewer bins or weight_cap", flavour)
    return {
        flavour: ReweightingEntry(
            share_of_weight=float(weighted[index] / weighted.sum()),
            effective_jets=float(effective[index]),
            largest_weight=float(largest[index]),
        )
        for index, flavour in enumerate(FLAVOURS)
    }


def _fingerprint(entries: dict[SplitName, SplitEntry], scaler: FeatureScaler) -> str:
    digest = hashlib.sha256(json.dumps(scaler.to_dict()).encode())
    for split in SPLITS:
        for shard in entries[split].shards:
            digest.update(json.dumps(shard.sha256, sort_keys=True).encode())
    return digest.hexdigest()
