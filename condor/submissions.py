"""What was handed to the batch system, in the order it was; kept beside the manifest."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from condor.manifest import Manifest
from condor.sites import Site
from storage.documents import MOST_LIST_BYTES, read_json
from storage.files import one_writer, write_text

SUBMISSIONS_NAME: Final = "submissions.json"

_PLAIN: Final = re.compile(r"[\w./+@=~-]+")

QueueName = Literal["idle", "running", "held", "gone", "unknown"]


class Attempt(NamedTuple):
    """A job as it is handed in: its number, and what it asks for this time."""

    job: int
    memory_mb: int
    minutes: int


class Submission(BaseModel):
    """Jobs that went in together, under one number of the batch system.

    Attributes:
        id: The number; behind a semicolon the cluster of a federation of SLURM. Empty from before the jobs
            are handed in until their number is known.
        time: When that was.
        attempts: The jobs.
        tag: A word that the jobs carry, by which the batch system knows them even if nobody noted the number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^([0-9]+(;[A-Za-z0-9_.-]+)?)?$")
    time: str
    attempts: tuple[Attempt, ...]
    tag: str = Field("", pattern=r"^[0-9a-f]*$")


class QueueState(NamedTuple):
    """What the batch system says of a job.

    Attributes:
        state: Whether it waits, runs, is held, or is no longer there; or that the answer says none of these.
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

    def submit(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt], *, tag: str) -> str:
        """Hand jobs in, marked with a tag, and return their number in the batch system."""
        ...

    def find(self, tag: str) -> str | None:
        """Return the number of the jobs in the queue that carry a tag; None if there are none."""
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
        raise ValueError(
            f"{path}: damaged ({error}): take its jobs out of the queue, then remove it: they count as never "
            "submitted"
        ) from error


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


def write_submissions(folder: Path, submissions: Sequence[Submission]) -> None:
    """Write down what was submitted, oldest first."""
    text = _SUBMISSIONS.dump_json(list(submissions), indent=1).decode()
    write_text(folder / SUBMISSIONS_NAME, text)


def note_number(folder: Path, tag: str, number: str | None) -> None:
    """Write down the number of the jobs that carry a tag, or that they never went in."""
    write_submissions(
        folder,
        [
            each if each.tag != tag else each.model_copy(update={"id": number})
            for each in read_submissions(folder)
            if each.tag != tag or number is not None
        ],
    )


def known_submissions(folder: Path, system: BatchSystem | None) -> list[Submission]:
    """Return what was submitted, with the numbers that the batch system knows though nobody noted them.

    A submission of which the batch system knows nothing is left out, unless it may be going in right now: its
    number is then empty.

    Args:
        folder: The folder of the jobs.
        system: The batch system to ask; None leaves out what has no number.

    Raises:
        BatchError: If the batch system does not answer.
    """
    submissions = read_submissions(folder)
    if all(each.id for each in submissions):
        return submissions
    in_progress = system is not None and _has_a_writer(folder)
    known = []
    for each in submissions:
        number = each.id or (system.find(each.tag) if system is not None else None)
        if number or in_progress:
            known.append(each.model_copy(update={"id": number or ""}))
    return known


def queue_states(
    system: BatchSystem, submissions: Sequence[Submission], jobs: Sequence[int]
) -> dict[int, QueueState]:
    """Return what the batch system says of the last attempt of jobs that were submitted.

    Raises:
        BatchError: If the batch system does not answer.
    """
    last = last_attempts(submissions)
    numbered = [job for job in jobs if last[job].submission.id]
    going_in = QueueState("unknown", "is being submitted")
    return dict.fromkeys(jobs, going_in) | dict(system.states(submissions, numbered) if numbered else {})


def _has_a_writer(folder: Path) -> bool:
    try:
        with one_writer(folder):
            return False
    except (ValueError, OSError):  # one that nobody else may write into cannot be asked for
        return True


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
