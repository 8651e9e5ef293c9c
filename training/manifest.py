"""The table of contents of prepared training data: what is in the shards, and where it came from."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.documents import MOST_LIST_BYTES, read_json
from training.config import PrepareConfig
from training.splitting import SplitName

MANIFEST_NAME = "manifest.json"
SCALER_NAME = "scaler.json"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardEntry(_Entry):
    """One shard: its arrays lie in `<split>/<array>_<number>.npy`."""

    number: int
    n_jets: int
    n_by_flavour: tuple[int, ...] = Field(description="b, bb, c, udsg")
    clipped_values: int = Field(description="scaled values beyond what the storage type holds")
    sha256: dict[str, str] = Field(description="per array")


class SplitEntry(_Entry):
    """One of train, validation and test."""

    n_jets: int
    n_by_flavour: dict[str, int]
    shards: tuple[ShardEntry, ...]


class VariationFileEntry(_Entry):
    """A file with the events of an input as another detector sees them."""

    path: str
    fingerprint: str
    has_index: bool = Field(description="whether it says which jet is which; else directions do")


class InputEntry(_Entry):
    """One file that was read."""

    path: str
    n_events: int
    n_jets: int
    fingerprint: str
    has_reference: bool = Field(description="whether it holds the reference tagger's scores")
    is_variation: bool = Field(False, description="whether it says which jet is which in another file")
    variations: tuple[VariationFileEntry, ...] = ()


class ReweightingEntry(_Entry):
    """What the weights do to a flavour of the training split."""

    share_of_weight: float = Field(description="of the summed weight of all flavours")
    effective_jets: float = Field(description="(sum w)^2 / sum w^2")
    largest_weight: float = Field(description="the mean of all jets is 1")


class VariationsEntry(_Entry):
    """How the jets of the training split look in other detectors."""

    n_variations: int = Field(description="of each jet")
    matched_shares: tuple[float, ...] = Field(
        description="share of the jets that each of them holds; the others are their own variation"
    )
    shifts: tuple[float, ...] = Field(
        description="per feature, root mean square of variation - nominal in standard deviations, where both "
        "hold a value"
    )


class Manifest(_Entry):
    """The whole of `manifest.json`."""

    format: Literal["advtag training data"] = "advtag training data"
    schema_version: Literal[2] = 2
    fingerprint: str = Field(description="SHA-256 over the hashes of all arrays and of the scaler")
    feature_names: tuple[str, ...]
    splits: dict[SplitName, SplitEntry]
    inputs: tuple[InputEntry, ...]
    dropped_jets: dict[str, int] = Field(description="per cut, in order")
    clipped_values: int = Field(description="of all shards")
    not_finite_values: dict[str, int] = Field(
        default_factory=dict, description="NaN or infinite, per input that has such; taken as missing"
    )
    reference: tuple[str, ...] | None = Field(
        description="branches of the reference tagger whose scores the test split holds; null: none"
    )
    reweighting: dict[str, ReweightingEntry] = Field(description="per flavour")
    variations: VariationsEntry | None = Field(None, description="null: none")
    config: PrepareConfig
    versions: dict[str, str]

    @property
    def shifts(self) -> tuple[float, ...] | None:
        """By how much variations move each feature, in standard deviations, ``(67,)``; None without any."""
        return self.variations.shifts if self.variations else None


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder of training data.

    Raises:
        FileNotFoundError: If the folder holds none.
        ValueError: If it was written in another format or version.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: holds no {MANIFEST_NAME}: make the training data with 'advtag prepare'"
        )
    try:
        return Manifest.model_validate(read_json(path, most_bytes=MOST_LIST_BYTES, finite=False))
    except ValueError as error:
        raise ValueError(f"{path}: not training data of this version: run 'advtag prepare' again") from error
