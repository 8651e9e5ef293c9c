"""The file of a result: one zip per selection, histograms and everything else, written and read exactly.

The histograms are `uhi` histograms (any tool that knows `uhi.io.zip` reads them), the rest is `result.json`.
Nothing in it is normalised; `datamc.templates` does that, and nobody else.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import uhi.io.zip
from pydantic import BaseModel, ConfigDict, ValidationError

from datamc.look_ups import LookUps
from datamc.merging import merge_results
from datamc.notes import notes_from, other_notes
from datamc.overlaps import EventRange, refuse_overlaps
from datamc.records import CutflowRow, DatasetRecord, LedgerEntry, LedgerError, LedgerStatus, Result
from datamc.repeats import Hashes, as_text, merged_samples, smallest
from datamc.scenarios import NotFinite, Scenario
from datamc.sections import Sections, ranges_of
from storage.archives import Archive, open_archive
from storage.files import replaced_file, write_text
from storage.names import file_name

__all__ = [
    "CutflowRow",
    "DatasetRecord",
    "EventRange",
    "Hashes",
    "LedgerEntry",
    "LedgerError",
    "LedgerStatus",
    "LookUps",
    "NotFinite",
    "Result",
    "Scenario",
    "as_text",
    "merge_results",
    "merged_samples",
    "notes_from",
    "other_notes",
    "ranges_of",
    "read_account",
    "read_result",
    "refuse_overlaps",
    "smallest",
    "write_outputs",
    "write_result",
]

FORMAT: Final = "advtag-result"
FORMAT_VERSION = 1

_DOCUMENT = "result"
"""The name of the JSON inside the zip, without its ending; no histogram may be called so."""
_INCOMPLETE = "not a complete result file"
_AGAIN = "process this selection again"


class _Document(BaseModel):
    """The schema of `result.json`."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    format: Literal["advtag-result"] = FORMAT
    format_version: int = FORMAT_VERSION
    selection: str
    histograms: list[str]
    datasets: dict[str, DatasetRecord]
    cutflows: dict[str, list[CutflowRow]]
    n_minus_one: dict[str, list[CutflowRow]] = {}
    ledger: list[LedgerEntry]
    notes: list[str]
    config: dict[str, Any]
    versions: dict[str, str]
    usage: dict[str, float] = {}
    sections: dict[str, Sections] = {}
    samples: dict[str, str] = {}
    submission: str = ""
    tables: dict[str, str] = {}


class _Heading(BaseModel):
    """The two keys every version of `result.json` has."""

    format: Literal["advtag-result"]
    format_version: int


def write_result(result: Result, path: Path) -> None:
    """Write `result` as one zip file, under a temporary name first.

    Raises:
        ValueError: If a histogram bears a name the file format keeps for itself.
    """
    if _DOCUMENT in result.histograms:
        raise ValueError(
            f"a histogram is called {_DOCUMENT!r}, the name of the JSON beside it: call it otherwise"
        )
    document = _Document(
        selection=result.selection,
        histograms=list(result.histograms),
        datasets=result.datasets,
        cutflows=result.cutflows,
        n_minus_one=result.n_minus_one,
        ledger=result.ledger,
        notes=result.notes,
        config=result.config,
        versions=result.versions,
        usage=result.usage,
        sections=result.sections,
        samples=result.samples,
        submission=result.submission,
        tables=result.tables,
    )
    with (
        replaced_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
    ):
        file.writestr(f"{_DOCUMENT}.json", document.model_dump_json(indent=1))
        for name, histogram in result.histograms.items():
            uhi.io.zip.write(file, name, histogram)


def write_outputs(result: Result, folder: Path) -> None:
    """Write a result as `<selection>.zip`, and the luminosity sections of real data beside it.

    A local run and the sum of jobs are written by this, so that they are the same files.
    """
    for dataset, sections in result.sections.items():
        if not result.datasets[dataset].simulated:
            path = folder / f"{result.selection}_sections" / f"{file_name(dataset)}.json"
            write_text(path, json.dumps(sections))
    write_result(result, folder / f"{result.selection}.zip")


def read_result(path: Path) -> Result:
    """Read a result back, exactly as it was written.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a result, is damaged, or was written by a newer version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file: run the processing of this selection first")
    with open_archive(path, complaint=_INCOMPLETE, remedy=_AGAIN) as file:
        document = _read_document(file, path)
        histograms = {name: file.histogram(name) for name in document.histograms}
    return Result(
        selection=document.selection,
        histograms=histograms,
        datasets=document.datasets,
        cutflows=document.cutflows,
        n_minus_one=document.n_minus_one,
        ledger=document.ledger,
        notes=document.notes,
        config=document.config,
        versions=document.versions,
        usage=document.usage,
        sections=document.sections,
        samples=document.samples,
        submission=document.submission,
        tables=document.tables,
    )


class Account(NamedTuple):
    """What a result says of itself without its histograms."""

    selection: str
    ledger: list[LedgerEntry]
    submission: str
    tables: dict[str, str]


def read_account(path: Path) -> Account:
    """Return what a result says of itself, without reading its histograms.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a result, is damaged, or was written by a newer version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such result file: run the processing of this selection first")
    with open_archive(path, complaint=_INCOMPLETE, remedy=_AGAIN) as file:
        document = _read_document(file, path)
    return Account(document.selection, document.ledger, document.submission, document.tables)


def _read_document(file: Archive, path: Path) -> _Document:
    if f"{_DOCUMENT}.json" not in file:
        raise ValueError(f"{path}: a zip file, but not a result of advtag: it holds no {_DOCUMENT}.json")
    content = file.document(f"{_DOCUMENT}.json", complaint=f"{_DOCUMENT}.json is not a result of advtag")
    try:
        heading = _Heading.model_validate(content)
        if heading.format_version > FORMAT_VERSION:
            raise ValueError(
                f"{path}: written in version {heading.format_version} of the result format, this advtag "
                f"reads version {FORMAT_VERSION}: update advtag"
            )
        return _Document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"{path}: {_DOCUMENT}.json is not a result of advtag ({place}: {first['msg']})"
        ) from error
