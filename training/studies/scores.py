"""How scores are distributed for each true flavour, beside those of the reference tagger."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.discriminators import DEFAULT_SCORE, SCORES, logits_of, scores
from models.features import FLAVOURS
from training.evaluate import REFERENCE
from training.ranking import count_by_flavour
from training.scanning import Block, Checkpoint, Prediction

N_BINS: Final = 50


class ScoreShapeRow(NamedTuple):
    """Jets of one true flavour in one bin of a score; the bin below 0 holds jets without a score."""

    tagger: str
    epoch: int
    variant: str
    score: str
    flavour: str
    low: float
    high: float
    n_jets: int


class ScoreShapes:
    """An observer that counts every score in equal bins, by flavour."""

    def __init__(self) -> None:
        self._counts: dict[Checkpoint, NDArray[np.int64]] = {}

    def look(self, block: Block, prediction: Prediction) -> None:
        """Count one prediction."""
        self._add(prediction.checkpoint, prediction.logits, block)

    def end_block(self, block: Block) -> None:
        """Count the reference tagger."""
        if block.reference is not None:
            self._add(REFERENCE, logits_of(block.reference), block)

    def _add(self, checkpoint: Checkpoint, logits: NDArray[np.floating], block: Block) -> None:
        empty = np.zeros((len(SCORES), len(FLAVOURS), N_BINS + 1), dtype=np.int64)
        counts = self._counts.setdefault(checkpoint, empty)
        for index, values in enumerate(scores(logits).values()):
            # A score of exactly 1 belongs to the last bin, DEFAULT_SCORE to the one before the first.
            bins = np.minimum(np.floor(values * N_BINS).astype(np.intp), N_BINS - 1) + 1
            counts[index] += count_by_flavour(np.maximum(bins, 0), block.labels, n_bins=N_BINS + 1)

    def rows(self) -> list[ScoreShapeRow]:
        """Return the numbers of jets, bin by bin."""
        edges = [DEFAULT_SCORE, *np.linspace(0.0, 1.0, N_BINS + 1).tolist()]
        return [
            ScoreShapeRow(*checkpoint, score, flavour, edges[i], edges[i + 1], int(counts[s, f, i]))
            for checkpoint, counts in self._counts.items()
            for s, score in enumerate(SCORES)
            for f, flavour in enumerate(FLAVOURS)
            for i in range(N_BINS + 1)
        ]
