"""How well taggers tell flavours apart on jets they never saw, on raw, noised and attacked inputs.

The taggers run as their exported ONNX files, on features in physical units and with `models.perturbations`:
the very code that later runs on events. Areas and curves come from counts, so memory does not grow with the
number of jets.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.discriminators import SCORES, logits_of
from models.perturbations import Variant
from models.tagger import load_taggers
from storage.tables import read_table, write_table
from training.metrics import WORKING_POINTS, efficiency_at
from training.paired import PairedAreas
from training.ranking import (
    SCORE_BINS,
    Area,
    area,
    classes_of,
    count_by_flavour,
    log_odds,
    roc_of_counts,
)
from training.scanning import Block, Checkpoint, Prediction, Progress, scan

REFERENCE: Final = Checkpoint("reference", 0, "raw")
"""The tagger whose scores the files hold."""


class AucRow(NamedTuple):
    """One area under a ROC curve with its statistical error (DeLong); nan where either class has no jet."""

    tagger: str
    epoch: int
    variant: str
    score: str
    auc: float
    error: float
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


class WorkingPointRow(NamedTuple):
    """The share of signal jets that pass where so many of the background do."""

    tagger: str
    epoch: int
    variant: str
    score: str
    working_point: str
    mistag: float
    efficiency: float
    threshold: float


class AucDifferenceRow(NamedTuple):
    """The area of a tagger minus that of another, on the same jets, with the error that follows (DeLong)."""

    tagger: str
    epoch: int
    reference: str
    reference_epoch: int
    variant: str
    score: str
    difference: float
    error: float


class AucRatioRow(NamedTuple):
    """The area on distorted inputs over the same tagger's on raw ones; errors are those of the same jets.

    `difference` is the distorted minus the raw area.
    """

    tagger: str
    epoch: int
    variant: str
    score: str
    auc: float
    auc_raw: float
    ratio: float
    ratio_error: float
    difference: float
    difference_error: float


class ScoreRanks:
    """An observer that counts the jets of every checkpoint, variant and score by rank."""

    def __init__(self) -> None:
        self._counts: dict[Checkpoint, dict[str, NDArray[np.uint32]]] = {}
        self._paired: dict[str, PairedAreas[Checkpoint]] = {score: PairedAreas(score) for score in SCORES}
        self._bins: dict[Checkpoint, dict[str, NDArray[np.uint16]]] = {}

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Everything that was seen, in order."""
        return list(self._counts)

    def look(self, block: Block, prediction: Prediction) -> None:
        """Count the jets of one prediction."""
        self._count(prediction.checkpoint, log_odds(prediction.logits), block)

    def end_block(self, block: Block) -> None:
        """Count the reference tagger's jets, and keep how all areas vary together."""
        if block.reference is not None:
            self._count(REFERENCE, log_odds(logits_of(block.reference)), block)
        for score, paired in self._paired.items():
            ranks = {checkpoint: bins[score] for checkpoint, bins in self._bins.items()}
            paired.add(ranks, block.labels, n_bins=SCORE_BINS.number)
        self._bins.clear()

    def counts(self, checkpoint: Checkpoint, score: str) -> NDArray[np.uint32]:
        """Return the jets per flavour and bin of `SCORE_BINS`, shape ``(4, n_bins)``."""
        return self._counts[checkpoint][score]

    def area(self, checkpoint: Checkpoint, score: str) -> Area:
        """Return the area with its error."""
        return area(*classes_of(score, self.counts(checkpoint, score)))

    def paired(self, score: str) -> PairedAreas[Checkpoint]:
        """Return how the areas of a score vary together."""
        return self._paired[score]

    def _count(self, checkpoint: Checkpoint, odds: Mapping[str, NDArray[np.float64]], block: Block) -> None:
        self._bins[checkpoint] = {score: SCORE_BINS.of(values) for score, values in odds.items()}
        for score, bins in self._bins[checkpoint].items():
            counts = count_by_flavour(bins, block.labels, n_bins=SCORE_BINS.number).astype(np.uint32)
            summed = self._counts.setdefault(checkpoint, {}).setdefault(score, np.zeros_like(counts))
            summed += counts


def evaluate(
    runs: Sequence[Path],
    *,
    data: Path,
    variants: Sequence[Variant],
    epochs: Sequence[int] | None = None,
    max_jets: int | None = None,
    seed: int = 1,
    progress: Progress | None = None,
) -> ScoreRanks:
    """Return how every checkpoint ranks the test jets on every variant; the rows below are made from it.

    Args:
        runs: Run directories.
        data: Folder of the training data.
        variants: Perturbations of the inputs; attacks are crafted against the tagger that is evaluated.
        epochs: Only these; None for all.
        max_jets: Only so many jets, which are a random sample as the shards are shuffled; None for all.
        seed: Of the noise.
        progress: Called with the predictions made and their total, in jets.

    Raises:
        FileNotFoundError: If a run holds no tagger, or there are no training data.
        ValueError: If the test split is empty.
    """
    ranks = ScoreRanks()
    taggers = load_taggers(list(runs), epochs=epochs)
    scan(data, taggers, variants, [ranks], max_jets=max_jets, seed=seed, progress=progress)
    return ranks


def auc_rows(ranks: ScoreRanks) -> list[AucRow]:
    """Return the area of every score, per tagger, epoch and variant."""
    seen = [checkpoint for checkpoint in ranks.checkpoints if checkpoint != REFERENCE]
    return [auc_row(ranks, checkpoint, score) for checkpoint in seen for score in SCORES]


def auc_row(ranks: ScoreRanks, checkpoint: Checkpoint, score: str) -> AucRow:
    """Return one area."""
    found = ranks.area(checkpoint, score)
    return AucRow(*checkpoint, score, found.auc, found.error, found.n_signal, found.n_background)


def reference_auc_rows(ranks: ScoreRanks) -> list[AucRow]:
    """Return the areas of the reference tagger; none if the files hold no scores of it."""
    if REFERENCE not in ranks.checkpoints:
        return []
    return [auc_row(ranks, REFERENCE, score) for score in SCORES]


def roc_rows(
    ranks: ScoreRanks, checkpoints: Iterable[Checkpoint] | None = None, *, points: int = 200
) -> list[RocRow]:
    """Return the ROC curves of every score, none where a class has no jet.

    Args:
        ranks: What `evaluate` returned.
        checkpoints: Of these only; None for the last epoch of each tagger on all variants.
        points: About so many per curve.
    """
    rows = []
    for checkpoint in last_epochs(ranks.checkpoints) if checkpoints is None else checkpoints:
        for score in SCORES:
            counts = ranks.counts(checkpoint, score)
            if all(side.any() for side in classes_of(score, counts)):
                curve = zip(*roc_of_counts(score, counts, points=points), strict=True)
                rows += [RocRow(*checkpoint, score, *map(float, point)) for point in curve]
    return rows


def working_point_rows(ranks: ScoreRanks) -> list[WorkingPointRow]:
    """Return efficiency and threshold of every score at the working points; none where a class has no jet."""
    rows = []
    for checkpoint in ranks.checkpoints:
        for score in SCORES:
            counts = ranks.counts(checkpoint, score)
            if all(side.any() for side in classes_of(score, counts)):
                curve = roc_of_counts(score, counts)
                for name, mistag in WORKING_POINTS.items():
                    threshold = float(np.interp(mistag, curve.mistag, curve.threshold))
                    efficiency = efficiency_at(curve, mistag)
                    rows.append(WorkingPointRow(*checkpoint, score, name, mistag, efficiency, threshold))
    return rows


def auc_difference_rows(ranks: ScoreRanks, *, reference: str) -> list[AucDifferenceRow]:
    """Return every tagger minus the one called `reference`, on the same variant of the same jets.

    Compared are equal epochs, and the last epoch of either; and every tagger's raw area with that of the
    reference tagger of the files, where there is one.
    """
    seen = [checkpoint for checkpoint in ranks.checkpoints if checkpoint != REFERENCE]
    pairs = [(other, other._replace(tagger=reference)) for other in seen if other.tagger != reference]
    last = {(each.tagger, each.variant): each for each in last_epochs(seen)}
    pairs += [
        (each, last[reference, variant])
        for (tagger, variant), each in last.items()
        if tagger != reference and (reference, variant) in last
    ]
    if REFERENCE in ranks.checkpoints:
        pairs += [(each, REFERENCE) for each in seen if each.variant == "raw"]
    rows = []
    for score in SCORES:
        areas = {checkpoint: ranks.area(checkpoint, score).auc for checkpoint in ranks.checkpoints}
        for of, minus in dict.fromkeys(pairs):
            if minus in areas:
                found = ranks.paired(score).difference(areas, of, minus)
                names = of.tagger, of.epoch, minus.tagger, minus.epoch, of.variant
                rows.append(AucDifferenceRow(*names, score, *found))
    return rows


def auc_ratio_rows(ranks: ScoreRanks) -> list[AucRatioRow]:
    """Return what distorted inputs do to every area, relative to the same checkpoint's on raw inputs."""
    rows = []
    for score in SCORES:
        areas = {checkpoint: ranks.area(checkpoint, score).auc for checkpoint in ranks.checkpoints}
        for checkpoint in ranks.checkpoints:
            raw = checkpoint._replace(variant="raw")
            if checkpoint == raw or raw not in areas:
                continue
            ratio = ranks.paired(score).ratio(areas, checkpoint, raw)
            difference = ranks.paired(score).difference(areas, checkpoint, raw)
            rows.append(AucRatioRow(*checkpoint, score, areas[checkpoint], areas[raw], *ratio, *difference))
    return rows


def last_epochs(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Return those of the last epoch of their tagger, in order."""
    checkpoints = list(checkpoints)
    last: dict[str, int] = {}
    for each in checkpoints:
        last[each.tagger] = max(each.epoch, last.get(each.tagger, each.epoch))
    return [each for each in checkpoints if each.epoch == last[each.tagger]]


def write_auc_table(rows: Sequence[AucRow], path: Path) -> None:
    """Write the areas as CSV, one row each, with a line of column names."""
    write_table(rows, path, kind=AucRow)


def write_roc_table(rows: Sequence[RocRow], path: Path) -> None:
    """Write points of ROC curves as CSV, one row each, with a line of column names."""
    write_table(rows, path, kind=RocRow)


def write_auc_difference_table(rows: Sequence[AucDifferenceRow], path: Path) -> None:
    """Write differences of areas as CSV, one row each, with a line of column names."""
    write_table(rows, path, kind=AucDifferenceRow)


def read_auc_table(path: Path) -> list[AucRow]:
    """Return the rows written by `write_auc_table`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another table.
    """
    return read_table(path, kind=AucRow, unknown=("auc", "error"))


def read_roc_table(path: Path) -> list[RocRow]:
    """Return the rows written by `write_roc_table`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another table.
    """
    return read_table(path, kind=RocRow, unknown=("threshold",))


def read_auc_difference_table(path: Path) -> list[AucDifferenceRow]:
    """Return the rows written by `write_auc_difference_table`; none if there is no such file.

    Raises:
        ValueError: If it is another table.
    """
    return read_table(path, kind=AucDifferenceRow, unknown=("difference", "error")) if path.is_file() else []
