"""Scaling of the features to mean 0 and width 1, and the streamed statistics behind it.

Defaults take no part in mean and width; after scaling they hold one value each, just below the smallest real
one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, N_FEATURES, default_mask

DEFAULT_GAP = 0.001
"""How far below the smallest value of the training sample the default lies. Source: thesis, cleaning of the
inputs."""


_BLOCK = 4096
"""Jets scaled or added at once; the working arrays stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Mean, width and default of each feature, in physical units; each float32 of shape ``(67,)``.

    Raises:
        ValueError: If a shape is not ``(67,)``, a number is not finite, or a width is not positive.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    default: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in ("mean", "std", "default"):
            values = np.array(getattr(self, name), dtype=np.float32)
            if values.shape != (N_FEATURES,):
                raise ValueError(f"scaler: {name} has shape {values.shape}, expected ({N_FEATURES},)")
            bad = ~np.isfinite(values) | ((values <= 0) if name == "std" else False)
            if bad.any():
                first = int(np.argmax(bad))
                raise ValueError(
                    f"scaler: {name} of {BRANCHES[first]} is {values[first]}: make the scaler again"
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureScaler):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[bytes, ...]:
        return self.mean.tobytes(), self.std.tobytes(), self.default.tobytes()

    def scale(self, raw: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the scaled features and where they are defaults, both of shape ``(n_jets, 67)``.

        A default becomes ``(default - mean) / std``. Nothing is clamped: a finite but absurd value stays
        absurd, and may overflow to infinity.

        Args:
            raw: Features in physical units as read, shape ``(n_jets, 67)``.
        """
        scaled = np.empty(raw.shape, dtype=np.float32)
        mask = np.empty(raw.shape, dtype=np.bool_)
        default = (self.default - self.mean) / self.std
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(raw), _BLOCK):
                part = slice(start, start + _BLOCK)
                mask[part] = default_mask(raw[part])
                np.subtract(raw[part], self.mean, out=scaled[part])
                scaled[part] /= self.std
                np.copyto(scaled[part], default, where=mask[part])
        return scaled, mask

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain lists for JSON; `from_dict` gives back the very same bits."""
        return {name: getattr(self, name).tolist() for name in ("mean", "std", "default")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Sequence[float]]) -> "FeatureScaler":
        """Return the scaler written by `to_dict`.

        Raises:
            ValueError: If a key is missing or unknown, or the numbers do not make a scaler.
        """
        expected = {"mean", "std", "default"}
        if set(content) != expected:
            raise ValueError(f"scaler: got the keys {sorted(content)}, expected {sorted(expected)}")
        return cls(**{name: np.asarray(content[name], dtype=np.float32) for name in expected})


class ScalerStatistics:
    """Count, mean, spread and range of each feature's non-default values, gathered piece by piece.

    The order and size of the pieces change the result by rounding of float64 only. Statistics of several
    workers add up with `merge`.

    Source:
        Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
        1979.
    """

    def __init__(self) -> None:
        self._count = np.zeros(N_FEATURES)
        self._mean = np.zeros(N_FEATURES)
        self._squares = np.zeros(N_FEATURES)  # sum of (x - mean)^2
        self._minimum = np.full(N_FEATURES, np.inf)
        self._maximum = np.full(N_FEATURES, -np.inf)

    @property
    def count(self) -> NDArray[np.int64]:
        """Number of non-default values seen of each feature, shape ``(67,)``."""
        return self._count.astype(np.int64)

    def update(self, raw: NDArray[np.float32]) -> None:
        """Add jets.

        Args:
            raw: Features in physical units as read, shape ``(n_jets, 67)``; defaults are found and left out
                here.
        """
        for start in range(0, len(raw), _BLOCK):
            self._update_block(raw[start : start + _BLOCK])

    def _update_block(self, raw: NDArray[np.float32]) -> None:
        present = ~default_mask(raw)
        values = np.where(present, raw, 0.0).astype(np.float64)
        piece = ScalerStatistics()
        piece._count = present.sum(axis=0, dtype=np.float64)
        piece._mean = values.sum(axis=0) / np.maximum(piece._count, 1)
        piece._squares = np.square(np.where(present, values - piece._mean, 0.0)).sum(axis=0)
        piece._minimum = np.where(present, values, np.inf).min(axis=0, initial=np.inf)
        piece._maximum = np.where(present, values, -np.inf).max(axis=0, initial=-np.inf)
        self.merge(piece)

    def merge(self, other: "ScalerStatistics") -> None:
        """Add the jets another instance has seen."""
        count = self._count + other._count
        share = other._count / np.maximum(count, 1)
        shift = other._mean - self._mean
        self._squares = self._squares + other._squares + shift**2 * self._count * share
        self._mean = self._mean + shift * share
        self._count = count
        self._minimum = np.minimum(self._minimum, other._minimum)
        self._maximum = np.maximum(self._maximum, other._maximum)

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain lists for JSON, so that gathering can go on in another process with the same bits."""
        return {name.removeprefix("_"): values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Sequence[float]]) -> "ScalerStatistics":
        """Return the statistics written by `to_dict`."""
        statistics = cls()
        for name in vars(statistics):
            setattr(statistics, name, np.asarray(content[name.removeprefix("_")], dtype=np.float64))
        return statistics

    def finish(self, *, default_value: Literal["minimum", "zero"] = "minimum") -> FeatureScaler:
        """Return the scaler: mean, population standard deviation, and what stands for a missing value.

        A feature that never had a value gets mean 0, width 1 and default 0; a constant one gets width 1.

        Args:
            default_value: minimum: the smallest value - 0.001 (thesis); zero: 0 after scaling, so the mean
                (DeepCSV).
        """
        seen = self._count > 0
        # A constant is told by its range: its summed squares may be left at rounding level instead of 0.
        spread = self._maximum > self._minimum
        variance = self._squares / np.maximum(self._count, 1)
        below_minimum = np.where(seen, self._minimum - DEFAULT_GAP, 0.0)
        return FeatureScaler(
            mean=self._mean.astype(np.float32),
            std=np.where(spread, np.sqrt(variance), 1.0).astype(np.float32),
            default=(self._mean if default_value == "zero" else below_minimum).astype(np.float32),
        )
