"""What a user writes in the YAML of `advtag prepare` and `advtag train`, checked and frozen.

Paths are relative to the folder the command runs in.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from models.variants import Variant, parse_variant
from storage.documents import read_yaml
from storage.names import LONGEST_NAME
from training.method_cards import CARDS, AnyMethodCard

Reweighting = Literal["average", "flat", "none", "resample"]
DefaultValue = Literal["minimum", "zero"]
LossInput = Literal["logits", "softmax"]
AttackMode = Literal["eval", "train"]
Schedule = Literal["inverse", "constant", "cosine"]
Monitor = Literal["validation_loss", "validation_loss_attacked", "auc_raw", "auc_attacked"]
Device = Literal["cpu", "cuda", "auto"]


def _to_variant(value: Any) -> Variant:
    if isinstance(value, Variant):
        return value
    if not isinstance(value, str):
        raise ValueError("write a variant, e.g. fgsm:0.1")
    return parse_variant(value)


VariantText = Annotated[
    Variant,
    PlainValidator(_to_variant),
    PlainSerializer(lambda variant: variant.name, return_type=str),
]
"""A variant, written as its name."""


class _Card(BaseModel):
    """A run card: no key is unknown, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PrepareConfig(_Card):
    """How ROOT files become shards of jets."""

    inputs: tuple[str, ...] = Field(
        min_length=1, description="ROOT files: paths, URLs (root://, https://), or globs like samples/*.root"
    )
    variations: tuple[str, ...] = Field(
        (),
        description="ROOT files with the events of the inputs as other detectors see them, for methods like "
        "augment: each finds its input by itself, and all inputs have the same number",
    )
    output: Path = Field(description="folder of the shards; made anew")
    reweighting: Reweighting = Field(
        "average",
        description="target of the (pT, eta) weights per flavour; resample: each training jet is written as "
        "often as its weight of average says, on average, and weighs 1",
    )
    pt_bins: int = Field(50, ge=1, le=1000, description="equal bins of pT between 20 and 1000 GeV")
    eta_bins: int = Field(50, ge=1, le=1000, description="equal bins of eta between -2.5 and 2.5")
    balance_flavours: bool = Field(
        True,
        description="scale each flavour to the same sum of weights, which gives back what empty bins cost it",
    )
    weight_cap: float | None = Field(
        None, gt=1, description="no weight above this multiple of its flavour's mean weight; null: no cap"
    )
    default_value: DefaultValue = Field(
        "minimum",
        description="of a feature that is missing: 0.001 below the smallest one (thesis), or zero after "
        "scaling (DeepCSV)",
    )
    train_fraction: float = Field(0.72, gt=0, lt=1, description="share of the jets to train on")
    validation_fraction: float = Field(
        0.08, gt=0, lt=1, description="share to validate on; the rest is to test on"
    )
    feature_type: Literal["float16", "float32"] = Field("float16", description="storage of scaled features")
    shard_jets: int = Field(1_000_000, ge=100, description="about so many jets a shard")
    chunk_events: int = Field(20_000, ge=1, description="events read at once; changes no result")
    seed: int = Field(1, ge=0, lt=2**63, description="of the split and of the shuffling")

    @model_validator(mode="after")
    def _leaves_jets_to_test(self) -> "PrepareConfig":
        if self.train_fraction + self.validation_fraction >= 1:
            raise ValueError(
                "train_fraction + validation_fraction must stay below 1 to leave jets to test on"
            )
        return self


class TrainConfig(_Card):
    """One training.

    The default loss is the cross entropy, gamma 0: it learns from all jets, and so from a hundred thousand as
    well as from hundreds of millions. The thesis's gamma 25 on `softmax` all but ignores jets that are better
    than a guess; that spreads the scores over their range, and costs area where jets are few.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$",
        max_length=LONGEST_NAME,
        description="label of the tagger in tables and plots",
    )
    data: Path = Field(description="folder made by `advtag prepare`")
    output: Path = Field(description="run directory: one checkpoint an epoch")
    attack: VariantText = Field(
        Variant("raw"),
        description="what is done to the inputs it is trained on: raw (basic training), fgsm:0.1, "
        "pgd:0.1:steps=5, noise:0.1, sign_noise:0.1, noise_fgsm:0.05:0.1",
    )
    mix: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the attacked loss, the rest is the raw one: 0.5 is the thesis's Eq. 5.1",
    )
    attack_every: int = Field(1, ge=1, description="attack each k-th step of the optimiser only")
    attack_factors: Literal["none", "shifts"] = Field(
        "none",
        description="shifts: each feature is attacked in proportion to what detector variations move it by",
    )
    attack_mode: AttackMode = Field(
        "eval", description="craft without dropout; train: with it, as in the thesis"
    )
    consistency: float = Field(
        0.0,
        ge=0,
        description="weight of the divergence between scores on raw and on attacked inputs (TRADES)",
    )
    methods: tuple[AnyMethodCard, ...] = Field(
        (), description="what else the training does, in this order, each with its settings"
    )
    validation_attack: VariantText = Field(
        Variant("fgsm", 0.1), description="what each epoch is validated against, beside raw inputs"
    )
    gamma: float = Field(
        0.0, ge=0, le=100, description="focusing parameter of the loss; 0 is the cross entropy"
    )
    alpha: tuple[float, float, float, float] | None = Field(
        None, description="factors of the loss of b, bb, c and udsg jets; null: none"
    )
    loss_input: LossInput = Field(
        "logits", description="softmax: the loss sees softmax twice, as in the thesis"
    )
    epochs: int = Field(20, ge=1, le=10_000)
    batch_size: int = Field(1000, ge=1, description="jets per step of the optimiser")
    micro_batch: int | None = Field(None, ge=1, description="jets computed at once; null: the whole batch")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of the first epoch, or after the warm-up")
    schedule: Schedule = Field(
        "inverse",
        description="inverse: learning_rate / (1 + e / decay_epochs) in epoch e = 0, 1, ... (thesis); "
        "constant; cosine: down to 0 at the last step",
    )
    decay_epochs: float = Field(30.0, gt=0, description="of the inverse schedule")
    warmup_epochs: float = Field(0.0, ge=0, description="the rate first rises from 0 for so many epochs")
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without a better `monitor`; null: never"
    )
    monitor: Monitor = Field("auc_raw", description="the column of history.csv that patience looks at")
    dropout: float = Field(0.1, ge=0, lt=1, description="probability to drop a node of a hidden layer")
    window_shards: int | None = Field(
        None, ge=1, description="shards in memory at once, shuffled together; null: all of them"
    )
    seed: int = Field(1, ge=0, lt=2**63)
    threads: int = Field(1, ge=1, le=1024, description="processor threads of torch")
    device: Device = Field("cpu", description="auto: the GPU if there is one")

    precision: Literal["float32", "bf16"] = Field(
        "float32", description="bf16: faster matrix products of lower precision"
    )
    compile: bool = Field(False, description="let torch.compile fuse the network's operations; on GPUs only")
    tensorboard: bool = Field(False, description="log for TensorBoard, too, in the run directory")

    @model_validator(mode="after")
    def _has_one_set_of_factors(self) -> "TrainConfig":
        if self.attack_factors == "shifts" and self.attack.factors:
            raise ValueError(
                f"attack_factors: shifts and the factors of {self.attack.name} exclude each other"
            )
        if self.attack_factors == "shifts" and self.attack.is_identity:
            raise ValueError(f"attack_factors: shifts needs an attack, and attack is {self.attack.name}")
        return self

    @model_validator(mode="after")
    def _leaves_no_method_idle(self) -> "TrainConfig":
        changes_jets = not self.attack.is_identity or any(card.method == "augment" for card in self.methods)
        if changes_jets and any(card.method == "distillation" and card.weight == 1 for card in self.methods):
            raise ValueError(
                "distillation of weight 1 leaves attack and augment no loss to act on: give it a lower weight"
            )
        return self

    @property
    def method(self) -> str:
        """What the training does: basic, or the kind of attack and all else that changes it, joined by +."""
        changes = []
        if not self.attack.is_identity:
            changes = [self.attack.kind] + ["shifts"] * (self.attack_factors == "shifts")
            changes += ["mix"] * (self.mix < 1) + ["consistency"] * (self.consistency > 0)
        return "+".join([*changes, *(card.method for card in self.methods)]) or "basic"

    @property
    def needs_partners(self) -> bool:
        """Whether a method looks at jets as another detector sees them."""
        return any(card.needs_partners for card in self.methods)


_AnyCard = TypeVar("_AnyCard", bound=_Card)


def read_prepare_config(path: Path) -> PrepareConfig:
    """Return the run card of a preparation.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or a key is missing, unknown or out of bounds.
    """
    return _read_card(path, PrepareConfig)


def read_train_config(path: Path) -> TrainConfig:
    """Return the run card of a training.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or a key is missing, unknown or out of bounds.
    """
    return _read_card(path, TrainConfig)


def _read_card(path: Path, card: type[_AnyCard]) -> _AnyCard:
    path = Path(path)
    content = read_yaml(path, advice="give the path of a YAML configuration")
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected keys and values, got {type(content).__name__}: see configs/ for examples"
        )
    try:
        return card.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: {_first_complaint(error, card)}") from error


def _first_complaint(error: ValidationError, card: type[BaseModel]) -> str:
    """Return the first of pydantic's complaints as part of a sentence: key, what is wrong, mend."""
    first = error.errors()[0]
    place = list(first["loc"])
    if place[:1] == ["methods"] and len(place) > 2:
        card = CARDS[str(place.pop(2))]  # pydantic names the method between its number and its key
    key = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}': choose from {', '.join(card.model_fields)}"
    if first["type"] == "missing":
        name = next(str(part) for part in reversed(place) if part in card.model_fields)
        return f"the key '{key}' is missing: add it ({card.model_fields[name].description})"
    if first["type"].startswith("union_tag"):
        given = first.get("ctx", {}).get("tag")
        return f"key '{key}': {_what_of_a_method(given)}: choose method from {', '.join(CARDS)}"
    if first["input"] is None:
        return f"the key '{key}' has no value: give one or remove the key"
    message = first["msg"].removeprefix("Value error, ").replace("tuple", "list")
    if not key:
        return f"{message}: mend these keys"
    return f"key '{key}': {message[0].lower()}{message[1:]}, got {first['input']!r}: mend this value"


def _what_of_a_method(given: str | None) -> str:
    return f"unknown method '{given}'" if given else "expected keys and values, one of them 'method'"
