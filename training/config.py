"""What a user writes in the YAML of `advtag prepare` and `advtag train`, checked and frozen.

Paths are relative to the folder the command runs in.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Reweighting = Literal["average", "flat", "none"]
Method = Literal["basic", "fgsm"]
LossInput = Literal["logits", "softmax"]
Device = Literal["cpu", "cuda", "auto"]


class _Card(BaseModel):
    """A run card: no key is unknown, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PrepareConfig(_Card):
    """How ROOT files become shards of jets."""

    inputs: tuple[str, ...] = Field(min_length=1, description="ROOT files, or globs like samples/*.root")
    output: Path = Field(description="folder of the shards; made anew")
    reweighting: Reweighting = Field("average", description="target of the (pT, eta) weights per flavour")
    pt_bins: int = Field(50, ge=1, le=1000, description="equal bins of pT between 20 and 1000 GeV")
    eta_bins: int = Field(50, ge=1, le=1000, description="equal bins of eta between -2.5 and 2.5")
    balance_flavours: bool = Field(
        True,
        description="scale each flavour to the same sum of weights, which gives back what empty bins cost it",
    )
    weight_cap: float | None = Field(
        None, gt=1, description="no weight above this multiple of its flavour's mean weight; null: no cap"
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

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="label of the tagger in tables and plots")
    data: Path = Field(description="folder made by `advtag prepare`")
    output: Path = Field(description="run directory: one checkpoint an epoch")
    method: Method = Field("basic", description="basic: raw inputs; fgsm: every batch is attacked first")
    epsilon: float = Field(
        0.1,
        ge=0,
        le=10,
        description="FGSM step in standard deviations of a feature; the validation of basic uses it too",
    )
    gamma: float = Field(
        0.0, ge=0, le=100, description="focusing parameter of the loss; 0 is the cross entropy"
    )
    loss_input: LossInput = Field(
        "logits", description="softmax: the loss sees softmax twice, as in the thesis"
    )
    epochs: int = Field(20, ge=1, le=10_000)
    batch_size: int = Field(1000, ge=1, description="jets per step of the optimiser")
    micro_batch: int | None = Field(None, ge=1, description="jets computed at once; null: the whole batch")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of the first epoch")
    decay_epochs: float = Field(
        30.0, gt=0, description="epoch e of 0, 1, ... uses learning_rate / (1 + e / this)"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="probability to drop a node of a hidden layer")
    window_shards: int | None = Field(
        None, ge=1, description="shards in memory at once, shuffled together; null: all of them"
    )
    seed: int = Field(1, ge=0, lt=2**63)
    threads: int = Field(1, ge=1, le=1024, description="processor threads of torch")
    device: Device = Field("cpu", description="auto: the GPU if there is one")

    @property
    def training_epsilon(self) -> float:
        """The FGSM step the network is trained with: 0 for the basic method."""
        return self.epsilon if self.method == "fgsm" else 0.0


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


class _UniqueKeysLoader(yaml.SafeLoader):
    """Safe YAML without repeated keys, of which the last would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_card(path: Path, card: type[_AnyCard]) -> _AnyCard:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: give the path of a YAML configuration")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeysLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not valid YAML ({reason}): mend the file") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected keys and values, got {type(content).__name__}: see configs/ for examples"
        )
    try:
        return card.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: {_first_complaint(error, card)}") from error


def _first_complaint(error: ValidationError, card: type[_Card]) -> str:
    """Return the first of pydantic's complaints as part of a sentence: key, what is wrong, mend."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}': choose from {', '.join(card.model_fields)}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing: add it ({card.model_fields[key].description})"
    if first["input"] is None:
        return f"the key '{key}' has no value: give one or remove the key"
    message = first["msg"].removeprefix("Value error, ").replace("tuple", "list")
    if not key:
        return f"{message}: mend these keys"
    return f"key '{key}': {message[0].lower()}{message[1:]}, got {first['input']!r}: mend this value"
