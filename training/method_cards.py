"""What a user writes under `methods` in the YAML of `advtag train`: one card for each method.

The key `method` tells which card it is. A card says how a training differs from the basic one;
`training.composition` makes the methods of them.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

Discriminator = Literal["BvsL", "BvsC", "CvsB", "CvsL"]


class MethodCard(BaseModel):
    """A method's settings: no key is unknown, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    places: ClassVar[tuple[str, ...]] = ()
    """Keys that say where an input lies: on resuming its content counts, not its place."""
    needs_partners: ClassVar[bool] = False
    """Whether it looks at jets as another detector sees them."""


class AugmentCard(MethodCard):
    """Jets are replaced by themselves as another detector sees them."""

    needs_partners: ClassVar[bool] = True
    method: Literal["augment"]
    share: float = Field(0.5, gt=0, le=1, description="probability that a jet is replaced")


class PairConsistencyCard(MethodCard):
    """Scores of a jet are drawn towards those of the same jet as another detector sees it."""

    needs_partners: ClassVar[bool] = True
    method: Literal["pair_consistency"]
    weight: float = Field(1.0, gt=0, description="of the divergence between the scores of jet and partner")


class AdaptationCard(MethodCard):
    """What the methods have in common that look at unlabelled jets."""

    places: ClassVar[tuple[str, ...]] = ("unlabelled",)
    unlabelled: tuple[Path, ...] = Field(
        min_length=1,
        description="folders made by `advtag collect`: simulation and data are compared within each",
    )
    ramp_epochs: float = Field(2.0, ge=0, description="the weight first rises from 0 for so many epochs")
    jets: int = Field(
        256, ge=8, le=5000, description="drawn of simulation and as many of data, per folder and step"
    )
    weight: float = Field(1.0, gt=0, description="of the term in the loss, after the ramp")

    @field_validator("unlabelled")
    @classmethod
    def _differ(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        if len(set(folders)) < len(folders):
            raise ValueError("a folder is listed twice")
        return folders


class MmdOutputsCard(AdaptationCard):
    """The outputs get the same distribution in simulation and data: maximum mean discrepancy."""

    method: Literal["mmd_outputs"]
    weight: float = Field(3.0, gt=0, description="of the discrepancy, after the ramp")


class MmdHiddenCard(AdaptationCard):
    """The same of the last hidden layer."""

    method: Literal["mmd_hidden"]
    weight: float = Field(3.0, gt=0, description="of the discrepancy, after the ramp")


class GradientReversalCard(AdaptationCard):
    """A classifier tells data from simulation by the last hidden layer, which learns to leave it nothing."""

    method: Literal["gradient_reversal"]
    weight: float = Field(0.5, gt=0, description="of the reversed gradient, after the ramp")
    width: int = Field(64, ge=1, le=10_000, description="hidden nodes of the classifier")


class ScaleFactorPenaltyCard(AdaptationCard):
    """Scale factors are drawn to 1, by a penalty on the ratio of data to simulation in discriminators."""

    method: Literal["scale_factor_penalty"]
    jets: int = Field(
        1024, ge=8, le=100_000, description="drawn of simulation and as many of data, per folder and step"
    )
    bins: int = Field(10, ge=2, le=200, description="of equal population in simulation, per discriminator")
    discriminators: tuple[Discriminator, ...] = Field(
        ("BvsL", "CvsB", "CvsL"), min_length=1, description="whose shapes are compared"
    )


class DistillationCard(MethodCard):
    """A network learns the scores of another, trained before it, in the place of true flavours."""

    places: ClassVar[tuple[str, ...]] = ("teacher",)
    method: Literal["distillation"]
    teacher: Path = Field(description="run directory of the network to learn from")
    epoch: int | None = Field(None, ge=1, description="of the teacher; null: its last")
    temperature: float = Field(
        4.0, gt=0, le=1000, description="both networks' logits are divided by it in the loss"
    )
    weight: float = Field(
        1.0, gt=0, le=1, description="of the teacher's scores; the rest of the loss is that on true flavours"
    )


AnyMethodCard = Annotated[
    AugmentCard
    | PairConsistencyCard
    | MmdOutputsCard
    | MmdHiddenCard
    | GradientReversalCard
    | ScaleFactorPenaltyCard
    | DistillationCard,
    Field(discriminator="method"),
]

CARDS: dict[str, type[MethodCard]] = {
    get_args(card.model_fields["method"].annotation)[0]: card for card in get_args(get_args(AnyMethodCard)[0])
}
"""The cards by the name of their method."""
