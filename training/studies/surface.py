"""The loss around the inputs, along the attack and along a random direction."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import IS_INTEGER, default_mask
from models.perturbations import gaussian_noise
from models.tagger import Tagger
from training.scanning import Block


class LossSurfaceRow(NamedTuple):
    """The mean cross entropy of jets moved by so many widths of every feature along either direction."""

    tagger: str
    epoch: int
    along_attack: float
    along_random: float
    loss: float


def loss_surface(
    taggers: Sequence[Tagger],
    block: Block,
    *,
    reach: float,
    steps: int = 21,
    max_jets: int = 1000,
    seed: int = 1,
) -> list[LossSurfaceRow]:
    """Return the loss on a square grid around the inputs of some jets.

    The two directions are the sign of the gradient and a random sign for every feature of every jet; defaults
    and integers stay. The loss is the plain cross entropy for every training, so that they compare.

    Args:
        taggers: Checkpoints.
        block: Jets; the first `max_jets` are taken.
        reach: How far the grid goes either way, in widths of a feature.
        steps: Points along each direction; odd, so that the middle is the unmoved jets.
        max_jets: Jets to average over.
        seed: Of the random direction.

    Source:
        Thesis, loss surfaces around the inputs; after H. Li et al., Visualizing the Loss Landscape of Neural
        Nets, NeurIPS 2018.
    """
    raw, labels = block.raw[:max_jets], block.labels[:max_jets]
    keys = type(block.keys)(*(key[:max_jets] for key in block.keys))
    random_sign = np.sign(gaussian_noise(seed, keys))
    movable = ~(default_mask(raw) | IS_INTEGER)
    distances = np.linspace(-reach, reach, steps).tolist()
    rows = []
    for tagger in taggers:
        attack = tagger.gradient_sign(raw, labels)
        for along_attack in distances:
            for along_random in distances:
                step = np.float32(along_attack) * attack + np.float32(along_random) * random_sign
                moved = np.where(movable, raw + step * tagger.scaler.std, raw)
                loss = cross_entropy(tagger.logits(moved), labels)
                rows.append(LossSurfaceRow(tagger.name, tagger.epoch, along_attack, along_random, loss))
    return rows


def cross_entropy(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean of -ln p of the true flavour over jets with finite logits, in nats; nan of none."""
    usable = np.isfinite(logits).all(axis=1)
    if not usable.any():
        return float("nan")
    values, truth = logits[usable].astype(np.float64), labels[usable]
    return float(np.mean(np.logaddexp.reduce(values, axis=1) - values[np.arange(len(truth)), truth]))
