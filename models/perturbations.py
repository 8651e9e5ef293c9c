"""Noise and attacks on the inputs of a tagger, the same for every chunk size, executor and order.

A perturbation is given in scaled units (one unit is the width of a feature in the training sample) and
applied in physical ones. Integers and defaults never move, and nothing is clamped.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from models.features import IS_INTEGER, N_FEATURES, default_mask
from models.scaler import FeatureScaler

Kind = Literal["raw", "noise", "fgsm"]

_NEEDS_TRUTH: frozenset[str] = frozenset({"fgsm"})
_EXAMPLE = "raw,noise:0.1,fgsm:0.1"
_BLOCK = 4096
"""Jets whose noise is made at once; the working arrays stay in the processor's cache."""


class Variant(NamedTuple):
    """A perturbation with its size in scaled units: sigma of the noise, epsilon of the attack."""

    kind: Kind
    size: float = 0.0

    @property
    def name(self) -> str:
        """Its name on axes and command lines, e.g. ``noise:0.1``; `parse_variants` reads it."""
        if self.kind == "raw":
            return "raw"
        return f"{self.kind}:{np.format_float_positional(self.size, trim='-')}"

    @property
    def needs_truth(self) -> bool:
        """Whether it needs the true flavour of the jets, and so exists for simulation only."""
        return self.kind in _NEEDS_TRUTH


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


def parse_variants(text: str) -> list[Variant]:
    """Return the variants of a comma-separated list such as ``raw,noise:0.1,fgsm:0.1``.

    Raises:
        ValueError: If a kind is unknown, a size is missing, superfluous, negative or no number, or a variant
            is listed twice.
    """
    variants = [_parse_variant(part.strip()) for part in text.split(",")]
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"variants {text!r}: {name} is listed twice")
    return variants


def _parse_variant(text: str) -> Variant:
    kind, colon, size_text = text.partition(":")
    if kind not in get_args(Kind):
        raise ValueError(
            f"unknown variant {text!r}: choose from {', '.join(get_args(Kind))}, e.g. {_EXAMPLE}"
        )
    if kind == "raw":
        if colon:
            raise ValueError(f"variant {text!r}: raw takes no size")
        return Variant("raw")
    try:
        size = float(size_text)
    except ValueError:
        size = math.nan
    if not (math.isfinite(size) and size >= 0):
        raise ValueError(f"variant {text!r}: give a size in scaled units, not below 0, e.g. {kind}:0.1")
    return Variant(kind, size)  # type: ignore[arg-type]  # kind was checked against Kind above


def perturb(
    variant: Variant,
    tagger: Attackable,
    raw: NDArray[np.float32],
    *,
    keys: JetKeys | None = None,
    labels: NDArray[np.integer] | None = None,
    seed: int = 0,
    noise: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return a copy of the features moved by ``size * std * direction``, shape ``(n_jets, 67)``.

    Defaults, integers and everything at size 0 come back bit by bit as they were. The direction is unit
    noise, or the sign of the loss's gradient at the raw features.

    Args:
        variant: What to do and how much.
        tagger: Whose scaling is used and, for an attack, whose gradient.
        raw: Features in physical units as read, shape ``(n_jets, 67)``.
        keys: Which jets these are; noise needs it.
        labels: True flavours 0 to 3, shape ``(n_jets,)``; an attack needs them.
        seed: Seed of the noise.
        noise: The result of `gaussian_noise` for this seed and these jets, where several taggers or sizes
            share it.

    Raises:
        ValueError: If jets without truth (label -1) are attacked, or keys or labels are missing.
    """
    if variant.kind == "raw" or variant.size == 0.0:
        return raw.copy()
    if variant.kind == "noise":
        if noise is None:
            if keys is None:
                raise ValueError(f"variant {variant.name}: needs the keys of the jets")
            noise = gaussian_noise(seed, keys)
        direction = noise
    else:
        direction = tagger.gradient_sign(raw, _known(labels, variant))
    return _moved(raw, np.float32(variant.size) * tagger.scaler.std, direction)


def _known(labels: NDArray[np.integer] | None, variant: Variant) -> NDArray[np.integer]:
    if labels is None:
        raise ValueError(f"variant {variant.name}: needs the true flavours of the jets")
    if (unknown := int(np.count_nonzero(labels < 0))) > 0:
        raise ValueError(
            f"variant {variant.name}: {unknown} of {len(labels)} jets have no true flavour (label -1): "
            "attack simulation only"
        )
    return labels


def _moved(
    raw: NDArray[np.float32], step: NDArray[np.float32], direction: NDArray[np.float32]
) -> NDArray[np.float32]:
    movable = ~(default_mask(raw) | IS_INTEGER)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = step * direction
        moved += raw
    return np.where(movable, moved, raw)


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
    steps = np.arange(1, n_pairs + 1, dtype=np.uint64) * _GOLDEN
    for start in range(0, len(state), _BLOCK):
        words = _mix(state[start : start + _BLOCK, np.newaxis] + steps)
        block = noise[start : start + _BLOCK]
        radius = np.sqrt(-2.0 * np.log(_uniform(words >> np.uint64(32))))
        angle = 2.0 * np.pi * _uniform(words & np.uint64(0xFFFFFFFF))
        block[:, 0::2] = radius * np.cos(angle)
        block[:, 1::2] = (radius * np.sin(angle))[:, : n_features // 2]
    return noise


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit words: the finaliser of splitmix64, a bijection."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


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
        state = _mix((state ^ array.astype(np.uint64)) + _GOLDEN)
    return state
