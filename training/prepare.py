"""ROOT files -> cleaned, weighted, scaled and shuffled jets on disk.

Two passes, in memory that does not grow with the number of jets. The first reads the ROOT files, cleans the
jets, scatters them over staging files and gathers the statistics of the training split; the second shuffles
and scales one staging file after the other and writes it as a shard. The result depends on the jets alone,
not on chunks or on how files group them.
"""

import itertools
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, FLAVOURS
from models.scaler import FeatureScaler, ScalerStatistics
from storage.files import replaced_folder, write_text
from training.config import PrepareConfig
from training.manifest import (
    MANIFEST_NAME,
    SCALER_NAME,
    InputEntry,
    Manifest,
    ReweightingEntry,
    ShardEntry,
    SplitEntry,
)
from training.reading import InputFile, Jets, clean_jets, find_inputs, inspect_file, read_jets
from training.reweighting import count_jets, effective_jets, weight_table, weights_of
from training.shards import TrainingData, fingerprint_of, write_shard
from training.splitting import SPLITS, SplitName, split_of
from training.staging import Staging

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)


class Survey(NamedTuple):
    """What the first pass learns: from the training split, and which jets were dropped."""

    statistics: ScalerStatistics
    counts: NDArray[np.int64]
    dropped: Counter[str]


def prepare(config: PrepareConfig, *, progress: Progress | None = None) -> Path:
    """Make training data and return the path of their manifest.

    Data that are already there, undamaged and made from the same files by the same configuration, are left as
    they are; others are replaced once the new ones are complete.

    Args:
        config: The run card.
        progress: Called with the work done and the total, in events; each counts once per pass.

    Raises:
        FileNotFoundError: If an input matches no file.
        ValueError: If a file is broken or lacks branches, no jet is left to train on, or `output` is a folder
            that holds something else.
    """
    files = [inspect_file(path) for path in find_inputs(config.inputs)]
    if _is_already_prepared(config, files):
        _log.info("%s is up to date", config.output)
        return config.output / MANIFEST_NAME
    n_events = sum(file.n_events for file in files)
    n_shards = _plan_shards(config, sum(file.n_jets for file in files))

    def report(done: float) -> None:
        if progress:
            progress(round(done), 2 * n_events)

    with replaced_folder(config.output) as folder:
        staging = Staging(folder / "staging", n_shards, seed=config.seed)
        survey = _scatter(config, files, staging, report)
        scaler = survey.statistics.finish()
        write_text(folder / SCALER_NAME, json.dumps(scaler.to_dict()))
        table = weight_table(
            survey.counts,
            method=config.reweighting,
            balance_flavours=config.balance_flavours,
            cap=config.weight_cap,
        )
        writer = _ShardWriter(folder, scaler, table, np.dtype(config.feature_type))
        for split in SPLITS:
            for number, jets in staging.take(split):
                writer.write(split, number, jets)
                report(n_events * (1 + writer.n_written / sum(n_shards.values())))
        (folder / "staging").rmdir()
        manifest = _manifest(config, files, survey, writer)
        write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1))
    return config.output / MANIFEST_NAME


def _is_already_prepared(config: PrepareConfig, files: Sequence[InputFile]) -> bool:
    """Tell whether the output is what would be made now.

    Raises:
        ValueError: If the output exists but is no training data.
    """
    output = config.output
    if not output.exists():
        return False
    if not output.is_dir() or (any(output.iterdir()) and not (output / MANIFEST_NAME).exists()):
        raise ValueError(f"{output}: exists and is no training data: choose another 'output'")
    try:
        data = TrainingData(output)
    except (FileNotFoundError, ValueError):
        return False
    found = data.manifest
    same_files = [entry.fingerprint for entry in found.inputs] == [file.fingerprint for file in files]
    return same_files and found.config == config and data.is_intact()


def _plan_shards(config: PrepareConfig, n_jets: int) -> dict[SplitName, int]:
    fractions = config.train_fraction, config.validation_fraction
    shares = (*fractions, 1.0 - sum(fractions))
    return {
        split: max(1, round(n_jets * share / config.shard_jets))
        for split, share in zip(SPLITS, shares, strict=True)
    }


def _scatter(
    config: PrepareConfig, files: Sequence[InputFile], staging: Staging, report: Callable[[float], None]
) -> Survey:
    """Pass one: read and clean the jets, stage them by split, and survey those to train on.

    Raises:
        ValueError: If none is left to train on.
    """
    counts = np.zeros((len(FLAVOURS), config.pt_bins, config.eta_bins), dtype=np.int64)
    survey = Survey(ScalerStatistics(), counts, Counter())
    n_done = 0
    for file in files:
        for n_events, all_jets in read_jets(file.path, chunk_events=config.chunk_events):
            jets, dropped = clean_jets(all_jets)
            survey.dropped.update(dropped)
            splits = split_of(
                jets.keys,
                seed=config.seed,
                train=config.train_fraction,
                validation=config.validation_fraction,
            )
            for number, split in enumerate(SPLITS):
                part = jets.keep(splits == number)
                staging.add(split, part)
                if split == "train":
                    _learn(part, survey)
            n_done += n_events
            report(n_done)
    if not survey.counts.any():
        names = ", ".join(file.path for file in files)
        raise ValueError(f"{names}: no jet left to train on; dropped were {dict(survey.dropped)}: add files")
    return survey


def _learn(jets: Jets, survey: Survey) -> None:
    survey.statistics.update(jets.raw)
    _, pt_bins, eta_bins = survey.counts.shape
    survey.counts[...] += count_jets(jets.pt, jets.eta, jets.labels, pt_bins=pt_bins, eta_bins=eta_bins)


class _ShardWriter:
    """Pass two: scale and weigh jets, write them, and keep count."""

    def __init__(
        self,
        folder: Path,
        scaler: FeatureScaler,
        table: NDArray[np.float64],
        feature_type: np.dtype[np.floating],
    ) -> None:
        self.scaler, self.table = scaler, table
        self.shards: dict[SplitName, list[ShardEntry]] = {split: [] for split in SPLITS}
        self.n_by_flavour = {split: np.zeros(len(FLAVOURS), dtype=np.int64) for split in SPLITS}
        self.n_clipped = 0
        self._folder, self._feature_type = folder, feature_type

    @property
    def n_written(self) -> int:
        """Number of shards written."""
        return sum(map(len, self.shards.values()))

    def write(self, split: SplitName, number: int, jets: Jets) -> None:
        """Write one shard."""
        scaled, mask = self.scaler.scale(jets.raw)
        # Of n numbers none lies further than sqrt(n - 1) standard deviations from their mean, so clipping to
        # what float16 holds touches no training jet below four thousand million of them, only wild values of
        # other splits.
        limit = np.finfo(self._feature_type).max
        self.n_clipped += int((np.abs(scaled) > limit).sum())
        arrays: dict[str, NDArray[np.generic]] = {
            "features": np.clip(scaled, -limit, limit).astype(self._feature_type),
            "labels": jets.labels,
            "weights": weights_of(self.table, jets.pt, jets.eta, jets.labels),
            "mask": np.packbits(mask, axis=1),
            "keys": jets.keys,
        }
        if split == "test":
            arrays["raw"] = jets.raw
        self.shards[split].append(write_shard(self._folder, split, number, arrays))
        self.n_by_flavour[split] += np.bincount(jets.labels, minlength=len(FLAVOURS))


def _manifest(
    config: PrepareConfig, files: Sequence[InputFile], survey: Survey, writer: _ShardWriter
) -> Manifest:
    if writer.n_clipped:
        _log.warning(
            "%d scaled values did not fit into %s and were clipped", writer.n_clipped, config.feature_type
        )
    splits = {
        split: SplitEntry(
            n_jets=int(writer.n_by_flavour[split].sum()),
            n_by_flavour=dict(zip(FLAVOURS, writer.n_by_flavour[split].tolist(), strict=True)),
            shards=tuple(writer.shards[split]),
        )
        for split in SPLITS
    }
    return Manifest(
        fingerprint=fingerprint_of(writer.scaler, itertools.chain(*writer.shards.values())),
        feature_names=BRANCHES,
        splits=splits,
        inputs=tuple(InputEntry(**file._asdict()) for file in files),
        dropped_jets=dict(survey.dropped),
        clipped_values=writer.n_clipped,
        reweighting=_reweighting_entries(writer.table, survey.counts),
        config=config,
        versions={package: version(package) for package in ("numpy", "uproot", "awkward")},
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
