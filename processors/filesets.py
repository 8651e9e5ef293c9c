"""The fileset: which files make up a dataset, and what the dataset is."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from storage.documents import MOST_LIST_BYTES, read_json
from storage.names import printable

DEFAULT_TREE = "Events"


class DatasetMetadata(BaseModel):
    """What a dataset is; the names of the keys in a fileset are those of the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_data: bool
    process: str = Field(min_length=1)
    cross_section_pb: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="simulation; picobarn"
    )
    luminosity_pb: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="data; inverse picobarn"
    )
    primary_dataset: str | None = Field(default=None, description="data, e.g. DoubleMuon")
    simulated: bool = Field(default=False, description="generated events that stand for data, too")
    same_events: bool = Field(
        default=False, description="data: the events of the simulation, as another detector sees them"
    )

    @model_validator(mode="after")
    def _same_as_simulation(self) -> "DatasetMetadata":
        if self.same_events and not (self.is_data and self.simulated):
            raise ValueError("same_events is for simulated data alone: leave it out")
        return self


class FileEntry(BaseModel):
    """What is taken of a file: a tree, whole or a range of its events.

    A plain string stands for the tree; `entries` is `[first, last + 1)`, as a job of many takes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tree: str = DEFAULT_TREE
    entries: tuple[int, int] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_tree(cls, value: Any) -> Any:
        return {"tree": value} if isinstance(value, str) else value

    @field_validator("entries")
    @classmethod
    def _ascending(cls, entries: tuple[int, int] | None) -> tuple[int, int] | None:
        if entries is not None and not 0 <= entries[0] < entries[1]:
            raise ValueError(f"{list(entries)} is no range of events: write [first, last + 1]")
        return entries


class Dataset(BaseModel):
    """The files of a dataset, each with what is taken of it; without metadata the files say what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, FileEntry] = Field(min_length=1)
    metadata: DatasetMetadata | None = None

    @field_validator("files", mode="before")
    @classmethod
    def _with_trees(cls, files: Any) -> Any:
        if not isinstance(files, list):
            return files
        _refuse_twins(files)
        return dict.fromkeys(files, DEFAULT_TREE)


Fileset = dict[str, Dataset]

_FILESET = TypeAdapter(Fileset)


def read_fileset(path: Path) -> Fileset:
    """Return the fileset of a JSON file; relative paths in it start from the folder of that file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, a key is unknown, missing or of the wrong type, or something is listed
            twice.
    """
    content = read_json(path, kind="fileset", most_bytes=MOST_LIST_BYTES)
    return parse_fileset(content, source=str(path), folder=path.parent)


def parse_fileset(
    content: Mapping[str, Any], *, source: str = "fileset", folder: Path | None = None
) -> Fileset:
    """Return a fileset from plain values: `{dataset: {"files": {path: tree}, "metadata": {...}}}`.

    `{dataset: [path, ...]}` does, too: the tree is then called Events, and the files themselves tell whether
    they are data. In place of a tree, `{"tree": name, "entries": [first, last + 1]}` takes some events only.

    Args:
        content: The plain values, or datasets that were read before.
        source: Where they come from, for messages.
        folder: Where relative paths start from; None leaves them as they are.

    Raises:
        ValueError: If a key is unknown, missing or of the wrong type, a file is in a dataset twice, or there
            is no dataset.
    """
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{source}: no dataset in it: write {{dataset: {{files: {{path: tree}}}}}}")
    leading_out = [name for name in content if ".." in str(name).split("/")]
    if leading_out:
        shown = printable(str(leading_out[0]))
        raise ValueError(f"{source}: dataset '{shown}': '..' leads out of a folder: call it otherwise")
    plain = {name: {"files": value} if isinstance(value, list) else value for name, value in content.items()}
    try:
        fileset = _FILESET.validate_python(plain)
    except ValidationError as error:
        raise ValueError(f"{source}: {_first_complaint(error)}") from None
    if folder is None:
        return fileset
    try:
        return {name: _resolved(dataset, folder) for name, dataset in fileset.items()}
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _resolved(dataset: Dataset, folder: Path) -> Dataset:
    paths = [path if "://" in path else os.path.realpath(folder / path) for path in dataset.files]
    _refuse_twins(paths)
    return dataset.model_copy(update={"files": dict(zip(paths, dataset.files.values(), strict=True))})


def _refuse_twins(names: Iterable[Any]) -> None:
    twice = [name for name, times in Counter(map(str, names)).items() if times > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)} listed twice: list it once")


def _model_at(place: list[str]) -> type[BaseModel]:
    if place[-1:] == ["metadata"]:
        return DatasetMetadata
    return FileEntry if place[1:2] == ["files"] else Dataset


def _first_complaint(error: ValidationError) -> str:
    complaint = error.errors()[0]
    *place, key = (str(part) for part in complaint["loc"])
    where = ".".join(place)
    if complaint["type"] == "extra_forbidden":
        model = _model_at(place)
        return f"unknown key '{key}' in {where}: choose from {', '.join(model.model_fields)}"
    if complaint["type"] == "missing":
        return f"no key '{key}' in {where}: add it"
    message = complaint["msg"].removeprefix("Value error, ")
    return f"{where}.{key}: {message}".removeprefix(".")
