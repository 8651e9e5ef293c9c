"""Jobs go to the batch system: all of them at first, later those that nothing came of."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from condor.judging import JobStatus
from condor.manifest import Manifest
from condor.sites import Site
from condor.submissions import Attempt, BatchSystem, Submission, add_submission, read_submissions


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
        noted(folder, system.submit(manifest, folder, part), part)
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


def noted(folder: Path, number: str, attempts: Sequence[Attempt]) -> Submission:
    """Note that jobs went in under a number of the batch system, and return that note."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    submission = Submission(id=number, time=now, attempts=tuple(attempts))
    add_submission(folder, submission)
    return submission


def take_back(folder: Path, jobs: Sequence[JobStatus], system: BatchSystem) -> None:
    """Remove jobs from the queue that are still there, so that they do not run beside their next attempt.

    Raises:
        BatchError: If the batch system refuses; one of them may have ended just now.
    """
    queued = [job.job for job in jobs if job.state in ("held", "idle", "running")]
    if queued:
        system.remove(read_submissions(folder), queued)
