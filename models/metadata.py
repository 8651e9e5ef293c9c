"""What a tagger file says about itself, stored inside the ONNX file as one JSON text."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
)

from models.event_split import EventSplit
from models.features import BRANCHES
from models.scaler import FeatureScaler
from models.variants import parse_variant
from storage.documents import parse_json
from storage.names import LONGEST_NAME, printable

SCHEMA_VERSION = 2
METADATA_KEY = "advtag"
"""The key in the ONNX file's `metadata_props` under which the JSON text lies."""


def _to_scaler(value: Any) -> FeatureScaler:
    if isinstance(value, FeatureScaler):
        return value
    if isinstance(value, Mapping):
        return FeatureScaler.from_dict(value)
    raise ValueError(f"scaler is a {type(value).__name__}, expected an object with mean, std and default")


def _advtag_version() -> str:
    try:
        return version("advtag")
    except PackageNotFoundError:
        return "not installed"


class TaggerMetadata(BaseModel):
    """The training behind a tagger and all that is needed to use it; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.+-]+$",
        max_length=LONGEST_NAME,
        description="label of the training, e.g. basic or adversarial",
    )
    epoch: int = Field(ge=0, lt=2**31, description="epochs of training behind this tagger")
    method: str = Field(
        pattern=r"^[a-z_]+(\+[a-z_]+)*$", description="how it was trained, e.g. basic, fgsm or fgsm+mix"
    )
    attack: str = Field(
        "raw", description="what was done to the inputs of the training: a variant such as fgsm:0.1, or raw"
    )
    gamma: float = Field(ge=0, description="exponent of the focal loss")
    loss_input: Literal["softmax", "logits"] = Field(
        description="what the log-softmax of the loss acts on: softmax is the thesis, which applies it twice"
    )
    scaler: Annotated[
        FeatureScaler, PlainValidator(_to_scaler), PlainSerializer(FeatureScaler.to_dict, return_type=dict)
    ]
    feature_names: tuple[str, ...] = BRANCHES
    data_fingerprint: str = Field(
        pattern=r"^[ -~]*$", description="fingerprint of the prepared data it was trained on"
    )
    adapted_on: str | None = Field(
        None, description="split of events, e.g. 0.333:1, whose unlabelled jets it saw; null: none"
    )
    advtag_version: str = Field(default_factory=_advtag_version)
    schema_version: Literal[2] = 2

    @field_validator("feature_names")
    @classmethod
    def _same_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) != len(BRANCHES):
            raise ValueError(f"{len(names)} features, but this advtag reads {len(BRANCHES)}")
        for index, (name, expected) in enumerate(zip(names, BRANCHES, strict=True)):
            if name != expected:
                raise ValueError(f"feature {index} is {name}, but this advtag reads {expected} there")
        return names

    @field_validator("attack")
    @classmethod
    def _is_a_variant(cls, text: str) -> str:
        return parse_variant(text).name

    @field_validator("adapted_on")
    @classmethod
    def _is_a_split(cls, text: str | None) -> str | None:
        return None if text is None else EventSplit.parse(text).name

    @property
    def label(self) -> str:
        """The training and its epoch, e.g. ``basic@12``."""
        return f"{self.name}@{self.epoch}"

    def to_properties(self) -> dict[str, str]:
        """Return the `metadata_props` of an ONNX file."""
        return {METADATA_KEY: self.model_dump_json(exclude_none=True)}


NEEDED_KEYS: Final = (
    *(name for name, field in TaggerMetadata.model_fields.items() if field.is_required()),
    "schema_version",
)
"""Of the JSON text; all others have a value where they are not given."""


def read_metadata(properties: Mapping[str, str], *, source: str) -> TaggerMetadata:
    """Return the metadata of an ONNX file.

    Args:
        properties: The file's `metadata_props`.
        source: What to call the file in an error, usually its path.

    Raises:
        ValueError: If the metadata are missing, of another schema, or wrong; in one sentence that names the
            file.
    """
    if METADATA_KEY not in properties:
        raise ValueError(
            f"{source}: no metadata named {METADATA_KEY!r} inside: export it with advtag, or add them as "
            "docs/files.md says"
        )
    content = _parsed(properties[METADATA_KEY], source)
    found = content["schema_version"]
    if found != SCHEMA_VERSION:
        raise ValueError(
            f"{source}: its metadata have schema {printable(str(found)[:20])}, but this advtag reads schema "
            f"{SCHEMA_VERSION}: use the advtag that wrote it, or export the tagger again"
        )
    if missing := [name for name in NEEDED_KEYS if name not in content]:
        raise ValueError(f"{source}: its metadata lack {', '.join(missing)}: add them as docs/files.md says")
    try:
        return TaggerMetadata.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"{source}: its metadata are wrong at {printable(place)}: {printable(first['msg'])}"
        ) from error


def _parsed(text: str, source: str) -> dict[str, Any]:
    complaint = f"{source}: its metadata are no JSON object with {', '.join(NEEDED_KEYS)}"
    try:
        content = parse_json(text, source=source)
    except ValueError as error:
        raise ValueError(f"{complaint} ({error})") from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise ValueError(f"{complaint}: add them as docs/files.md says")
    return content
