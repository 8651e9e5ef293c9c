"""Jobs go to the batch system: all of them at first, later those that nothing came of."""

import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from condor.commands import NoCommandError
from condor.judging import JobStatus
from condor.manifest import Manifest
from condor.sites import Site
from condor.submissions import (
    Attempt,
    BatchSystem,
    Submission,
    note_number,
    read_submissions,
    write_submissions,
)


class HandOver(Protocol):
    """Hands jobs in."""

    def __call__(self, *, tag: str) -> str:
        """Give the jobs a tag, hand them in, and return their number in the batch system."""
        ...


def first_attempts(manifest: Manifest) -> list[Attempt]:
    """Return every job with what the site asks for."""
    request = manifest.site.request
    return [Attempt(job, request.memory_mb, request.minutes) for job in range(len(manifest.jobs))]


def next_attempts(jobs: Sequence[JobStatus], site: Site) -> list[Attempt]:
    """Return jobs that are to run again, with more memory or time where those ran out."""
    return [
        Attempt(
            job.job,
            site.memory_after_failure(job.memory_mb) if job.out_of_memory else job.memory_mb,
            2 * job.minutes if job.out_of_time else job.minutes,
        )
        for job in jobs
    ]


def hand_in(
    manifest: Manifest, folder: Path, attempts: Sequence[Attempt], system: BatchSystem
) -> list[Submission]:
    """Submit jobs, those together that ask for the same, and note each submission at once.

    Raises:
        BatchError: If the batch system refuses; what went in before stays noted.
    """
    return [
        submitted(folder, part, partial(system.submit, manifest, folder, part))
        for part in together(attempts, system.most_together)
    ]


def together(attempts: Sequence[Attempt], most: int) -> Iterator[tuple[Attempt, ...]]:
    """Yield groups of jobs that ask for the same memory and time, at most so many each."""
    groups: dict[tuple[int, int], list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault((attempt.memory_mb, attempt.minutes), []).append(attempt)
    for group in groups.values():
        for start in range(0, len(group), most):
            yield tuple(group[start : start + most])


def submitted(folder: Path, attempts: Sequence[Attempt], hand_over: HandOver) -> Submission:
    """Hand jobs over and return the note of that; it is written before, so that none is ever forgotten.

    Where this is killed, or the batch system takes jobs and tells no number, they are found by their tag.

    Args:
        folder: The folder of the jobs.
        attempts: The jobs.
        hand_over: Hands the jobs in.

    Raises:
        BatchError: If the batch system refuses.
    """
    tag = secrets.token_hex(6)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    submission = Submission(id="", time=now, attempts=tuple(attempts), tag=tag)
    write_submissions(folder, [*read_submissions(folder), submission])
    try:
        number = hand_over(tag=tag)
    except NoCommandError:
        note_number(folder, tag, None)
        raise
    note_number(folder, tag, number)
    return submission.model_copy(update={"id": number})


def noted(folder: Path, number: str, attempts: Sequence[Attempt]) -> Submission:
    """Note that jobs go on under a number that the batch system knows, and return that note."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    submission = Submission(id=number, time=now, attempts=tuple(attempts))
    write_submissions(folder, [*read_submissions(folder), submission])
    return submission


def settle(folder: Path, system: BatchSystem) -> None:
    """Note the numbers of jobs that went in while nobody could note them, and forget what never went in.

    The folder must have no other writer.

    Raises:
        BatchError: If the batch system does not answer.
    """
    for each in read_submissions(folder):
        if not each.id:
            note_number(folder, each.tag, system.find(each.tag))


def take_back(folder: Path, jobs: Sequence[JobStatus], system: BatchSystem) -> None:
    """Remove jobs from the queue that are still there, so that they do not run beside their next attempt.

    Raises:
        BatchError: If the batch system refuses; one of them may have ended just now.
    """
    queued = [job.job for job in jobs if job.state in ("held", "idle", "running", "unknown")]
    if queued:
        system.remove(read_submissions(folder), queued)
