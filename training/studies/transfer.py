"""How much inputs that were attacked against one checkpoint harm another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.discriminators import SCORES
from models.tagger import Tagger
from training.ranking import SCORE_BINS, area, classes_of, count_by_flavour, log_odds
from training.scanning import Block, Prediction


class TransferRow(NamedTuple):
    """The area of the target on jets that were attacked against the source."""

    source: str
    source_epoch: int
    target: str
    target_epoch: int
    variant: str
    score: str
    auc: float
    error: float


class Transfer:
    """An observer that shows the attacked jets of every source to every target.

    Args:
        taggers: Sources and targets.
        variant: Name of the attack.
    """

    def __init__(self, taggers: Sequence[Tagger], *, variant: str) -> None:
        self._taggers, self._variant = {tagger.label: tagger for tagger in taggers}, variant
        self._counts: dict[tuple[str, str], dict[str, NDArray[np.uint32]]] = {}

    def look(self, block: Block, prediction: Prediction) -> None:
        """Let all targets predict on the features attacked against this tagger."""
        source = prediction.tagger.label
        if source not in self._taggers or prediction.variant.name != self._variant:
            return
        for target, tagger in self._taggers.items():
            logits = prediction.logits if target == source else tagger.logits(prediction.features)
            for score, odds in log_odds(logits).items():
                counts = count_by_flavour(SCORE_BINS.of(odds), block.labels, n_bins=SCORE_BINS.number)
                empty = np.zeros(counts.shape, dtype=np.uint32)
                summed = self._counts.setdefault((source, target), {}).setdefault(score, empty)
                summed += counts.astype(np.uint32)

    def end_block(self, block: Block) -> None:
        """Nothing is left to do."""

    def rows(self) -> list[TransferRow]:
        """Return the matrix, one row per source, target and score."""
        rows = []
        for (source, target), counts in self._counts.items():
            attacked, shown = self._taggers[source], self._taggers[target]
            for score in SCORES:
                found = area(*classes_of(score, counts[score]))
                names = attacked.name, attacked.epoch, shown.name, shown.epoch
                rows.append(TransferRow(*names, self._variant, score, found.auc, found.error))
        return rows


def spread_epochs(taggers: Sequence[Tagger], *, n_epochs: int = 3) -> list[Tagger]:
    """Return `n_epochs` checkpoints of every training: first, last, and those nearest to even steps."""
    chosen = []
    for name in dict.fromkeys(tagger.name for tagger in taggers):
        own = [tagger for tagger in taggers if tagger.name == name]
        epochs = np.array([tagger.epoch for tagger in own])
        steps = np.linspace(epochs.min(), epochs.max(), n_epochs)
        places = np.unique(np.abs(epochs - steps[:, np.newaxis]).argmin(axis=1))
        chosen += [own[place] for place in places]
    return chosen
