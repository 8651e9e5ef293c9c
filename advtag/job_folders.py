"""Folders of jobs, of graphs and of trainings: handed in, judged and watched alike."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advtag.progress import one_bar, say

if TYPE_CHECKING:
    from condor.folder import Staged
    from condor.graph import StepStatus
    from condor.judging import JobStatus
    from condor.manifest import Manifest
    from condor.sites import Site
    from condor.submissions import Attempt


class Look(NamedTuple):
    """What one look at folders found: their jobs, and the steps that follow in graphs."""

    jobs: "list[tuple[Path, JobStatus]]"
    steps: "list[tuple[Path, StepStatus]]"

    @property
    def has_failed(self) -> bool:
        """Whether something waits for a person."""
        return any(job.needs_resubmission for _, job in self.jobs) or any(
            step.state in ("failed", "planned") for _, step in self.steps
        )

    @property
    def n_ended(self) -> int:
        """How many jobs and steps cannot end by themselves any more."""
        jobs = sum(job.state == "done" or job.needs_resubmission for _, job in self.jobs)
        return jobs + sum(step.state not in ("idle", "running") for _, step in self.steps)

    @property
    def n_all(self) -> int:
        """How many jobs and steps there are."""
        return len(self.jobs) + len(self.steps)


def look_at(folders: Sequence[Path]) -> Look:
    """Return what became of all jobs and steps."""
    from condor.graph import judge_steps

    return Look(
        [(folder, job) for folder in folders for job in judge(folder)],
        [(folder, step) for folder in folders for step in judge_steps(folder)],
    )


def watch(folders: Sequence[Path], *, every: int) -> Look:
    """Look until nothing can end by itself any more, with a bar and the time left.

    Raises:
        BatchError: If the batch system does not answer the first time; later it is asked again.
    """
    from condor.commands import BatchError

    look = look_at(folders)
    with one_bar("jobs") as progress:
        while True:
            progress(look.n_ended, look.n_all)
            if look.n_ended == look.n_all:
                return look
            time.sleep(every)
            try:
                look = look_at(folders)
            except BatchError as error:
                say(f"{error}; asking again.", heading="Note:")


def judge(folder: Path) -> "list[JobStatus]":
    """Return what became of every job or training of a folder."""
    from condor.judging import judge_jobs
    from condor.manifest import read_manifest
    from condor.submissions import batch_system
    from condor.trainings import is_trainings, judge_trainings, read_trainings

    if is_trainings(folder):
        return judge_trainings(read_trainings(folder), folder)
    manifest = read_manifest(folder)
    return judge_jobs(manifest, folder, batch_system(manifest.site))


def site_of(folder: Path) -> "Site":
    """Return where the jobs or trainings of a folder run."""
    from condor.manifest import read_manifest
    from condor.trainings import is_trainings, read_trainings

    return read_trainings(folder).site if is_trainings(folder) else read_manifest(folder).site


@contextmanager
def only_submitter(folder: Path, site: "Site") -> Iterator[None]:
    """Make sure that nobody else submits jobs of a folder while the block runs, and that all are known.

    Raises:
        ValueError: If another process does.
        BatchError: If the batch system does not answer what became of an interrupted submission.
    """
    from condor.handing_in import settle
    from condor.submissions import batch_system
    from storage.files import one_writer

    with one_writer(folder):
        settle(folder, batch_system(site))
        yield


def hand_in_first(
    manifest: "Manifest", staged: "Sequence[Staged]", folder: Path, *, graph: Path | None
) -> list[str]:
    """Write the folder of a submission, submit all its jobs, and return their numbers.

    Args:
        manifest: What is planned.
        staged: The files that all jobs need.
        folder: The folder, which must not be there.
        graph: A folder for what follows the jobs as a graph, merged results and all; None for the jobs alone.

    Raises:
        FileExistsError: If the folder is there already.
        ValueError: If another process is making it.
        BatchError: If the batch system refuses.
    """
    from condor.folder import write_folder
    from condor.handing_in import first_attempts, hand_in
    from condor.submissions import batch_system, read_submissions

    write_folder(manifest, staged, folder)
    with only_submitter(folder, manifest.site):
        if read_submissions(folder):
            raise ValueError(f"{folder}: another process has just submitted its jobs")
        if graph is not None:
            return [hand_in_graph(manifest, folder, graph)]
        system, attempts = batch_system(manifest.site), first_attempts(manifest)
        return [each.id for each in hand_in(manifest, folder, attempts, system)]


def hand_in_again(folder: Path, attempts: "Sequence[Attempt]", jobs: "Sequence[JobStatus]") -> list[str]:
    """Submit jobs or trainings again, as they are to be now, and return their numbers.

    Raises:
        BatchError: If the batch system refuses.
    """
    from condor.graph import has_graph
    from condor.handing_in import hand_in, submitted, take_back, together
    from condor.manifest import read_manifest
    from condor.slurm import Slurm
    from condor.submissions import batch_system
    from condor.trainings import is_trainings, read_trainings, submit_trainings

    if has_graph(folder):
        return [_hand_in_graph_again(read_manifest(folder), folder, attempts, jobs)]
    system = batch_system(site_of(folder))
    take_back(folder, jobs, system)
    if is_trainings(folder):
        trainings = read_trainings(folder)
        return [
            submitted(folder, part, partial(submit_trainings, trainings, folder, part)).id
            for part in together(attempts, Slurm.most_together)
        ]
    return [each.id for each in hand_in(read_manifest(folder), folder, attempts, system)]


def hand_in_graph(manifest: "Manifest", folder: Path, out: Path) -> str:
    """Submit all jobs and what follows as a graph, and return the number of its DAGMan job.

    Raises:
        BatchError: If HTCondor refuses.
    """
    from condor.graph import submit_graph, write_graph
    from condor.handing_in import first_attempts, submitted
    from condor.htcondor import program, variables

    attempts = first_attempts(manifest)
    write_graph(
        manifest,
        folder,
        description=program(manifest, folder),
        variables=[variables(manifest, attempt) for attempt in attempts],
        out=out,
    )
    return submitted(folder, attempts, partial(submit_graph, folder)).id


def _hand_in_graph_again(
    manifest: "Manifest", folder: Path, attempts: "Sequence[Attempt]", jobs: "Sequence[JobStatus]"
) -> str:
    """Release what is held in a graph that runs; submit one that has ended, which goes on where it failed."""
    from condor.commands import BatchError
    from condor.graph import change_variables, submit_graph
    from condor.handing_in import noted, submitted
    from condor.htcondor import HTCondor, variables
    from condor.submissions import read_submissions

    submissions = read_submissions(folder)
    change_variables(folder, {attempt.job: variables(manifest, attempt) for attempt in attempts})
    if not HTCondor().is_queued(submissions):
        return submitted(folder, attempts, partial(submit_graph, folder)).id
    held = {job.job for job in jobs if job.state == "held"}
    released = [attempt for attempt in attempts if attempt.job in held]
    if not released:
        raise BatchError(f"{folder}: its graph still runs: submit again once it has ended")
    HTCondor().release(submissions, released)
    return noted(folder, submissions[-1].id, released).id


def job_row(folder: Path, job: "JobStatus") -> dict[str, Any]:
    """Return a line of the table of jobs."""
    return {
        "folder": str(folder),
        "job": f"{job.job:05d}",
        "what": job.selection,
        "state": job.state,
        "events": job.n_events,
        "lost": job.n_lost,
        "attempts": job.attempts,
        "memory MB": job.memory_mb,
        "reason": job.reason,
    }


def step_row(folder: Path, step: "StepStatus") -> dict[str, Any]:
    """Return a line of the table of jobs for a step of a graph."""
    empty = dict.fromkeys(("events", "lost", "attempts", "memory MB"))
    return {
        "folder": str(folder), "job": step.name, "what": "step", "state": step.state, **empty,
        "reason": step.reason,
    }  # fmt: skip


def jobs_named(jobs: "list[JobStatus]", text: str) -> "list[JobStatus]":
    """Return the jobs of a list of numbers, e.g. ``3,17``.

    Raises:
        ValueError: If there is no such job.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if not all(0 <= number < len(jobs) for number in numbers):
        raise ValueError(f"jobs {text!r}: give numbers from 0 to {len(jobs) - 1}, e.g. 3,17")
    return [jobs[number] for number in dict.fromkeys(numbers)]
