"""What perturbations do to the inputs: shapes, divergences, defaults, ranking and correlations."""

import itertools
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, FLAVOURS, N_FEATURES, default_mask
from models.scaler import FeatureScaler
from training.ranking import FEATURE_BINS, area, classes_of, count_by_flavour
from training.scanning import Block, Checkpoint, Prediction

N_BINS: Final = 40
"""Bins of a feature's shape, with one more at either end for what lies beyond."""

RANKED_BY: Final = ("BvsL", "BvsC", "CvsL")
"""Which classes a single feature is asked to tell apart."""

ALL: Final = "all"


class InputShapeRow(NamedTuple):
    """Jets per bin of a feature, in physical units, raw and distorted; defaults are left out.

    The first and last bin hold all that lies beyond. `ratio` is distorted over raw.
    """

    tagger: str
    epoch: int
    variant: str
    feature: str
    flavour: str
    low: float
    high: float
    n_raw: int
    n_distorted: int
    ratio: float
    ratio_error: float


class InputDivergenceRow(NamedTuple):
    """How far a feature's distorted shape is from its raw one, in nats."""

    tagger: str
    epoch: int
    variant: str
    feature: str
    kl: float


class DefaultFractionRow(NamedTuple):
    """The share of jets of a flavour that have no value of a feature."""

    feature: str
    flavour: str
    n_jets: int
    n_defaults: int
    fraction: float
    error: float


class FeatureRankingRow(NamedTuple):
    """How well one feature alone tells two classes apart.

    `auc` below 0.5 means that signal has the smaller values; `separation` is its distance from 0.5.
    """

    tagger: str
    epoch: int
    variant: str
    score: str
    rank: int
    feature: str
    auc: float
    error: float
    separation: float


class CorrelationRow(NamedTuple):
    """The linear correlation of two features as the network sees them, defaults included."""

    tagger: str
    epoch: int
    variant: str
    feature: str
    other: str
    correlation: float


class _Sums:
    """What is kept of the features of one checkpoint and variant."""

    def __init__(self) -> None:
        self.shapes = np.zeros((N_FEATURES, len(FLAVOURS), N_BINS + 2), dtype=np.int64)
        self.ranks = np.zeros((N_FEATURES, len(FLAVOURS), FEATURE_BINS.number), dtype=np.uint32)
        self.n_defaults = np.zeros((N_FEATURES, len(FLAVOURS)), dtype=np.int64)
        self.n_jets = np.zeros(len(FLAVOURS), dtype=np.int64)
        self.sum = np.zeros(N_FEATURES)
        self.products = np.zeros((N_FEATURES, N_FEATURES))

    def add(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        scaler: FeatureScaler,
        edges: NDArray[np.float64],
    ) -> None:
        scaled, mask = scaler.scale(features)
        # A value that is wild beyond any use would drown all others in sums.
        bounded = np.clip(scaled, -1e6, 1e6).astype(np.float64)
        self.sum += bounded.sum(axis=0)
        self.products += bounded.T @ bounded
        self.n_jets += np.bincount(labels, minlength=len(FLAVOURS))
        ranks = np.where(
            mask, 0, FEATURE_BINS.of(scaled)
        )  # defaults lie below all values, as for the network
        for column in range(N_FEATURES):
            present = ~mask[:, column]
            bins = np.searchsorted(edges[column], features[present, column], side="right")
            self.shapes[column] += count_by_flavour(bins, labels[present], n_bins=N_BINS + 2)
            self.n_defaults[column] += np.bincount(labels[~present], minlength=len(FLAVOURS))
            counts = count_by_flavour(ranks[:, column], labels, n_bins=FEATURE_BINS.number)
            self.ranks[column] += counts.astype(np.uint32)


class InputStatistics:
    """An observer that gathers the features of some checkpoints, on every variant.

    The bins of a feature's shape reach from the 0.5 % to the 99.5 % quantile of the first block's jets.

    Args:
        checkpoints: (Training, epoch) of those to look at.
    """

    def __init__(self, checkpoints: set[tuple[str, int]]) -> None:
        self._wanted = checkpoints
        self._edges: NDArray[np.float64] | None = None
        self._sums: dict[Checkpoint, _Sums] = {}

    def look(self, block: Block, prediction: Prediction) -> None:
        """Take in one prediction's features."""
        checkpoint = prediction.checkpoint
        if (checkpoint.tagger, checkpoint.epoch) in self._wanted:
            if self._edges is None:
                self._edges = _edges_of(block.raw)
            sums = self._sums.setdefault(checkpoint, _Sums())
            sums.add(prediction.features, block.labels, prediction.tagger.scaler, self._edges)

    def end_block(self, block: Block) -> None:
        """Nothing is left to do."""

    def shape_rows(self) -> list[InputShapeRow]:
        """Return raw beside distorted shapes of every feature, for all jets and by flavour.

        Source:
            Error of the ratio: sqrt((s_d / n_r)^2 + (n_d s_r / n_r^2)^2) with s = sqrt(n), as if the jets of
            either shape were others.
        """
        rows = []
        for checkpoint, raw, distorted in self._distorted():
            for column, feature in enumerate(BRANCHES):
                for flavour, before, after in _by_flavour(raw.shapes[column], distorted.shapes[column]):
                    ratio, error = ratio_with_error(after, before)
                    rows += [
                        InputShapeRow(*checkpoint, feature, flavour, low, high, n_r, n_d, r, e)
                        for (low, high), n_r, n_d, r, e in zip(
                            self._bins(column),
                            before.tolist(),
                            after.tolist(),
                            ratio.tolist(),
                            error.tolist(),
                            strict=True,
                        )
                    ]
        return rows

    def divergence_rows(self) -> list[InputDivergenceRow]:
        """Return the divergence of raw from distorted shapes, all flavours together."""
        return [
            InputDivergenceRow(
                *checkpoint, feature, kl_of_counts(raw.shapes[column].sum(0), distorted.shapes[column].sum(0))
            )
            for checkpoint, raw, distorted in self._distorted()
            for column, feature in enumerate(BRANCHES)
        ]

    def default_rows(self) -> list[DefaultFractionRow]:
        """Return the share of defaults of every feature by flavour; perturbations do not change it."""
        sums = next(iter(self._sums.values()))
        rows = []
        for column, feature in enumerate(BRANCHES):
            for flavour, n_jets, n_defaults in zip(
                (*FLAVOURS, ALL),
                (*sums.n_jets.tolist(), int(sums.n_jets.sum())),
                (*sums.n_defaults[column].tolist(), int(sums.n_defaults[column].sum())),
                strict=True,
            ):
                share = n_defaults / n_jets if n_jets else float("nan")
                error = float(np.sqrt(share * (1 - share) / n_jets)) if n_jets else float("nan")
                rows.append(DefaultFractionRow(feature, flavour, n_jets, n_defaults, share, error))
        return rows

    def ranking_rows(self) -> list[FeatureRankingRow]:
        """Return every feature's own area, best first."""
        rows = []
        for checkpoint, sums in self._sums.items():
            for score in RANKED_BY:
                areas = [area(*classes_of(score, sums.ranks[column])) for column in range(N_FEATURES)]
                order = sorted(range(N_FEATURES), key=lambda column: -abs(areas[column].auc - 0.5))
                for rank, column in enumerate(order, start=1):
                    found = areas[column]
                    rows.append(
                        FeatureRankingRow(
                            *checkpoint,
                            score,
                            rank,
                            BRANCHES[column],
                            found.auc,
                            found.error,
                            abs(found.auc - 0.5),
                        )
                    )
        return rows

    def correlation_rows(self) -> list[CorrelationRow]:
        """Return the correlation of every pair of features; nan where a feature is constant."""
        rows = []
        for checkpoint, sums in self._sums.items():
            matrix = correlations(sums.sum, sums.products, int(sums.n_jets.sum()))
            rows += [
                CorrelationRow(*checkpoint, BRANCHES[i], BRANCHES[j], float(matrix[i, j]))
                for i in range(N_FEATURES)
                for j in range(i)
            ]
        return rows

    def _distorted(self) -> list[tuple[Checkpoint, _Sums, _Sums]]:
        return [
            (checkpoint, self._sums[raw], sums)
            for checkpoint, sums in self._sums.items()
            if (raw := checkpoint._replace(variant="raw")) != checkpoint and raw in self._sums
        ]

    def _bins(self, column: int) -> list[tuple[float, float]]:
        assert self._edges is not None  # there are no shapes before the first block
        edges = [-np.inf, *self._edges[column].tolist(), np.inf]
        return list(itertools.pairwise(edges))


def ratio_with_error(
    distorted: NDArray[np.int64], raw: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return distorted over raw counts and its error, nan where there is no raw jet, each ``(n_bins,)``.

    .. math:: \sqrt{(s_d / n_r)^2 + (n_d s_r / n_r^2)^2}, \qquad s = \sqrt{n}
    """
    n_raw = np.where(raw > 0, raw, np.nan)
    return distorted / n_raw, np.sqrt(distorted / n_raw**2 + distorted**2 / n_raw**3)


def kl_of_counts(raw: NDArray[np.int64], distorted: NDArray[np.int64]) -> float:
    r"""Return :math:`\sum_k P_k \ln (P_k / Q_k)` of raw P and distorted Q, in nats; nan without jets.

    Half a jet is added to every bin, so that one that the distortion emptied costs much, but not infinity.

    Source:
        Thesis, Eq. A.1; the half is the prior of H. Jeffreys, Proc. R. Soc. A 186 (1946) 453.
    """
    if not raw.any() or not distorted.any():
        return float("nan")
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (raw, distorted))
    return float(p @ np.log(p / q))


def correlations(
    sums: NDArray[np.float64], products: NDArray[np.float64], n_jets: int
) -> NDArray[np.float64]:
    """Return Pearson's matrix from summed values ``(n,)`` and products ``(n, n)``; nan for a constant."""
    means = sums / n_jets
    covariance = products / n_jets - np.outer(means, means)
    variance = np.diag(covariance)
    widths = np.sqrt(np.where(variance > 1e-12 * np.maximum(means**2, 1.0), variance, np.nan))
    return np.asarray(covariance / np.outer(widths, widths))


def _edges_of(raw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the edges of each feature's bins in physical units, shape ``(67, N_BINS + 1)``."""
    mask = default_mask(raw)
    edges = np.empty((N_FEATURES, N_BINS + 1))
    for column in range(N_FEATURES):
        values = raw[~mask[:, column], column].astype(np.float64)
        low, high = np.quantile(values, [0.005, 0.995]) if len(values) else (0.0, 1.0)
        edges[column] = np.linspace(low, high if high > low else low + 1.0, N_BINS + 1)
    return edges


def _by_flavour(
    raw: NDArray[np.int64], distorted: NDArray[np.int64]
) -> list[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    per_flavour = list(zip(FLAVOURS, raw, distorted, strict=True))
    return [(ALL, raw.sum(axis=0), distorted.sum(axis=0)), *per_flavour]
