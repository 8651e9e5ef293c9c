"""Jobs go to the batch system: all of them at first, later those that nothing came of."""

from collections.abc import Sequence
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
    """Submit jobs, as many together as the batch system takes, and note each submission at once.

    Raises:
        BatchError: If the batch system refuses; what went in before stays noted.
    """
    done = []
    for start in range(0, len(attempts), system.most_together):
        part = tuple(attempts[start : start + system.most_together])
        done.append(noted(folder, system.submit(manifest, folder, part), part))
    return done


def noted(folder: Path, number: str, attempts: Sequence[Attempt]) -> Submission:
    """Note that jobs went in under a number of the batch system, and return that note."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    submission = Submission(id=number, time=now, attempts=tuple(attempts))
    add_submission(folder, submission)
    return submission


def take_back(folder: Path, jobs: Sequence[JobStatus], system: BatchSystem) -> None:
    """Remove held jobs from the queue, so that they do not start beside their next attempt."""
    held = [job.job for job in jobs if job.state == "held"]
    if held:
        system.remove(read_submissions(folder), held)
