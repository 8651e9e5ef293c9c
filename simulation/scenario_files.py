"""Scenarios that a user writes down in YAML."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from simulation.scenarios import SCENARIOS, scenario_name, scenario_named
from storage.documents import read_yaml

_SUFFIXES = (".yaml", ".yml")


class ScenarioCard(BaseModel):
    """A scenario as a file says it, see `scenario_from`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    base: str | list[str] = Field("mc", description="Scenarios it starts from; data if one of them is.")
    knobs: dict[str, float | list[float]] = Field(
        default_factory=dict, description="Of the detector: a number, or [low, high] to draw from."
    )
    pythia: dict[str, bool | float | str] = Field(
        default_factory=dict, description="Settings of PYTHIA by name."
    )
    draw: int = Field(1, ge=1, description="Another number draws other knobs from the same ranges.")

    @field_validator("base", mode="before")
    @classmethod
    def _with_null(cls, base: object) -> object:
        """Return the scenario `null` where YAML read nothing: that is what the word means to it."""
        if isinstance(base, list):
            return ["null" if name is None else name for name in base]
        return "null" if base is None else base


def scenario_from(text: str) -> str:
    """Return the name of a scenario given by name or as a YAML file, which says everything the file says.

    Example:
        A file of a tracker whose efficiency nobody knows, written as data::

            base: [null, data_tails]
            knobs:
              resolution_scale: 1.05
              efficiency_scale: [0.95, 1.03]  # drawn anew every 250 events
            pythia:
              StringZ:rFactB: 1.05

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no YAML, has other keys, or describes no scenario.
    """
    path = Path(text)
    if path.suffix not in _SUFFIXES:
        return scenario_named(text).name
    content = read_yaml(path, advice=f"give a YAML of a scenario, or choose from {', '.join(SCENARIOS)}")
    try:
        card = ScenarioCard.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ValueError(f"{path}: {_first_complaint(error)}") from error
    try:
        return scenario_name(
            card.base,
            {knob: _value(knob, value) for knob, value in card.knobs.items()},
            # "on" and "off" are booleans to YAML, and words to PYTHIA.
            {
                key: ("off", "on")[value] if isinstance(value, bool) else value
                for key, value in card.pythia.items()
            },
            card.draw,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _value(knob: str, value: float | list[float]) -> float | tuple[float, float]:
    if not isinstance(value, list):
        return value
    if len(value) != 2:
        raise ValueError(f"knob '{knob}' has {len(value)} numbers: give one, or [low, high] to draw from")
    return value[0], value[1]


def _first_complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][:2]) or "the file"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{place}': choose from {', '.join(ScenarioCard.model_fields)}"
    return f"'{place}' is {first['input']!r}, but that does not fit: {first['msg'].lower()}"
