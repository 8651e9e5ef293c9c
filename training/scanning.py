"""One pass over the test jets for every tagger, every perturbation of the inputs and every study."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.discriminators import has_outputs
from models.perturbations import JetKeys, Variant, gaussian_noise, perturb
from models.scaler import FeatureScaler
from models.tagger import Tagger
from storage.wording import few
from training.shards import TrainingData

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)

BLOCK_JETS: Final = 20_000
"""Jets worked on at once: enough to rank within, few enough to need little memory."""


class Checkpoint(NamedTuple):
    """One epoch of one training, on one variant of the inputs."""

    tagger: str
    epoch: int
    variant: str


class Block(NamedTuple):
    """Some test jets.

    `raw` are physical features ``(n_jets, 67)``, `labels` 0 to 3 ``(n_jets,)``, `reference` the reference
    tagger's probabilities ``(n_jets, 4)`` where there are any.
    """

    raw: NDArray[np.float32]
    labels: NDArray[np.int64]
    keys: JetKeys
    reference: NDArray[np.float32] | None


class Prediction(NamedTuple):
    """What a tagger makes of a block: its perturbed features ``(n_jets, 67)`` and logits ``(n_jets, 4)``."""

    tagger: Tagger
    variant: Variant
    features: NDArray[np.float32]
    logits: NDArray[np.float32]

    @property
    def checkpoint(self) -> Checkpoint:
        """What it is of."""
        return Checkpoint(self.tagger.name, self.tagger.epoch, self.variant.name)


class Observer(Protocol):
    """A study that looks at predictions as they come and keeps sums only."""

    def look(self, block: Block, prediction: Prediction) -> None:
        """Take notice of one tagger's prediction on one variant of the block."""

    def end_block(self, block: Block) -> None:
        """Take notice that all predictions of the block were shown."""


def scan(
    data: Path,
    taggers: Sequence[Tagger],
    variants: Sequence[Variant],
    observers: Sequence[Observer],
    *,
    max_jets: int | None = None,
    seed: int = 1,
    progress: Progress | None = None,
) -> None:
    """Show every observer every tagger's prediction on every variant, block by block of the test jets.

    Args:
        data: Folder of the training data.
        taggers: Checkpoints; attacks are crafted against the one that predicts.
        variants: Perturbations of the inputs.
        observers: Who looks.
        max_jets: Only so many jets, which are a random sample as the shards are shuffled; None for all.
        seed: Of the noise.
        progress: Called with the predictions made and their total, in jets.

    Raises:
        FileNotFoundError: If there are no training data.
        ValueError: If the test split is empty or damaged, or a tagger gives no finite output for any jet.
    """
    training_data = TrainingData(data)
    training_data.require_intact("test")
    broken: Counter[Checkpoint] = Counter()
    n_jets = min(training_data.n_jets("test"), max_jets or np.iinfo(np.int64).max)
    n_done, n_total = 0, n_jets * len(taggers) * len(variants)
    for block in read_blocks(data, max_jets=max_jets):
        noise = gaussian_noise(seed, block.keys) if any(each.needs_noise for each in variants) else None
        for tagger in taggers:
            attacked = _RememberedGradient(tagger, block.raw)
            for variant in variants:
                features = perturb(
                    variant, attacked, block.raw, keys=block.keys, labels=block.labels, seed=seed, noise=noise
                )
                prediction = Prediction(tagger, variant, features, tagger.logits(features))
                broken[prediction.checkpoint] += int(np.count_nonzero(~has_outputs(prediction.logits)))
                for observer in observers:
                    observer.look(block, prediction)
                n_done += len(block.labels)
                if progress:
                    progress(n_done, n_total)
        for observer in observers:
            observer.end_block(block)
    _tell_of_broken(broken, n_jets)


def _tell_of_broken(broken: "Counter[Checkpoint]", n_jets: int) -> None:
    """Say how many jets are without a finite output of which checkpoint; they rank lowest.

    Raises:
        ValueError: If all are.
    """
    names = {each: f"{each.tagger}@{each.epoch}/{each.variant}" for each in broken}
    if nothing := [names[each] for each, n_broken in broken.items() if n_broken == n_jets]:
        raise ValueError(
            f"none of the {n_jets} jets has a finite output of {few(nothing, joint=', ')}: leave this tagger "
            "out, or export it again from weights that are numbers"
        )
    if some := [f"{names[each]} {n_broken}" for each, n_broken in broken.items() if n_broken]:
        _log.warning("outputs that are not finite for some of %d jets: %s", n_jets, few(some, joint=", "))


def read_blocks(data: Path, *, max_jets: int | None = None, block_jets: int = BLOCK_JETS) -> Iterator[Block]:
    """Yield the jets of the test split, or the first `max_jets` of their random order, in blocks.

    Raises:
        FileNotFoundError: If there are no training data.
        ValueError: If the split is empty.
    """
    training_data = TrainingData(data)
    if not training_data.n_jets("test"):
        raise ValueError(f"{data}: holds no jet to test on: prepare more files")
    n_left = min(training_data.n_jets("test"), max_jets or np.iinfo(np.int64).max)
    for jets in training_data.evaluation_jets():
        for start in range(0, min(len(jets.labels), n_left), block_jets):
            part = slice(start, min(start + block_jets, n_left))
            keys = JetKeys(*np.array(jets.keys[part]).T)
            reference = None if jets.reference is None else np.array(jets.reference[part])
            yield Block(np.array(jets.raw[part]), jets.labels[part].astype(np.int64), keys, reference)
        n_left -= min(len(jets.labels), n_left)
        if not n_left:
            return


class _RememberedGradient:
    """A tagger that works out its gradient at the unperturbed jets once for attacks of all sizes."""

    def __init__(self, tagger: Tagger, raw: NDArray[np.float32]) -> None:
        self._tagger, self._raw = tagger, raw
        self._sign: NDArray[np.float32] | None = None

    @property
    def scaler(self) -> FeatureScaler:
        """The scaling of the tagger's inputs."""
        return self._tagger.scaler

    def gradient_sign(self, raw: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the sign of d(loss)/d(feature), shape ``(n_jets, 67)``."""
        if raw is not self._raw:
            return self._tagger.gradient_sign(raw, labels)
        if self._sign is None:
            self._sign = self._tagger.gradient_sign(raw, labels)
        return self._sign
