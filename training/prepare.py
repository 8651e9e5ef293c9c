"""ROOT files -> cleaned, weighted, scaled and shuffled jets on disk.

Two passes, in memory that does not grow with the number of jets. The first reads the ROOT files, cleans the
jets, scatters them over staging files and gathers the statistics of the training split; the second shuffles
and scales one staging file after the other and writes it as a shard. The result depends on the jets alone,
not on chunks or on how files group them. A preparation that was interrupted goes on after the last file read
or shard written.
"""

import itertools
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, FLAVOURS
from models.scaler import FeatureScaler
from storage.files import continued_folder, write_text
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
from training.reading import (
    REFERENCE_BRANCHES,
    InputFile,
    Jets,
    clean_jets,
    find_inputs,
    inspect_file,
    read_jets,
)
from training.resuming import Journal, Survey, open_journal
from training.reweighting import count_jets, effective_jets, resampled, weight_table, weights_of
from training.shards import TrainingData, fingerprint_of, write_shard
from training.splitting import SPLITS, SplitName, split_of

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)


def prepare(config: PrepareConfig, *, progress: Progress | None = None) -> Path:
    """Make training data and return the path of their manifest.

    Data that are already there, undamaged and made from the same files by the same configuration, are left as
    they are; others are replaced once the new ones are complete. After an interruption of any kind a call
    with the same configuration goes on where the last one was, and ends with the same bytes.

    Args:
        config: The run card.
        progress: Called with the work done and the total, in events; each counts once per pass.

    Raises:
        FileNotFoundError: If an input matches no file.
        ValueError: If a file is broken or lacks branches, no jet is left to train on, `output` is a folder
            that holds something else, or another process makes the same data.
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

    with continued_folder(config.output) as folder:
        journal = open_journal(folder, config, n_shards, files)
        if journal.files:
            _log.warning("%s: going on after %d of %d files", config.output, len(journal.files), len(files))
        _scatter(config, files, journal, report)
        if not journal.survey.counts.any():
            shutil.rmtree(folder)
            names, dropped = ", ".join(file.path for file in files), dict(journal.survey.dropped)
            raise ValueError(f"{names}: no jet left to train on; dropped were {dropped}: add files")
        writer = _shard_writer(folder, config, files, journal.survey)
        for split in SPLITS:
            for number in range(len(journal.shards[split]), n_shards[split]):
                entry = writer.write(split, number, journal.staging.read(split, number))
                journal.commit_shard(split, entry)
                report(n_events * (1 + journal.n_written / sum(n_shards.values())))
        manifest = _manifest(config, files, journal, writer)
        write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1))
        journal.remove()
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
    config: PrepareConfig, files: Sequence[InputFile], journal: Journal, report: Callable[[float], None]
) -> None:
    """Pass one: read and clean the jets, stage them by split, and survey those to train on."""
    n_done = sum(file.n_events for file in journal.files)
    for file in files[len(journal.files) :]:
        for n_events, all_jets in read_jets(file.path, chunk_events=config.chunk_events):
            jets, dropped = clean_jets(all_jets)
            journal.survey.dropped.update(dropped)
            splits = split_of(
                jets.keys,
                seed=config.seed,
                train=config.train_fraction,
                validation=config.validation_fraction,
            )
            for number, split in enumerate(SPLITS):
                part = jets.keep(splits == number)
                journal.staging.add(split, part)
                if split == "train":
                    _learn(part, journal.survey)
            n_done += n_events
            report(n_done)
        journal.commit_file(file)


def _learn(jets: Jets, survey: Survey) -> None:
    survey.statistics.update(jets.raw)
    _, pt_bins, eta_bins = survey.counts.shape
    survey.counts[...] += count_jets(jets.pt, jets.eta, jets.labels, pt_bins=pt_bins, eta_bins=eta_bins)


class _ShardWriter:
    """Pass two: scale and weigh jets and write them."""

    def __init__(
        self,
        folder: Path,
        config: PrepareConfig,
        scaler: FeatureScaler,
        table: NDArray[np.float64],
        *,
        has_reference: bool,
    ) -> None:
        self.scaler, self.table, self.has_reference = scaler, table, has_reference
        self._folder, self._seed = folder, config.seed
        self._feature_type, self._resample = np.dtype(config.feature_type), config.reweighting == "resample"

    def write(self, split: SplitName, number: int, jets: Jets) -> ShardEntry:
        """Write one shard and return its entry of the manifest."""
        weights = weights_of(self.table, jets.pt, jets.eta, jets.labels)
        if self._resample and split == "train":
            jets = jets.keep(resampled(weights, jets.keys, seed=self._seed))
            weights = np.ones(len(jets.labels), dtype=np.float32)
        scaled, mask = self.scaler.scale(jets.raw)
        # Of n numbers none lies further than sqrt(n - 1) standard deviations from their mean, so clipping to
        # what float16 holds touches no training jet below four thousand million of them, only wild values of
        # other splits.
        limit = np.finfo(self._feature_type).max
        arrays: dict[str, NDArray[Any]] = {
            "features": np.clip(scaled, -limit, limit).astype(self._feature_type),
            "labels": jets.labels,
            "weights": weights,
            "mask": np.packbits(mask, axis=1),
            "keys": jets.keys,
        }
        if split == "test":
            arrays["raw"] = jets.raw
            if self.has_reference:
                arrays["reference"] = jets.reference
        n_clipped = int((np.abs(scaled) > limit).sum())
        return write_shard(self._folder, split, number, arrays, clipped_values=n_clipped)


def _shard_writer(
    folder: Path, config: PrepareConfig, files: Sequence[InputFile], survey: Survey
) -> _ShardWriter:
    scaler = survey.statistics.finish(default_value=config.default_value)
    write_text(folder / SCALER_NAME, json.dumps(scaler.to_dict()))
    table = weight_table(
        survey.counts,
        method=config.reweighting,
        balance_flavours=config.balance_flavours,
        cap=config.weight_cap,
    )
    without = [file.path for file in files if not file.has_reference]
    if without:
        _log.warning("%s: no scores of the reference tagger: nothing is compared with it", without[0])
    return _ShardWriter(folder, config, scaler, table, has_reference=not without)


def _manifest(
    config: PrepareConfig, files: Sequence[InputFile], journal: Journal, writer: _ShardWriter
) -> Manifest:
    entries = list(itertools.chain(*journal.shards.values()))
    n_clipped = sum(entry.clipped_values for entry in entries)
    if n_clipped:
        _log.warning("%d scaled values did not fit into %s and were clipped", n_clipped, config.feature_type)
    return Manifest(
        fingerprint=fingerprint_of(writer.scaler, entries),
        feature_names=BRANCHES,
        splits={split: _split_entry(journal.shards[split]) for split in SPLITS},
        inputs=tuple(InputEntry(**file._asdict()) for file in files),
        dropped_jets=dict(journal.survey.dropped),
        clipped_values=n_clipped,
        reference=REFERENCE_BRANCHES if writer.has_reference else None,
        reweighting=_reweighting_entries(writer.table, journal.survey.counts),
        config=config,
        versions={package: version(package) for package in ("numpy", "uproot", "awkward")},
    )


def _split_entry(shards: Sequence[ShardEntry]) -> SplitEntry:
    n_by_flavour = np.sum([shard.n_by_flavour for shard in shards], axis=0).tolist()
    return SplitEntry(
        n_jets=sum(n_by_flavour),
        n_by_flavour=dict(zip(FLAVOURS, n_by_flavour, strict=True)),
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
