"""Areas and ROC curves of any number of jets in bounded memory: jets are counted in bins of their rank.

A value falls into a bin by the leading bits of its float32 pattern, so a bin is as wide as a fixed share of
the value itself, 1/256. Scores are ranked by their log-odds, counted from those of a tagger that knows
nothing: there nothing saturates, and bins are finest where an untrained tagger puts all jets. A histogram of
probabilities would lump together all that is near 1. Counts of several workers add up.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from models.discriminators import SCORES, has_outputs
from models.features import FLAVOURS
from training.metrics import SIGNAL_AND_BACKGROUND, WORKING_POINTS, Roc

_SMALLEST, _LARGEST = 2.0**-16, 2.0**13
"""Values closer to zero share one bin, as do those farther away."""


class Area(NamedTuple):
    """An area under a ROC curve with its statistical error; nan where a class has no jet."""

    auc: float
    error: float
    n_signal: int
    n_background: int


class Bins:
    """Bins of all real numbers, by sign and leading bits.

    Args:
        bits: Bits of the mantissa that count; a bin is at most 2^-bits of its value wide.
    """

    def __init__(self, bits: int) -> None:
        self._shift = 23 - bits
        lowest, highest = (
            int(np.float32(limit).view(np.int32)) >> self._shift for limit in (_SMALLEST, _LARGEST)
        )
        self._lowest, self._half = lowest, highest - lowest + 1

    @property
    def number(self) -> int:
        """How many there are."""
        return 2 * self._half + 1

    def of(self, values: ArrayLike) -> NDArray[np.uint16]:
        """Return the bin of each value, the larger the value the higher; same shape.

        Raises:
            ValueError: If a value is nan.
        """
        numbers = np.asarray(values, dtype=np.float32)
        if np.isnan(numbers).any():
            raise ValueError(
                "cannot rank scores that are nan: look for broken inputs or weights of the network"
            )
        patterns = np.ascontiguousarray(numbers).view(np.int32)
        steps = np.clip(((patterns & 0x7FFFFFFF) >> self._shift) - self._lowest + 1, 0, self._half)
        return np.asarray(self._half + np.where(patterns < 0, -steps, steps), dtype=np.uint16)

    def lower_edges(self) -> NDArray[np.float64]:
        """Return the smallest magnitude's side of each bin as its value, rising, shape ``(number,)``."""
        steps = np.arange(1, self._half + 1)
        edges = (
            ((steps + self._lowest - 1) << self._shift).astype(np.int32).view(np.float32).astype(np.float64)
        )
        return np.concatenate([-edges[::-1], [0.0], edges])


SCORE_BINS: Final = Bins(bits=8)
"""For scores: areas are off by less than 1e-5, of untrained taggers and of saturated ones."""
FEATURE_BINS: Final = Bins(bits=7)
"""For 67 features at once."""


BLIND_ODDS: Final = {
    score: math.log(len(signal) / len(background))
    for score, (signal, background) in SIGNAL_AND_BACKGROUND.items()
}
"""Log-odds of every score where all four outputs are equal."""


def log_odds(logits: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    r"""Return :math:`\ln s / (1 - s)` of every score :math:`s`, minus `BLIND_ODDS`, each ``(n_jets,)``.

    It ranks jets as the score does, without rounding to 0 or 1. A jet without outputs gets minus infinity,
    the lowest rank, and so does a ratio of 0/0.

    Args:
        logits: The tagger's output before the softmax, columns b, bb, c, udsg, shape ``(n_jets, 4)``.

    Source:
        Discriminators as in `models.discriminators.scores`.
    """
    usable = has_outputs(logits)
    b, bb, c, udsg = np.where(usable[:, np.newaxis], logits, 0.0).astype(np.float64).T
    any_b = np.logaddexp(b, bb)
    with np.errstate(invalid="ignore"):  # 0/0 is the difference of two infinities
        odds = {
            "b": b - np.logaddexp(bb, np.logaddexp(c, udsg)),
            "bb": bb - np.logaddexp(b, np.logaddexp(c, udsg)),
            "c": c - np.logaddexp(any_b, udsg),
            "udsg": udsg - np.logaddexp(any_b, c),
            "BvsL": any_b - udsg,
            "BvsC": any_b - c,
            "CvsB": c - any_b,
            "CvsL": c - udsg,
        }
    return {
        score: np.where(usable & ~np.isnan(odds[score]), odds[score] - BLIND_ODDS[score], -np.inf)
        for score in SCORES
    }


def count_by_flavour(
    bins: NDArray[np.integer], labels: NDArray[np.integer], *, n_bins: int
) -> NDArray[np.int64]:
    """Return the jets per flavour and bin, shape ``(4, n_bins)``."""
    cells = labels.astype(np.intp) * n_bins + bins
    # One row a flavour: (4 * n_bins,) -> (4, n_bins).
    return np.bincount(cells, minlength=len(FLAVOURS) * n_bins).reshape(len(FLAVOURS), n_bins)


def classes_of(score: str, counts: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the signal and the background jets per bin, each ``(n_bins,)``, of counts ``(4, n_bins)``.

    Raises:
        ValueError: If the score is unknown.
    """
    if score not in SIGNAL_AND_BACKGROUND:
        raise ValueError(f"unknown score {score!r}: choose from {', '.join(SCORES)}")
    signal, background = (
        counts[flavour_indices(flavours)].sum(axis=0, dtype=np.int64)
        for flavours in SIGNAL_AND_BACKGROUND[score]
    )
    return signal, background


def flavour_indices(flavours: Sequence[str]) -> list[int]:
    """Return the labels of flavours."""
    return [FLAVOURS.index(flavour) for flavour in flavours]


def placements(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the share of a class that lies below each bin, its own half included, shape ``(n_bins,)``."""
    return np.asarray((np.cumsum(counts) - counts / 2) / max(int(counts.sum()), 1))


def area(signal: NDArray[np.integer], background: NDArray[np.integer]) -> Area:
    r"""Return the area of binned scores with the error of DeLong.

    .. math::
        \sigma^2 = \frac{S_{10}}{n_s} + \frac{S_{01}}{n_b}

    :math:`S_{10}` is the variance over signal jets of the share of background below them, :math:`S_{01}` that
    over background jets of the share of signal above them.

    Args:
        signal: Signal jets per bin, by rising score, shape ``(n_bins,)``.
        background: Background jets per bin.

    Source:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837.
    """
    n_signal, n_background = int(signal.sum()), int(background.sum())
    if not n_signal or not n_background:
        return Area(float("nan"), float("nan"), n_signal, n_background)
    below, above = placements(background), 1.0 - placements(signal)
    value = float(signal @ below) / n_signal
    variance = 0.0
    for weights, values, n in ((signal, below, n_signal), (background, above, n_background)):
        variance += float(weights @ (values - value) ** 2) / max(n - 1, 1) / n
    return Area(value, float(np.sqrt(variance)), n_signal, n_background)


def roc_of_counts(score: str, counts: NDArray[np.integer], *, points: int = 200) -> Roc:
    """Return the ROC curve of a score at thresholds spread evenly in the logarithm of the mistag rate.

    As `training.metrics.roc`: thresholds are scores, the rates exact at each, the working points among them
    as well as bins allow.

    Args:
        score: Which score.
        counts: Jets per flavour and bin of `SCORE_BINS`, shape ``(4, n_bins)``.
        points: About so many come back, fewer where jets are few.

    Raises:
        ValueError: If the score is unknown or either class is empty.
    """
    signal, background = classes_of(score, counts)
    n_signal, n_background = int(signal.sum()), int(background.sum())
    if not n_signal or not n_background:
        raise ValueError(
            f"no ROC curve of {n_signal} signal and {n_background} background jets: both are needed"
        )
    passing_signal = np.cumsum(signal[::-1])[::-1] / n_signal
    passing_background = np.cumsum(background[::-1])[::-1] / n_background
    rates = np.geomspace(1 / n_background, 1.0, points)
    rates = np.append(rates, [rate for rate in WORKING_POINTS.values() if rate >= rates[0]])
    # The mistag rate falls with the bin: find the lowest bin whose rate is not above the one asked for.
    chosen = np.unique(np.searchsorted(-passing_background, -rates * (1 + 1e-12), side="left"))
    chosen = chosen[chosen < SCORE_BINS.number][::-1]
    chosen = chosen[np.append(True, np.diff(passing_background[chosen]) > 0)]
    thresholds = expit(SCORE_BINS.lower_edges()[chosen] + BLIND_ODDS[score])
    return Roc(thresholds, passing_signal[chosen], passing_background[chosen])
