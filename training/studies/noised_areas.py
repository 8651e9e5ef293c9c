"""AUC against noise on a tagger's log-odds: what a loss of performance without any merit looks like.

`advtag divergence` compares trainings with the basic tagger at equal AUC, with as much noise as that takes.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from models.discriminators import SCORES
from training.evaluate import REFERENCE, ScoreRanks
from training.ranking import SCORE_BINS, area, classes_of

SIGMAS: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0)
"""Sizes of the noise, in units of log-odds; of a tagger that barely learned, the small ones count."""

_REACH, _STEP = 40.0, 0.02
"""The grid of log-odds in which areas with noise are computed; jets beyond are at its ends."""


class NoisedArea(NamedTuple):
    """The AUC of a checkpoint on raw inputs with noise of a size on its log-odds."""

    tagger: str
    epoch: int
    score: str
    sigma: float
    auc: float


def noised_area_rows(ranks: ScoreRanks) -> list[NoisedArea]:
    """Return the area of every score and checkpoint on raw inputs with rising noise; none without jets."""
    rows = []
    for checkpoint in ranks.checkpoints:
        if checkpoint == REFERENCE or checkpoint.variant != "raw":
            continue
        for score in SCORES:
            signal, background = classes_of(score, ranks.counts(checkpoint, score))
            if signal.any() and background.any():
                rows += [
                    NoisedArea(checkpoint.tagger, checkpoint.epoch, score, sigma, auc)
                    for sigma, auc in zip(SIGMAS, noised_areas(signal, background), strict=True)
                ]
    return rows


def noised_areas(signal: NDArray[np.integer], background: NDArray[np.integer]) -> list[float]:
    r"""Return the areas for all `SIGMAS` of jets counted by rank.

    Noise on both sides of a comparison is noise of :math:`\sqrt 2 \sigma` on one of them, so the background
    alone is folded. Without noise the area is that of the ranks. A jet without a score gets no noise and
    stays the lowest.

    Args:
        signal: Signal jets per bin of `training.ranking.SCORE_BINS`, shape ``(n_bins,)``.
        background: Background jets per bin.
    """
    n_cells = int(2 * _REACH / _STEP) + 1
    cell = np.clip(np.rint((SCORE_BINS.lower_edges() + _REACH) / _STEP), 0, n_cells - 1).astype(np.intp)
    s, b = (np.bincount(cell[1:], counts[1:], minlength=n_cells) for counts in (signal, background))
    lowest_s, lowest_b = float(signal[0]), float(background[0])
    n_pairs = float(signal.sum()) * float(background.sum())
    # A signal jet with a score outranks all background without one; two jets without are a tie.
    without = s.sum() * lowest_b + lowest_s * lowest_b / 2
    areas = [area(signal, background).auc]
    for sigma in SIGMAS[1:]:
        folded = gaussian_filter1d(b, np.sqrt(2) * sigma / _STEP, mode="nearest")
        areas.append(float((s @ (np.cumsum(folded) - folded / 2) + without) / n_pairs))
    return areas
