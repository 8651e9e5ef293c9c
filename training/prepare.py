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
from storage.wording import few
from training.config import PrepareConfig
from training.manifest import (
    MANIFEST_NAME,
    SCALER_NAME,
    InputEntry,
    Manifest,
    ReweightingEntry,
    ShardEntry,
    SplitEntry,
    VariationFileEntry,
)
from training.pairs import PairStatistics, is_matched
from training.reading import (
    REFERENCE_BRANCHES,
    InputFile,
    Jets,
    clean_jets,
    find_inputs,
    inspect_file,
    read_jets,
    refuse_copies,
    refuse_same_jets,
)
from training.resuming import Journal, Survey, open_journal
from training.reweighting import count_jets, effective_jets, resampled, weight_table, weights_of
from training.shards import TrainingData, fingerprint_of, write_shard
from training.splitting import SPLITS, SplitName, split_of
from training.variations import assign_variations, number_of_variations, with_variations

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)
_BLOCK_JETS = 20_000


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
        ValueError: If a file is broken or lacks branches, a variation fits no input, no jet is left to train
            on, `output` is a folder that holds something else, or another process makes the same data.
    """
    inputs = [inspect_file(path) for path in find_inputs(config.inputs)]
    refuse_copies(inputs)
    refuse_same_jets(inputs)
    files = assign_variations(inputs, config.variations)
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
    same_files = [_fingerprints(entry) for entry in found.inputs] == [_fingerprints(file) for file in files]
    return same_files and found.config == config and data.is_intact()


def _fingerprints(file: InputFile | InputEntry) -> list[str]:
    return [file.fingerprint, *(variation.fingerprint for variation in file.variations)]


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
    n_variations, size = number_of_variations(files), config.chunk_events
    for file in files[len(journal.files) :]:
        chunks = read_jets(file.path, chunk_events=size)
        if n_variations:
            chunks = with_variations(chunks, file, n_variations=n_variations, chunk_events=size)
        for n_events, all_jets in chunks:
            jets, dropped = clean_jets(all_jets)
            journal.survey.dropped.update(dropped)
            journal.survey.not_finite.update(_not_finite(jets))
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


def _not_finite(jets: Jets) -> dict[str, int]:
    """Return how many values of each input are NaN or infinite, of inputs with such."""
    counts = np.count_nonzero(~np.isfinite(jets.raw), axis=0)
    return {name: int(n) for name, n in zip(BRANCHES, counts, strict=True) if n}


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
        pairs: PairStatistics,
        has_reference: bool,
    ) -> None:
        self.scaler, self.table, self.pairs, self.has_reference = scaler, table, pairs, has_reference
        self._folder, self._seed = folder, config.seed
        self._feature_type, self._resample = np.dtype(config.feature_type), config.reweighting == "resample"

    def write(self, split: SplitName, number: int, jets: Jets) -> ShardEntry:
        """Write one shard and return its entry of the manifest."""
        weights = weights_of(self.table, jets.pt, jets.eta, jets.labels)
        if self._resample and split == "train":
            jets = jets.keep(resampled(weights, jets.keys, seed=self._seed))
            weights = np.ones(len(jets.labels), dtype=np.float32)
        scaled, mask = self.scaler.scale(jets.raw)
        features, n_clipped = self._stored(scaled)
        arrays: dict[str, NDArray[Any]] = {
            "features": features,
            "labels": jets.labels,
            "weights": weights,
            "mask": np.packbits(mask, axis=1),
            "keys": jets.keys,
        }
        if split == "test":
            arrays["raw"] = jets.raw
            if self.has_reference:
                arrays["reference"] = jets.reference
        if split == "train" and len(self.pairs.n_matched):
            varied, n_more = self._varied(jets, scaled, mask, arrays)
            arrays, n_clipped = arrays | varied, n_clipped + n_more
        return write_shard(self._folder, split, number, arrays, clipped_values=n_clipped)

    def _stored(self, scaled: NDArray[np.float32]) -> tuple[NDArray[Any], int]:
        """Return scaled features as they are stored, and how many were clipped."""
        # Of n numbers none lies further than sqrt(n - 1) standard deviations from their mean, so clipping to
        # what float16 holds touches no training jet below four thousand million of them, only wild values of
        # other splits and of variations.
        limit = np.finfo(self._feature_type).max
        n_clipped = int((np.abs(scaled) > limit).sum())
        return np.clip(scaled, -limit, limit).astype(self._feature_type), n_clipped

    def _varied(
        self,
        jets: Jets,
        scaled: NDArray[np.float32],
        mask: NDArray[np.bool_],
        nominal: dict[str, NDArray[Any]],
    ) -> tuple[dict[str, NDArray[Any]], int]:
        """Return the arrays of the variations, made block by block to save memory, and what was clipped."""
        n_variations, n_clipped = jets.variations.shape[1], 0
        varied = {
            f"variation_{name}": np.repeat(nominal[name][:, np.newaxis], n_variations, axis=1)
            for name in ("features", "mask")
        }
        self.pairs.n_jets += len(mask)
        for number, start in itertools.product(range(n_variations), range(0, len(mask), _BLOCK_JETS)):
            block = jets.variations[start : start + _BLOCK_JETS, number]
            rows = start + np.flatnonzero(is_matched(block))
            varied_scaled, varied_mask = self.scaler.scale(jets.variations[rows, number])
            varied["variation_features"][rows, number], n_more = self._stored(varied_scaled)
            varied["variation_mask"][rows, number] = np.packbits(varied_mask, axis=1)
            self.pairs.add(number, scaled[rows], varied_scaled, ~(mask[rows] | varied_mask))
            n_clipped += n_more
        return varied, n_clipped


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
    return _ShardWriter(folder, config, scaler, table, pairs=survey.pairs, has_reference=not without)


def _manifest(
    config: PrepareConfig, files: Sequence[InputFile], journal: Journal, writer: _ShardWriter
) -> Manifest:
    entries = list(itertools.chain(*journal.shards.values()))
    n_clipped = sum(entry.clipped_values for entry in entries)
    if n_clipped:
        _log.warning("%d scaled values did not fit into %s and were clipped", n_clipped, config.feature_type)
    not_finite = journal.survey.not_finite
    if not_finite:
        named = few([f"{name} {n}" for name, n in not_finite.most_common()], joint=", ")
        _log.warning("%d inputs are not finite and taken as missing: %s", not_finite.total(), named)
    return Manifest(
        fingerprint=fingerprint_of(writer.scaler, entries),
        feature_names=BRANCHES,
        splits={split: _split_entry(journal.shards[split]) for split in SPLITS},
        inputs=tuple(_input_entry(file) for file in files),
        dropped_jets=dict(journal.survey.dropped),
        clipped_values=n_clipped,
        not_finite_values=dict(not_finite),
        reference=REFERENCE_BRANCHES if writer.has_reference else None,
        reweighting=_reweighting_entries(writer.table, journal.survey.counts),
        variations=writer.pairs.entry() if len(writer.pairs.n_matched) else None,
        config=config,
        versions={package: version(package) for package in ("numpy", "uproot", "awkward")},
    )


def _input_entry(file: InputFile) -> InputEntry:
    variations = tuple(VariationFileEntry(**variation._asdict()) for variation in file.variations)
    # The fingerprint is what it is known by later.
    known = {name: value for name, value in file._asdict().items() if name != "identity"}
    return InputEntry(**(known | {"variations": variations}))


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
