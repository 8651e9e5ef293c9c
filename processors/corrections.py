"""The configuration of corrections: which tables correct simulation, and with what they are looked up."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from processors.lookup import Lookup, find_lookup, read_tables
from storage.documents import read_yaml

SYSTEMATIC = "systematic"
"""What stands in place of a column where a correction takes the name of its variation."""

_TAKEN = ("genWeight", "nominal", "ISR", "FSR", "muR", "muF", "pdf", "JER", "unclustered")
"""Names of weights and of sources of variation that are there without a table."""

_NAME = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")

ObjectKind = Literal["event", "muon", "electron", "soft_muon", "jet"]


class _Card(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Constant(_Card):
    """An input that is the same for all objects."""

    constant: str | int | float


Input = str | Constant
"""A column of the object, `abs(column)`, `event.BRANCH`, `systematic`, or a constant."""


class Table(_Card):
    """A correction in a correctionlib file; a relative path starts from the folder of the configuration."""

    file: Path
    correction: str
    inputs: dict[str, Input] = Field(min_length=1)


class WeightCard(Table):
    """A table whose value multiplies the weight: of the event, or of each object of a kind."""

    name: Annotated[str, _NAME]
    object: ObjectKind
    selections: tuple[str, ...] | None = None
    nominal: str | None = None
    up: str | None = None
    down: str | None = None


class TheoryCard(_Card):
    """Variations by the generator's own weights; they change shapes alone, not rates."""

    parton_shower: bool = True
    scales: bool = True
    pdf: Literal["none", "hessian", "replicas", "envelope"] = "none"


class ResolutionCard(_Card):
    """Smearing of jets: relative resolution, and the ratio data/MC of it."""

    resolution: Table
    scale_factor: Table
    nominal: str = "nom"
    up: str = "up"
    down: str = "down"
    seed: int = 0

    @property
    def is_varied(self) -> bool:
        """Whether the ratio data/MC knows variations; without an input for them it is what it is."""
        return SYSTEMATIC in self.scale_factor.inputs.values()


class JetsCard(_Card):
    """Energy scale (relative uncertainties by source) and resolution of jets."""

    energy_scale: dict[Annotated[str, _NAME], Table] = Field(default_factory=dict)
    resolution: ResolutionCard | None = None


class MetCard(_Card):
    """Missing transverse momentum: whether its unclustered part is shifted as the file says."""

    unclustered: bool = False


class CorrectionsCard(_Card):
    """The whole configuration."""

    weights: tuple[WeightCard, ...] = ()
    theory: TheoryCard = TheoryCard()
    jets: JetsCard = JetsCard()
    met: MetCard = MetCard()


@dataclass(frozen=True)
class Corrections:
    """A configuration and the tables it names; without any, nothing is corrected.

    Attributes:
        card: The configuration.
        tables: For each (file, correction) of the card its table.
    """

    card: CorrectionsCard = field(default_factory=CorrectionsCard)
    tables: Mapping[tuple[str, str], Lookup] = field(default_factory=dict)

    def table(self, table: Table) -> Lookup:
        """Return the table of a part of the card."""
        return self.tables[str(table.file), table.correction]

    def weights_of(self, selection: str) -> tuple[WeightCard, ...]:
        """Return the weights that apply to a selection."""
        return tuple(
            card for card in self.card.weights if card.selections is None or selection in card.selections
        )

    def as_config(self) -> dict[str, Any]:
        """Return what decides the result as plain JSON: the card, by names of files and hashes of tables."""
        plain: dict[str, Any] = json.loads(self.card.model_dump_json())
        hashes = {f"{one.file}: {one.name}": one.sha256 for one in self.tables.values()}
        return {**_without_folders(plain), "tables": hashes}


def read_corrections(path: Path, *, selections: Iterable[str]) -> Corrections:
    """Return the corrections of a YAML file, every table of it read and checked.

    Args:
        path: The configuration.
        selections: The names of all selections there are.

    Raises:
        FileNotFoundError: If it, or a file it names, does not exist.
        ValueError: If a key, a correction, an input or a label is unknown or missing; the message says which.
    """
    content = read_yaml(
        path, kind="configuration of corrections", advice="start from configs/corrections.yaml"
    )
    return parse_corrections(content, source=str(path), folder=path.parent, selections=selections)


def parse_corrections(
    content: Any, *, source: str = "corrections", folder: Path, selections: Iterable[str]
) -> Corrections:
    """Return corrections from plain values, as `read_corrections` does from a file.

    Raises:
        FileNotFoundError: If a file it names does not exist.
        ValueError: If a key, a correction, an input or a label is unknown or missing.
    """
    try:
        card = CorrectionsCard.model_validate(content or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{source}: {place}: {first['msg']}: see configs/corrections.yaml") from None
    _check_weights(card, source, tuple(selections))
    tables: dict[tuple[str, str], Lookup] = {}
    read = cache(read_tables)
    for place, table, labels in _tables_of(card):
        path = folder / table.file
        lookup = find_lookup(read(path), table.correction, path=path)
        _check_inputs(f"{source}: {place}", table, lookup, labels)
        tables[str(table.file), table.correction] = lookup
    return Corrections(card, tables)


def _tables_of(card: CorrectionsCard) -> Iterable[tuple[str, Table, tuple[str, ...]]]:
    """Yield where each table stands in the card, the table, and the labels it has to know."""
    for weight in card.weights:
        labels = tuple(label for label in (weight.nominal, weight.up, weight.down) if label is not None)
        yield f"weight {weight.name}", weight, labels
    for name, table in card.jets.energy_scale.items():
        yield f"energy_scale {name}", table, ()
    if (smearing := card.jets.resolution) is not None:
        labels = (smearing.nominal, smearing.up, smearing.down)
        yield "resolution", smearing.resolution, labels
        yield "scale_factor", smearing.scale_factor, labels


def _check_weights(card: CorrectionsCard, source: str, selections: tuple[str, ...]) -> None:
    names = [weight.name for weight in card.weights]
    for weight in card.weights:
        place = f"{source}: weight {weight.name}"
        if names.count(weight.name) > 1:
            raise ValueError(f"{place} is there twice: give each weight its own name")
        if weight.name in (*_TAKEN, *(f"JES_{source}" for source in card.jets.energy_scale)):
            raise ValueError(f"{place}: the name is taken by another weight or variation: choose another")
        unknown = [name for name in weight.selections or () if name not in selections]
        if unknown:
            raise ValueError(f"{place}: no selection '{unknown[0]}': choose from {', '.join(selections)}")
        if (weight.up is None) != (weight.down is None):
            raise ValueError(f"{place}: up and down come together: give both labels, or none")
        if (SYSTEMATIC in weight.inputs.values()) != (weight.nominal is not None):
            raise ValueError(
                f"{place}: an input 'systematic' and the label 'nominal' come together: give both"
            )


def _check_inputs(place: str, table: Table, lookup: Lookup, labels: tuple[str, ...]) -> None:
    """Raise unless a table finds what it is looked up with, whatever the objects are.

    Args:
        place: Where in the card, for messages.
        table: The part of the card.
        lookup: What it names.
        labels: Those that stand in place of `systematic`.
    """
    missing = [name for name in lookup.inputs if name not in table.inputs]
    surplus = [name for name in table.inputs if name not in lookup.inputs]
    if missing or surplus:
        raise ValueError(
            f"{place}: {table.correction} in {lookup.file} takes the inputs {', '.join(lookup.inputs)}, "
            f"not {', '.join(table.inputs)}: name a column for each"
        )
    for label in labels or (None,):
        same_for_all: dict[str, str | int] = {}
        for name, source in table.inputs.items():
            value = _same_for_all(f"{place}: the input {name}", source, lookup.inputs[name], label)
            if value is not None:
                same_for_all[name] = value
        if (unknown := lookup.missing_key(same_for_all)) is not None:
            raise ValueError(f"{place}: {table.correction} in {lookup.file} has {unknown}")


def _same_for_all(place: str, source: Input, kind: str, label: str | None) -> str | int | None:
    """Return an input that is the same text or integer for all objects; None for another one.

    Raises:
        ValueError: If it is not of the kind that the table takes.
    """
    if isinstance(source, str) and source != SYSTEMATIC:
        if kind == "string":
            raise ValueError(f"{place} is a text, no column: give `systematic` or {{constant: TEXT}}")
        return None
    if source == SYSTEMATIC and label is None:
        raise ValueError(
            f"{place} is `systematic`, but there is no label for it: give a column or a constant"
        )
    value = source.constant if isinstance(source, Constant) else label
    try:
        number = float(str(value)) if kind == "real" else 0.0
        same = str(value) if kind == "string" else int(str(value)) if kind == "int" else None
    except ValueError:
        raise ValueError(f"{place} takes a number, not '{value}'") from None
    if not math.isfinite(number):
        raise ValueError(f"{place} takes a finite number, not {value}")
    return same


def _without_folders(plain: Any) -> Any:
    """Return a card in which files are called by their names alone: where they lie decides nothing."""
    if isinstance(plain, list):
        return [_without_folders(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    return {
        key: Path(value).name if key == "file" else _without_folders(value) for key, value in plain.items()
    }
