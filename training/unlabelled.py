"""Unlabelled jets without end: a draw for every step, the same however often a training was interrupted."""

import logging
from collections.abc import Sequence
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
"""Fewer than this in a draw, and its weights mostly cancel each other."""
_STREAM = 0x756E6C61
"""Keeps these random numbers apart from the others of a training."""


class Draw(NamedTuple):
    """Jets of both domains, as many of simulation as of data: first simulation, then data.

    Attributes:
        scaled: Scaled features, float32, shape ``(2 n, 67)``.
        signs: 1, or -1 for a jet that is subtracted, float32, shape ``(2 n,)``.
    """

    scaled: torch.Tensor
    signs: torch.Tensor


class _Domain:
    """The jets of simulation, or those of data, with how likely each is drawn."""

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
        self._scaled = torch.from_numpy(scaled).to(device)
        self._signs = torch.from_numpy(np.sign(weights)).to(device)
        self._reach = torch.from_numpy(np.cumsum(sizes) / sizes.sum()).to(device)

    def draw(self, n_jets: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.rand(n_jets, generator=generator, dtype=torch.float64, device=self._reach.device)
        indices = torch.searchsorted(self._reach, places, right=True).clamp_(max=len(self._signs) - 1)
        return self._scaled.index_select(0, indices), self._signs.index_select(0, indices)


class UnlabelledPool:
    r"""The unlabelled jets of one selection, to draw from.

    A jet is drawn with a probability proportional to :math:`|w|`, with replacement, and its sign is kept: a
    mean over draws with their signs estimates the weighted mean over all jets.

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
        scaled, signs = zip(*(domain.draw(n_jets, generator) for domain in self._domains), strict=True)
        return Draw(torch.cat(scaled), torch.cat(signs))

    def warn_of_few(self, n_jets: int) -> None:
        """Warn if the signs of a draw of so many jets leave little of it."""
        left = n_jets * min(domain.purity for domain in self._domains) ** 2
        if left < min(_FEW_DRAWN, n_jets):
            _log.warning(
                "%s: of %d jets a draw, signs leave what %.0f are worth: draw more", self.name, n_jets, left
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
