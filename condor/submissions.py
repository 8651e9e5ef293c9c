"""What was handed to the batch system, in the order it was; kept beside the manifest."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter

from condor.manifest import Manifest
from condor.sites import Site
from storage.documents import MOST_LIST_BYTES, read_json
from storage.files import write_text

SUBMISSIONS_NAME: Final = "submissions.json"

_PLAIN: Final = re.compile(r"[\w./+@=~-]+")

QueueName = Literal["idle", "running", "held", "gone"]


class Attempt(NamedTuple):
    """A job as it is handed in: its number, and what it asks for this time."""

    job: int
    memory_mb: int
    minutes: int


class Submission(BaseModel):
    """Jobs that went in together, under one number of the batch system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    time: str
    attempts: tuple[Attempt, ...]


class QueueState(NamedTuple):
    """What the batch system says of a job.

    Attributes:
        state: Whether it waits, runs, is held, or is no longer there.
        reason: Why it is held or ended as it did; empty if the batch system does not say.
        out_of_memory: Whether it needs more memory than it asked for.
        out_of_time: Whether it needs more time than it asked for.
    """

    state: QueueName
    reason: str = ""
    out_of_memory: bool = False
    out_of_time: bool = False


class BatchSystem(Protocol):
    """HTCondor or SLURM."""

    most_together: int

    def describe(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt]) -> str:
        """Return the text that is submitted for jobs that ask for the same.

        Raises:
            ValueError: If the folder has a name that the batch system does not take.
        """
        ...

    def submit(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt]) -> str:
        """Hand jobs in and return their number in the batch system."""
        ...

    def states(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> Mapping[int, QueueState]:
        """Return what the batch system says of the last attempt of each of these jobs."""
        ...

    def remove(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> None:
        """Take jobs out of the queue."""
        ...


def batch_system(site: Site) -> BatchSystem:
    """Return the batch system of a site."""
    if site.scheduler == "slurm":
        from condor.slurm import Slurm

        return Slurm()
    from condor.htcondor import HTCondor

    return HTCondor()


_SUBMISSIONS = TypeAdapter(list[Submission])


def read_submissions(folder: Path) -> list[Submission]:
    """Return what was submitted from a folder of jobs, oldest first; none if nothing was.

    Raises:
        ValueError: If the record is damaged.
    """
    path = folder / SUBMISSIONS_NAME
    if not path.is_file():
        return []
    try:
        return _SUBMISSIONS.validate_python(read_json(path, most_bytes=MOST_LIST_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: damaged: remove it, and the jobs count as never submitted") from error


def require_plain(folder: Path) -> None:
    """Raise unless a folder has a name that submit descriptions and shells take as it is.

    Raises:
        ValueError: If it has not.
    """
    if not _PLAIN.fullmatch(str(folder.resolve())):
        raise ValueError(
            f"{folder.resolve()}: batch systems do not take such a name: choose a folder of letters, digits "
            "and _ . - + @ = ~"
        )


def add_submission(folder: Path, submission: Submission) -> None:
    """Note that jobs were submitted."""
    write_text(
        folder / SUBMISSIONS_NAME,
        _SUBMISSIONS.dump_json([*read_submissions(folder), submission], indent=1).decode(),
    )


class LastAttempt(NamedTuple):
    """How often a job was submitted, and the last time: its submission and its position therein."""

    number: int
    submission: Submission
    position: int

    @property
    def attempt(self) -> Attempt:
        """What the job asked for."""
        return self.submission.attempts[self.position]


def last_attempts(submissions: Sequence[Submission]) -> dict[int, LastAttempt]:
    """Return the last attempt of each job that was ever submitted."""
    last: dict[int, LastAttempt] = {}
    for submission in submissions:
        for position, attempt in enumerate(submission.attempts):
            before = last[attempt.job].number if attempt.job in last else 0
            last[attempt.job] = LastAttempt(before + 1, submission, position)
    return last
