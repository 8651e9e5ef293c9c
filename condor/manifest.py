"""What was planned: every input with its events, every job with its share of them.

The manifest is JSON that anyone can read, written once and never changed. What became of the jobs is not in
it: their outputs and the batch system tell that.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from condor.sites import Site
from storage.documents import MOST_LIST_BYTES, read_json
from storage.files import write_text

MANIFEST_NAME: Final = "manifest.json"
FORMAT_VERSION: Final = 2


class Input(NamedTuple):
    """A file, and how many events its tree holds; -1 if nobody counted them.

    Attributes:
        identity: What the file has in common with its copies, and with no other; empty if nobody looked.
    """

    dataset: str
    path: str
    tree: str
    n_events: int
    identity: str = ""


class Loss(NamedTuple):
    """A file that could not be read when the jobs were planned, and is declared lost."""

    selection: str
    dataset: str
    path: str
    start: int
    reason: str


class Range(NamedTuple):
    """Events `[start, stop)` of an input, given by its number; a stop of -1 means to the end."""

    input: int
    start: int
    stop: int


class Job(NamedTuple):
    """A selection on some ranges."""

    selection: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    ranges: tuple[Range, ...]


class Manifest(BaseModel):
    """All jobs of a submission.

    Attributes:
        command: What every job runs, after `advtag process`; paths are relative to the job's folder.
        staged: Files beside the manifest that all jobs need, with their SHA-256.
        code: SHA-256 of the code that planned them and decides what jobs make of events.
        datasets: The metadata of each dataset, as in a fileset; null where it has none.
        lost: Files that are declared lost from the beginning.
        notes: What the user should hear of the files, by selection.
        fingerprint: SHA-256 of all that decides the content of the outputs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["advtag-jobs"] = "advtag-jobs"
    format_version: Literal[2] = FORMAT_VERSION
    advtag_version: str
    code: str = ""
    site: Site
    command: tuple[str, ...]
    staged: dict[str, str]
    datasets: dict[str, dict[str, Any] | None]
    inputs: tuple[Input, ...]
    jobs: tuple[Job, ...] = Field(min_length=1)
    lost: tuple[Loss, ...] = ()
    notes: dict[str, tuple[str, ...]] = {}
    fingerprint: str = ""

    @property
    def selections(self) -> tuple[str, ...]:
        """The selections of the jobs, in their order."""
        return tuple(dict.fromkeys(job.selection for job in self.jobs))

    @property
    def is_counted(self) -> bool:
        """Whether every file was opened when the jobs were planned."""
        return all(file.n_events >= 0 for file in self.inputs)

    def expected_events(self, job: int) -> int | None:
        """Return how many events a job reads; None if that was not counted."""
        sizes = [self._size(part) for part in self.jobs[job].ranges]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def _size(self, part: Range) -> int | None:
        stop = part.stop if part.stop >= 0 else self.inputs[part.input].n_events
        return stop - part.start if stop >= 0 else None

    def local_name(self, number: int) -> str:
        """Return what an input is called in the folder of a job that it was copied to."""
        return f"input_{number:06d}.root"

    def is_copied(self, number: int) -> bool:
        """Say whether a job reads a copy of an input, in its own folder; a far one can be read from afar."""
        return self.travels(number) or (self.is_far(number) and self.site.transfer == "xrdcp")

    def is_far(self, number: int) -> bool:
        """Say whether an input has an address, not a path."""
        return "://" in self.inputs[number].path

    def travels(self, number: int) -> bool:
        """Say whether the batch system takes an input along with its job."""
        no_shared_files = self.site.scheduler == "htcondor" and self.site.transfer != "shared"
        return no_shared_files and not self.is_far(number)

    def fileset(self, job: int) -> dict[str, Any]:
        """Return the fileset of a job, as `advtag process` reads it."""
        fileset: dict[str, Any] = {}
        for number, start, stop in self.jobs[job].ranges:
            dataset, path, tree, n_events, _ = self.inputs[number]
            entry: dict[str, Any] = {"tree": tree}
            if (start, stop) not in ((0, -1), (0, n_events)):
                entry["entries"] = [start, stop]
            files = fileset.setdefault(dataset, {"files": {}, "metadata": self.datasets[dataset]})["files"]
            files[self.local_name(number) if self.is_copied(number) else path] = entry
        return fileset


def with_fingerprint(manifest: Manifest) -> Manifest:
    """Return the manifest with the fingerprint of what decides its outputs; the site is no part of that."""
    deciding = manifest.model_dump(mode="json", exclude={"site", "fingerprint"})
    text = json.dumps(deciding, sort_keys=True)
    return manifest.model_copy(update={"fingerprint": hashlib.sha256(text.encode()).hexdigest()})


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest of a folder of jobs."""
    write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder of jobs.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, changed by hand, or of another version.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: holds no {MANIFEST_NAME}: give the folder of `advtag condor submit`"
        )
    try:
        manifest = Manifest.model_validate(read_json(path, remedy="submit anew", most_bytes=MOST_LIST_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{path}: not a manifest of this version ({place}: {first['msg']}): submit anew"
        ) from error
    if with_fingerprint(manifest).fingerprint != manifest.fingerprint:
        raise ValueError(f"{path}: was changed after it was written: submit anew in another folder")
    return manifest


def metadata_of(fileset: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Return the metadata of each dataset of a fileset as plain values."""
    return {
        name: None
        if dataset.metadata is None
        else dataset.metadata.model_dump(mode="json", exclude_defaults=True)
        for name, dataset in fileset.items()
    }
