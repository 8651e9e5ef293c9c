"""Errors of differences and ratios of areas that were measured on the same jets."""

import math
from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.metrics import SIGNAL_AND_BACKGROUND
from training.ranking import classes_of, count_by_flavour, flavour_indices, placements

Key = TypeVar("Key", bound=Hashable)


class Difference(NamedTuple):
    """A difference, or a ratio, with its statistical error."""

    value: float
    error: float

    @property
    def significance(self) -> float:
        """The value in units of its error; nan where that is 0 or unknown."""
        return self.value / self.error if self.error > 0 else math.nan


class PairedAreas(Generic[Key]):
    r"""The covariance of areas of one score, of several taggers or inputs, over the same jets.

    .. math:: \mathrm{Cov}(A_i, A_j) = \frac{(S_{10})_{ij}}{n_s} + \frac{(S_{01})_{ij}}{n_b}

    :math:`(S_{10})_{ij}` is the covariance over signal jets of the share of background that they outrank in
    :math:`i` and in :math:`j`; :math:`S_{01}` likewise with the classes exchanged. The shares are taken
    within the jets of one call of `add`, so that nothing of the jets has to be kept: for calls of some
    thousand jets of either class this changes the errors by less than a percent.

    Args:
        score: Which score; it sets which flavours are signal and background.

    Source:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837.
    """

    def __init__(self, score: str) -> None:
        self._score = score
        self._classes = [flavour_indices(flavours) for flavours in SIGNAL_AND_BACKGROUND[score]]
        self._keys: list[Key] = []
        self._n_jets = np.zeros(2, dtype=np.int64)
        self._degrees = np.zeros(2, dtype=np.int64)
        self._squares: NDArray[np.float64] = np.zeros((2, 0, 0))

    def add(
        self, ranks: Mapping[Key, NDArray[np.integer]], labels: NDArray[np.integer], *, n_bins: int
    ) -> None:
        """Add jets: for every key, always the same ones, the bin of each jet, shape ``(n_jets,)``."""
        if not self._keys:
            self._keys = list(ranks)
            self._squares = np.zeros((2, len(ranks), len(ranks)))
        members = [np.isin(labels, labels_of_class) for labels_of_class in self._classes]
        sizes = [int(member.sum()) for member in members]
        self._n_jets += sizes
        if min(sizes) == 0:
            return
        shares: list[list[NDArray[np.float64]]] = [[], []]
        for key in self._keys:
            counts = classes_of(self._score, count_by_flavour(ranks[key], labels, n_bins=n_bins))
            for side, (member, opposite) in enumerate(zip(members, counts[::-1], strict=True)):
                share = placements(opposite)[ranks[key][member]]
                shares[side].append(share if side == 0 else 1.0 - share)
        for side in (0, 1):
            values = np.array(shares[side])
            values -= values.mean(axis=1, keepdims=True)
            self._squares[side] += values @ values.T
            self._degrees[side] += sizes[side] - 1

    def covariance(self) -> NDArray[np.float64]:
        """Return the areas' covariance, nan where a class has no two jets, shape ``(n_keys, n_keys)``."""
        if (self._degrees < 1).any():
            return np.full((len(self._keys), len(self._keys)), np.nan)
        per_class = self._squares / (self._degrees * self._n_jets)[:, np.newaxis, np.newaxis]
        return np.asarray(per_class.sum(axis=0))

    def difference(self, areas: Mapping[Key, float], of: Key, minus: Key) -> Difference:
        """Return one area minus another, with the error that follows from the same jets."""
        covariance, i, j = self.covariance(), self._keys.index(of), self._keys.index(minus)
        variance = covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]
        return Difference(areas[of] - areas[minus], math.sqrt(max(variance, 0.0)))

    def ratio(self, areas: Mapping[Key, float], of: Key, to: Key) -> Difference:
        """Return one area divided by another, with the error that follows from the same jets."""
        covariance, i, j = self.covariance(), self._keys.index(of), self._keys.index(to)
        ratio = areas[of] / areas[to] if areas[to] else math.nan
        variance = covariance[i, i] - 2 * ratio * covariance[i, j] + ratio**2 * covariance[j, j]
        return Difference(ratio, math.sqrt(max(variance, 0.0)) / areas[to] if areas[to] else math.nan)
