"""How well taggers tell flavours apart on jets they never saw, on raw, noised and attacked inputs.

The taggers run as their exported ONNX files, on features in physical units and with `models.perturbations`:
the very code that later runs on events.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.discriminators import SCORES, scores
from models.perturbations import JetKeys, Variant, gaussian_noise, perturb
from models.tagger import Tagger, load_taggers
from storage.tables import read_table, write_table
from training.metrics import auc, roc, split_by_truth
from training.shards import TrainingData

Progress = Callable[[int, int], None]


class AucRow(NamedTuple):
    """One area under a ROC curve; nan where either class has no jet."""

    tagger: str
    epoch: int
    variant: str
    score: str
    auc: float
    n_signal: int
    n_background: int


class RocRow(NamedTuple):
    """One point of a ROC curve: jets not below the threshold are tagged."""

    tagger: str
    epoch: int
    variant: str
    score: str
    threshold: float
    efficiency: float
    mistag: float


class UnseenJets(NamedTuple):
    """Jets of the test split: physical features ``(n_jets, 67)``, labels 0 to 3 and keys, ``(n_jets,)``."""

    raw: NDArray[np.float32]
    labels: NDArray[np.int64]
    keys: JetKeys


class ScoredJets(NamedTuple):
    """The scores of all test jets by one tagger on one variant: each array ``(n_jets,)``."""

    tagger: str
    epoch: int
    variant: str
    scores: dict[str, NDArray[np.float64]]
    labels: NDArray[np.int64]


def evaluate(
    runs: Sequence[Path],
    *,
    data: Path,
    variants: Sequence[Variant],
    epochs: Sequence[int] | None = None,
    max_jets: int | None = None,
    seed: int = 1,
    progress: Progress | None = None,
) -> list[AucRow]:
    """Return the area of every score, per tagger, epoch and variant, on the test split.

    Args:
        runs: Run directories.
        data: Folder of the training data.
        variants: Perturbations of the inputs; attacks are crafted against the tagger that is evaluated.
        epochs: Only these; None for all.
        max_jets: Only so many jets, which are a random sample as the shards are shuffled; None for all.
        seed: Of the noise.
        progress: Called with the predictions done and their total.

    Raises:
        FileNotFoundError: If a run holds no tagger, or there are no training data.
        ValueError: If the test split is empty.
    """
    taggers = load_taggers(list(runs), epochs=epochs)
    jets = read_unseen_jets(data, max_jets=max_jets)
    rows = []
    for scored in score_jets(taggers, jets, variants=variants, seed=seed, progress=progress):
        for score in SCORES:
            signal, background = split_by_truth(score, scored.scores[score], scored.labels)
            area = auc(signal, background)
            rows.append(AucRow(*scored[:3], score, area, len(signal), len(background)))
    return rows


def roc_curves(
    runs: Sequence[Path],
    *,
    data: Path,
    variants: Sequence[Variant],
    points: int = 200,
    max_jets: int | None = None,
    seed: int = 1,
) -> list[RocRow]:
    """Return the ROC curves of every score for the last epoch of each run; none where a class has no jet.

    Args and Raises as `evaluate`; `points` per curve.
    """
    taggers = [load_taggers([run])[-1] for run in runs]
    jets = read_unseen_jets(data, max_jets=max_jets)
    rows = []
    for scored in score_jets(taggers, jets, variants=variants, seed=seed):
        for score in SCORES:
            signal, background = split_by_truth(score, scored.scores[score], scored.labels)
            if len(signal) and len(background):
                curve = zip(*roc(signal, background, points=points), strict=True)
                rows += [RocRow(*scored[:3], score, *map(float, point)) for point in curve]
    return rows


def read_unseen_jets(data: Path, *, max_jets: int | None = None) -> UnseenJets:
    """Return the jets of the test split, or the first `max_jets` of their random order.

    Raises:
        FileNotFoundError: If there are no training data.
        ValueError: If the split is empty.
    """
    parts, n_jets = [], 0
    for part in TrainingData(data).evaluation_jets():
        parts.append(part)
        n_jets += len(part.labels)
        if max_jets is not None and n_jets >= max_jets:
            break
    if not n_jets:
        raise ValueError(f"{data}: holds no jet to test on: prepare more files")
    raw, labels, keys = (np.concatenate(arrays)[:max_jets] for arrays in zip(*parts, strict=True))
    return UnseenJets(raw, labels.astype(np.int64), JetKeys(*keys.T))


def score_jets(
    taggers: Sequence[Tagger],
    jets: UnseenJets,
    *,
    variants: Sequence[Variant],
    seed: int = 1,
    progress: Progress | None = None,
) -> Iterator[ScoredJets]:
    """Yield the scores of all jets, one tagger and variant after the other."""
    noise = gaussian_noise(seed, jets.keys) if any(variant.kind == "noise" for variant in variants) else None
    n_done = 0
    for tagger in taggers:
        for variant in variants:
            raw = perturb(
                variant, tagger, jets.raw, keys=jets.keys, labels=jets.labels, seed=seed, noise=noise
            )
            yield ScoredJets(tagger.name, tagger.epoch, variant.name, scores(tagger.logits(raw)), jets.labels)
            n_done += 1
            if progress:
                progress(n_done, len(taggers) * len(variants))


def write_auc_table(rows: Sequence[AucRow], path: Path) -> None:
    """Write the areas as CSV, one row each, with a line of column names."""
    write_table(rows, path, kind=AucRow)


def write_roc_table(rows: Sequence[RocRow], path: Path) -> None:
    """Write points of ROC curves as CSV, one row each, with a line of column names."""
    write_table(rows, path, kind=RocRow)


def read_auc_table(path: Path) -> list[AucRow]:
    """Return the rows written by `write_auc_table`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another table.
    """
    return read_table(path, kind=AucRow)


def read_roc_table(path: Path) -> list[RocRow]:
    """Return the rows written by `write_roc_table`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another table.
    """
    return read_table(path, kind=RocRow)
