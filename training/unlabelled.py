"""Unlabelled jets without end: a draw for every step, the same however often a training was interrupted."""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.scaler import FeatureScaler
from models.unlabelled import UnlabelledJets
from training.batches import seed_of

_log = logging.getLogger(__name__)
_LARGEST = float(np.finfo(np.float16).max)
"""Scaled values are clipped to this, as those of the training jets are when they are stored."""
_FEW_JETS = 1000
"""Fewer jets than this, counted by what their weights are worth, and a network learns them by heart."""
_FEW_DRAWN = 50
"""A draw that is worth fewer than this is mostly noise."""
_STREAM = 0x756E6C61
"""Keeps these random numbers apart from the others of a training."""


class Draw(NamedTuple):
    """Jets of both domains, as many of simulation as of data: first simulation, then data.

    Attributes:
        scaled: Scaled features, float32, shape ``(2 n, 67)``.
        weights: What each stands for, of a domain 1 in sum; negative for a jet that is subtracted. All jets
            of a domain and sign have the same. float32, shape ``(2 n,)``.
    """

    scaled: torch.Tensor
    weights: torch.Tensor


class _Stratum:
    """The jets of a domain that are added, or those that are subtracted."""

    def __init__(self, scaled: NDArray[np.float32], sizes: NDArray[np.float64], device: torch.device) -> None:
        self._scaled = torch.from_numpy(scaled).to(device)
        self._reach = torch.from_numpy(np.cumsum(sizes) / sizes.sum()).to(device)

    def draw(self, n_jets: int, generator: torch.Generator) -> torch.Tensor:
        """Return the features of so many jets, drawn with probabilities as their sizes, ``(n_jets, 67)``."""
        places = torch.rand(n_jets, generator=generator, dtype=torch.float64, device=self._reach.device)
        indices = torch.searchsorted(self._reach, places, right=True)
        return self._scaled.index_select(0, indices.clamp_(max=len(self._scaled) - 1))


class _Domain:
    """The jets of simulation, or those of data."""

    def __init__(
        self,
        scaled: NDArray[np.float32],
        weights: NDArray[np.float32],
        *,
        what: str,
        device: torch.device,
    ) -> None:
        sizes = np.abs(weights, dtype=np.float64)
        total = float(weights.sum(dtype=np.float64))
        if not total > 0:
            raise ValueError(f"the weights of {what} add up to {total:g}: collect more of them")
        self.purity = total / float(sizes.sum())
        n_effective = total**2 / float(np.square(sizes).sum())
        if n_effective < _FEW_JETS:
            _log.warning(
                "%d jets of %s count for %.0f only: a network may learn them by heart",
                len(sizes),
                what,
                n_effective,
            )
        self._added, self._subtracted = (
            _Stratum(scaled[chosen], sizes[chosen], device) if chosen.any() else None
            for chosen in (weights > 0, weights < 0)
        )

    def draw(self, n_jets: int, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, float]]:
        """Yield added and then subtracted jets, with the weight of each; in all so many."""
        share = 0.5 * (1.0 - self.purity)  # of what is subtracted, in all sizes
        n_subtracted = 0 if self._subtracted is None else min(max(round(n_jets * share), 2), n_jets - 2)
        if self._added is not None:
            n_added = n_jets - n_subtracted
            yield self._added.draw(n_added, generator), (1.0 - share) / self.purity / n_added
        if self._subtracted is not None:
            yield self._subtracted.draw(n_subtracted, generator), -share / self.purity / n_subtracted


class UnlabelledPool:
    r"""The unlabelled jets of one selection, to draw from.

    A jet is drawn with a probability proportional to :math:`|w|`, with replacement; how many of a draw are
    subtracted is fixed. A sum over a draw with its weights estimates the weighted mean over all jets.

    Args:
        jets: Of simulation and data; their weights may be negative, as of same-sign events that are
            subtracted.
        scaler: Of the training.
        device: Where they are kept.
        name: What to call them in a message, usually their folder.

    Raises:
        ValueError: If the weights of either domain do not add up to more than 0.
    """

    def __init__(
        self, jets: UnlabelledJets, scaler: FeatureScaler, *, device: torch.device, name: str
    ) -> None:
        self.split, self.fingerprint, self.name, self._device = jets.split, jets.fingerprint, name, device
        scaled = np.clip(scaler.scale(jets.features)[0], -_LARGEST, _LARGEST)
        self._domains = [
            _Domain(scaled[chosen], jets.weights[chosen], what=f"{what} in {name}", device=device)
            for what, chosen in (("simulation", ~jets.is_data), ("data", jets.is_data))
        ]

    def draw(self, n_jets: int, seed: int) -> Draw:
        """Return so many jets of either domain; a function of the seed."""
        generator = torch.Generator(self._device).manual_seed(seed)
        parts = [part for domain in self._domains for part in domain.draw(n_jets, generator)]
        weights = [torch.full((len(scaled),), weight, device=self._device) for scaled, weight in parts]
        return Draw(torch.cat([scaled for scaled, _ in parts]), torch.cat(weights))

    def warn_of_few(self, n_jets: int) -> None:
        """Warn if subtraction leaves little of a draw of so many jets."""
        left = n_jets * min(domain.purity for domain in self._domains) ** 2
        if left < min(_FEW_DRAWN, n_jets):
            _log.warning(
                "%s: of %d jets a draw, subtraction leaves what %.0f are worth: draw more",
                self.name,
                n_jets,
                left,
            )


class UnlabelledLoader:
    """Draws for every step of a training, from each of some pools.

    Args:
        pools: One for each selection.
        n_jets: Drawn of simulation and as many of data, per pool and step.
        seed: Of the training.
        number: Of the method that draws; others draw other jets.
    """

    def __init__(self, pools: Sequence[UnlabelledPool], *, n_jets: int, seed: int, number: int = 0) -> None:
        self._pools, self._n_jets, self._seed, self._number = pools, n_jets, seed, number
        for pool in pools:
            pool.warn_of_few(n_jets)

    def __len__(self) -> int:
        return len(self._pools)

    def draws(self, step: int) -> list[Draw]:
        """Return a draw of each pool; a function of seed, method, pool and step alone."""
        return [
            pool.draw(self._n_jets, seed_of(_STREAM, self._seed, step, self._number, place))
            for place, pool in enumerate(self._pools)
        ]
