"""Many taggers, raw and distorted inputs: what some jets get of all of them, each thing computed once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.networks import Inputs, scaled_inputs
from models.perturbations import JetKeys, Variant, gaussian_noise, perturb
from models.scaler import FeatureScaler
from models.tagger import Tagger


class Prediction(NamedTuple):
    """The logits ``(n_jets, 4)`` of a tagger for one variant, and the features ``(n_jets, 67)`` behind."""

    tagger: Tagger
    variant: Variant
    features: NDArray[np.float32]
    logits: NDArray[np.float32]


def predictions(
    taggers: Sequence[Tagger],
    variants: Sequence[Variant],
    *,
    raw: NDArray[np.float32],
    keys: JetKeys,
    labels: NDArray[np.int64],
    seed: int,
) -> Iterator[Prediction]:
    """Yield what all taggers make of all variants of some jets, in any order.

    The numbers are those of each tagger and variant alone. What they share is computed once: the direction
    of the noise, which depends on the jet alone, for all; cleaning, scaling and noisy inputs for all taggers
    of a scaler, such as the epochs of a training; the gradient of a tagger for all sizes of an attack, and
    the raw logits on the way to it.

    Args:
        taggers: The taggers.
        variants: How the inputs are distorted; attacks need labels.
        raw: Features as read, shape ``(n_jets, 67)``.
        keys: What names the jets.
        labels: True flavours, 0 to 3, shape ``(n_jets,)``; -1 where unknown.
        seed: The seed of the noise.

    Raises:
        ValueError: If jets without truth are attacked, or a tagger without attack.
    """
    noise = gaussian_noise(seed, keys) if any(variant.needs_noise for variant in variants) else None
    jets = _Jets(raw, labels, noise)
    by_scaler: dict[FeatureScaler, list[Tagger]] = {}
    for tagger in taggers:
        by_scaler.setdefault(tagger.scaler, []).append(tagger)
    for scaler, group in by_scaler.items():
        inputs = scaled_inputs(raw, scaler)
        for tagger in group:
            own = [variant for variant in variants if variant.is_identity or variant.needs_truth]
            yield from _of_one_tagger(tagger, own, jets, inputs)
        for variant in variants:
            if not (variant.is_identity or variant.needs_truth):
                yield from _of_one_variant(group, variant, jets, inputs)


class _Jets(NamedTuple):
    raw: NDArray[np.float32]
    labels: NDArray[np.int64]
    noise: NDArray[np.float32] | None


class _AtRaw:
    """A tagger at the undistorted jets: its gradient there is computed once, and the logits come with it."""

    def __init__(self, tagger: Tagger, jets: _Jets, inputs: Inputs) -> None:
        self.scaler = tagger.scaler
        self._tagger, self._jets, self._inputs = tagger, jets, inputs
        network = tagger.network
        self._attack = None if network is None or network.attack_bytes is None else network
        self._logits: NDArray[np.float32] | None = None
        self._sign: NDArray[np.float32] | None = None

    def logits(self, *, is_attacked: bool) -> NDArray[np.float32]:
        """Return the logits of the undistorted jets."""
        if self._logits is None:
            if is_attacked and self._attack is not None:
                self._logits, self._sign = self._attack.logits_and_sign(self._inputs, self._jets.labels)
            else:
                self._logits = _logits(self._tagger, self._inputs)
        return self._logits

    def gradient_sign(self, raw: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the sign of the gradient at any features; at the undistorted ones, that of before."""
        if raw is not self._jets.raw:
            return self._computed_sign(raw, labels)
        if self._sign is None:
            self._sign = self._computed_sign(raw, labels)
        return self._sign

    def _computed_sign(self, raw: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float32]:
        if self._attack is None:
            return self._tagger.gradient_sign(raw, labels)
        is_raw = raw is self._jets.raw
        inputs = self._inputs if is_raw else scaled_inputs(raw, self.scaler)
        return self._attack.logits_and_sign(inputs, labels)[1]


def _of_one_tagger(
    tagger: Tagger, variants: Sequence[Variant], jets: _Jets, inputs: Inputs
) -> Iterator[Prediction]:
    """Yield the raw prediction and those under attack."""
    at_raw = _AtRaw(tagger, jets, inputs)
    is_attacked = any(variant.needs_truth and not variant.needs_noise for variant in variants)
    for variant in variants:
        if variant.is_identity:
            yield Prediction(tagger, variant, jets.raw, at_raw.logits(is_attacked=is_attacked))
            continue
        moved = perturb(
            variant, at_raw, jets.raw, labels=jets.labels, noise=jets.noise, is_default=inputs.is_default
        )
        yield Prediction(tagger, variant, moved, _logits(tagger, scaled_inputs(moved, tagger.scaler)))


def _of_one_variant(
    taggers: Sequence[Tagger], variant: Variant, jets: _Jets, inputs: Inputs
) -> Iterator[Prediction]:
    """Yield the predictions for inputs that are the same for all taggers of a scaler."""
    moved = perturb(variant, taggers[0], jets.raw, noise=jets.noise, is_default=inputs.is_default)
    distorted = scaled_inputs(moved, taggers[0].scaler)
    for tagger in taggers:
        yield Prediction(tagger, variant, moved, _logits(tagger, distorted))


def _logits(tagger: Tagger, inputs: Inputs) -> NDArray[np.float32]:
    network = tagger.network
    return tagger.logits(inputs.features) if network is None else network.logits(inputs)
