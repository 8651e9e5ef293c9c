"""Noise and attacks on the inputs of a tagger, the same for every chunk size, executor and order.

A perturbation (`models.variants`) is given in scaled units (one unit is the width of a feature in the
training sample) and applied in physical ones. Integers and defaults never move, and nothing is clamped.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from models.features import IS_INTEGER, N_FEATURES, default_mask
from models.hashing import GOLDEN, mix
from models.scaler import FeatureScaler
from models.variants import Variant, parse_variants

__all__ = ["Attackable", "JetKeys", "Variant", "gaussian_noise", "parse_variants", "perturb"]

_BLOCK = 4096
"""Jets whose noise is made at once; the working arrays stay in the processor's cache."""


class JetKeys(NamedTuple):
    """What tells a jet from all others: four arrays of integers, each of shape ``(n_jets,)``."""

    run: NDArray[np.integer]
    luminosity_block: NDArray[np.integer]
    event: NDArray[np.integer]
    jet: NDArray[np.integer]


class Attackable(Protocol):
    """The part of a tagger that a perturbation needs."""

    @property
    def scaler(self) -> FeatureScaler:
        """The scaling of its inputs."""
        ...

    def gradient_sign(self, raw: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the sign of d(loss)/d(feature), shape ``(n_jets, 67)``."""
        ...


def perturb(
    variant: Variant,
    tagger: Attackable,
    raw: NDArray[np.float32],
    *,
    keys: JetKeys | None = None,
    labels: NDArray[np.integer] | None = None,
    seed: int = 0,
    noise: NDArray[np.float32] | None = None,
    is_default: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return a copy of the features moved as the variant says, shape ``(n_jets, 67)``.

    Defaults, integers and everything at size 0 come back bit by bit as they were. One step of PGD without a
    random start is FGSM, bit by bit.

    Args:
        variant: What to do and how much.
        tagger: Whose scaling is used and, for an attack, whose gradient.
        raw: Features in physical units as read, shape ``(n_jets, 67)``.
        keys: Which jets these are; noise and random starts need it.
        labels: True flavours 0 to 3, shape ``(n_jets,)``; an attack needs them.
        seed: Seed of the noise.
        noise: The result of `gaussian_noise` for this seed and these jets, where several taggers or sizes
            share it.
        is_default: Where `raw` holds no value, shape ``(n_jets, 67)``, where that is known.

    Raises:
        ValueError: If jets without truth (label -1) are attacked, or keys or labels are missing.
    """
    if variant.is_identity:
        return raw.copy()
    if variant.needs_noise and noise is None:
        if keys is None:
            raise ValueError(f"variant {variant.name}: needs the keys of the jets")
        noise = gaussian_noise(seed, keys)
    mask = default_mask(raw) if is_default is None else is_default
    box = _Box(raw, mask, variant, variant.feature_factors() * tagger.scaler.std)
    moved = raw
    if noise is not None and variant.needs_noise:
        moved = box.move(raw, variant.noise_size, _direction(variant, noise))
    if variant.needs_truth:
        truth = _known(labels, variant)
        for _ in range(variant.steps):
            moved = box.move(moved, variant.step_length, tagger.gradient_sign(moved, truth))
    return moved


def _direction(variant: Variant, noise: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return the random move of a variant in units of its size, made from normal noise."""
    if variant.kind == "pgd":
        # The noise through its own cumulative distribution is uniform.
        uniform: NDArray[np.floating] = 2.0 * ndtr(noise) - 1.0
        return uniform
    return np.sign(noise) if variant.kind == "sign_noise" else noise


def _known(labels: NDArray[np.integer] | None, variant: Variant) -> NDArray[np.integer]:
    if labels is None:
        raise ValueError(f"variant {variant.name}: needs the true flavours of the jets")
    if (unknown := int(np.count_nonzero(labels < 0))) > 0:
        raise ValueError(
            f"variant {variant.name}: {unknown} of {len(labels)} jets have no true flavour (label -1): "
            "attack simulation only"
        )
    return labels


class _Box:
    """Where the features of some jets may go: frozen cells nowhere, the others as far as the variant says.

    Args:
        raw: The features before the perturbation, shape ``(n_jets, 67)``.
        is_default: Where they hold no value, shape ``(n_jets, 67)``.
        variant: The perturbation.
        unit: What a size of one means, in physical units, shape ``(67,)``.
    """

    def __init__(
        self,
        raw: NDArray[np.float32],
        is_default: NDArray[np.bool_],
        variant: Variant,
        unit: NDArray[np.float32],
    ) -> None:
        self._raw, self._unit = raw, unit
        self._frozen = is_default | IS_INTEGER | (unit <= 0)
        reach = None if variant.box is None else np.float32(variant.box) * unit
        if variant.restrict_impact is not None:
            own = np.float32(variant.restrict_impact) * np.abs(raw)
            reach = own if reach is None else np.minimum(reach, own)
        self._reach = reach

    def move(
        self, start: NDArray[np.float32], size: float, direction: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return ``start + size * unit * direction``, held in the box."""
        if size == 0:
            return start
        moved: NDArray[np.float32]
        with np.errstate(over="ignore", invalid="ignore"):
            moved = (np.float32(size) * self._unit) * direction.astype(np.float32, copy=False)
            moved += start
            if self._reach is not None:
                np.clip(moved, self._raw - self._reach, self._raw + self._reach, out=moved)
        np.copyto(moved, self._raw, where=self._frozen)
        return moved


def gaussian_noise(seed: int, keys: JetKeys, n_features: int = N_FEATURES) -> NDArray[np.float32]:
    r"""Return normal noise of mean 0 and width 1, shape ``(n_jets, n_features)``.

    Each number is a function of (seed, run, luminosity block, event, jet, feature) alone. The four integers
    of a jet are folded into 64 bits :math:`h` by the splitmix64 mixer; from there splitmix64 gives one 64-bit
    word for each pair of features, and the Box-Muller transform turns its halves :math:`u, v \in (0, 1)` into

    .. math:: \sqrt{-2 \ln u} \cos 2 \pi v, \quad \sqrt{-2 \ln u} \sin 2 \pi v .

    With 32 bits no value exceeds 6.8. Computed in float64 and then rounded, so that processors with other
    vector units give the same float32, but for some one in 10^8.

    Raises:
        ValueError: If the keys are not integers, or differ in length.

    Source:
        Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; Box and Muller,
        Annals of Mathematical Statistics 29 (1958) 610.
    """
    state = _jet_state(seed, keys)
    n_pairs = (n_features + 1) // 2
    noise = np.empty((len(state), n_features), dtype=np.float32)
    steps = np.arange(1, n_pairs + 1, dtype=np.uint64) * GOLDEN
    for start in range(0, len(state), _BLOCK):
        words = mix(state[start : start + _BLOCK, np.newaxis] + steps)
        block = noise[start : start + _BLOCK]
        radius = np.sqrt(-2.0 * np.log(_uniform(words >> np.uint64(32))))
        angle = 2.0 * np.pi * _uniform(words & np.uint64(0xFFFFFFFF))
        block[:, 0::2] = radius * np.cos(angle)
        block[:, 1::2] = (radius * np.sin(angle))[:, : n_features // 2]
    return noise


def _uniform(half_words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Map integers below 2^32 to the centres of as many bins of (0, 1): neither 0 nor 1 is ever reached."""
    return (half_words.astype(np.float64) + 0.5) * 2.0**-32


def _jet_state(seed: int, keys: Sequence[NDArray[np.integer]]) -> NDArray[np.uint64]:
    arrays = [np.atleast_1d(np.asarray(key)) for key in keys]
    for name, array in zip(JetKeys._fields, arrays, strict=True):
        if array.dtype.kind not in "iu":
            raise ValueError(f"noise: the key {name!r} holds {array.dtype}, expected integers")
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"noise: the key {name!r} has shape {array.shape}, but run has {arrays[0].shape}"
            )
    state = np.full(arrays[0].shape, seed % 2**64, dtype=np.uint64)
    for array in arrays:
        # Adding the golden ratio between the parts keeps (1, 0) and (0, 1) apart.
        state = mix((state ^ array.astype(np.uint64)) + GOLDEN)
    return state
