"""What may be done to the inputs of a tagger: noise and attacks with their sizes, and their names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURES, JET_FIELDS

Kind = Literal["raw", "noise", "fgsm", "sign_noise", "noise_fgsm", "pgd"]

_ATTACKS: frozenset[str] = frozenset({"fgsm", "noise_fgsm", "pgd"})
_NOISY: frozenset[str] = frozenset({"noise", "sign_noise", "noise_fgsm"})
_EXAMPLE = "raw,noise:0.1,fgsm:0.1"
_STEPS = 10
_GROUPS = frozenset(feature.group for feature in FEATURES)


@dataclass(frozen=True)
class Variant:
    r"""A perturbation with its size, in scaled units: one is the width of a feature in the training sample.

    With normal noise :math:`N`, the loss :math:`J` and :math:`\sigma`, :math:`\epsilon` the size:

    * ``raw``: nothing;
    * ``noise``: :math:`x + \sigma N`;
    * ``sign_noise``: :math:`x + \epsilon\,\mathrm{sign} N`;
    * ``fgsm``: :math:`x + \epsilon\,\mathrm{sign} \nabla_x J`;
    * ``noise_fgsm``: ``noise`` of width `sigma`, then ``fgsm`` from there;
    * ``pgd``: `steps` steps of length `step` along :math:`\mathrm{sign} \nabla_x J`, each followed by the
      projection on :math:`|\Delta x| \le \epsilon`; from :math:`x`, or with `random_start` from anywhere in
      that box.

    Attributes:
        kind: Which of them.
        size: Epsilon; for `noise` sigma.
        sigma: Width of the noise that `noise_fgsm` starts from.
        steps: Of `pgd`.
        step: Length of a step of `pgd`; 0 stands for 2.5 size / steps, rounded to three digits.
        random_start: Whether `pgd` starts from a random place in the box.
        restrict_impact: At most this share of a feature's own value, in physical units, is added or taken
            away; None for no such limit.
        factors: For features (``vertexMass``) or groups (``SV``) their own multiple of every size; a feature
            goes before its group.

    Raises:
        ValueError: If the parts do not make a perturbation.

    Source:
        Thesis, section 1.5 (noise, FGSM) and Eq. 1.9; A. Madry et al., arXiv:1706.06083 (PGD; 2.5 epsilon /
        steps is from its appendix).
    """

    kind: Kind
    size: float = 0.0
    sigma: float = 0.0
    steps: int = 1
    step: float = 0.0
    random_start: bool = False
    restrict_impact: float | None = None
    factors: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"{self.kind!r}: choose from {', '.join(get_args(Kind))}, e.g. {_EXAMPLE}")
        if self.kind == "pgd" and self.step == 0:
            object.__setattr__(self, "step", float(f"{2.5 * self.size / max(self.steps, 1):.3g}"))
        object.__setattr__(self, "factors", tuple(sorted(self.factors)))
        sizes = (self.size, self.sigma, self.step, self.restrict_impact or 0.0)
        if not all(math.isfinite(size) and size >= 0 for size in (*sizes, *dict(self.factors).values())):
            raise ValueError(f"give a size in scaled units, not below 0, e.g. {self.kind}:0.1")
        if self.steps < 1 or self.steps != int(self.steps):
            raise ValueError(f"steps is {self.steps:g}: give a whole number from 1 on")
        unknown = sorted(set(dict(self.factors)) - _GROUPS - set(JET_FIELDS) - set(_SHORT))
        if unknown:
            raise ValueError(
                f"no option, feature or group {unknown[0]!r}: choose from {', '.join(_OPTIONS)}, "
                f"{', '.join(sorted(_GROUPS))}, or a feature such as vertexMass"
            )

    @property
    def name(self) -> str:
        """Its name on axes and command lines, e.g. ``noise:0.1``; `parse_variants` reads it."""
        if self.kind == "raw":
            return "raw"
        parts = [self.kind, *([_plain(self.sigma)] if self.kind == "noise_fgsm" else []), _plain(self.size)]
        if self.kind == "pgd":
            parts += [f"steps={self.steps}", f"step={_plain(self.step)}"]
            parts += ["start=1"] if self.random_start else []
        if self.restrict_impact is not None:
            parts.append(f"restrict={_plain(self.restrict_impact)}")
        return ":".join(parts + [f"{name}={_plain(factor)}" for name, factor in self.factors])

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every bit as it is: raw, or all sizes 0."""
        return self.size == 0 and self.sigma == 0

    @property
    def needs_truth(self) -> bool:
        """Whether it needs the true flavour of the jets, and so exists for simulation only."""
        return self.kind in _ATTACKS

    @property
    def needs_noise(self) -> bool:
        """Whether random numbers go into it."""
        return self.kind in _NOISY or self.random_start

    @property
    def noise_size(self) -> float:
        """Size of the random move at the beginning; 0 without one."""
        if self.kind == "noise_fgsm":
            return self.sigma
        return self.size if self.needs_noise else 0.0

    @property
    def step_length(self) -> float:
        """Length of one step along the gradient's sign."""
        return self.step if self.kind == "pgd" else self.size

    @property
    def box(self) -> float | None:
        """How far all steps together may lead; None where one step needs no such limit."""
        return self.size if self.kind == "pgd" else None

    def feature_factors(self) -> NDArray[np.float32]:
        """Return the multiple of its sizes that each feature moves by, 1 where none is given: ``(67,)``."""
        given = dict(self.factors)
        return np.array(
            [
                given.get(field, given.get(field.removeprefix(_PREFIX), given.get(feature.group, 1.0)))
                for field, feature in zip(JET_FIELDS, FEATURES, strict=True)
            ],
            dtype=np.float32,
        )


_PREFIX = "DeepCSV_"
_SHORT = tuple(field.removeprefix(_PREFIX) for field in JET_FIELDS)
_OPTIONS = ("steps", "step", "start", "restrict")


def _plain(number: float) -> str:
    return str(np.format_float_positional(number, trim="-"))


def parse_variants(text: str) -> list[Variant]:
    """Return the variants of a comma-separated list such as ``raw,noise:0.1,pgd:0.1:steps=10:restrict=0.2``.

    Raises:
        ValueError: If one is wrong (see `parse_variant`), or listed twice.
    """
    variants = [parse_variant(part) for part in text.split(",")]
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"variants {text!r}: {name} is listed twice")
    return variants


def parse_variant(text: str) -> Variant:
    """Return the variant of a text ``kind:size:option=value:...``.

    ``noise_fgsm`` has two sizes, sigma and epsilon. Options: ``restrict=0.2`` (`restrict_impact`), a feature
    or group with its factor (``SV=0.5``), and for ``pgd`` ``steps=10``, ``step=0.025`` and ``start=1`` (a
    random start).

    Raises:
        ValueError: If a kind is unknown, a size is missing, superfluous, negative or no number, or an option
            is unknown; in one sentence that quotes the text.
    """
    text = text.strip()
    kind, *rest = text.split(":")
    if kind not in get_args(Kind):
        raise ValueError(
            f"unknown variant {text!r}: choose from {', '.join(get_args(Kind))}, e.g. {_EXAMPLE}"
        )
    if kind == "raw":
        if rest:
            raise ValueError(f"variant {text!r}: raw takes no size")
        return Variant("raw")
    names = ("sigma", "size") if kind == "noise_fgsm" else ("size",)
    sizes, options = rest[: len(names)], dict(part.partition("=")[::2] for part in rest[len(names) :])
    try:
        numbers = [float(part) for part in sizes]
        if len(numbers) != len(names):
            raise ValueError
    except ValueError:
        example = f"{kind}:0.05:0.1" if len(names) == 2 else f"{kind}:0.1"
        what = "two sizes" if len(names) == 2 else "a size"
        raise ValueError(
            f"variant {text!r}: give {what} in scaled units, not below 0, e.g. {example}"
        ) from None
    try:
        return Variant(kind, **dict(zip(names, numbers, strict=True)), **_options(kind, options))  # type: ignore[arg-type]  # kind was checked against Kind above
    except ValueError as error:
        raise ValueError(f"variant {text!r}: {error}") from None


def _options(kind: str, texts: Mapping[str, str]) -> dict[str, object]:
    """Return the keywords of `Variant` for options as they were written."""
    try:
        values = {name: float(value) for name, value in texts.items()}
    except ValueError:
        raise ValueError("an option has no number: write name=number, e.g. restrict=0.2") from None
    found: dict[str, object] = {}
    if kind == "pgd":
        steps = values.pop("steps", _STEPS)
        found = {"steps": int(steps) if steps == int(steps) else steps, "step": values.pop("step", 0.0)}
        found["random_start"] = bool(values.pop("start", 0))
    if "restrict" in values:
        found["restrict_impact"] = values.pop("restrict")
    return {**found, "factors": tuple(values.items())}
