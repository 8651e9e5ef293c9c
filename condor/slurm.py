"""Jobs on SLURM: one array, one element for each job; everything lies on a disk that all nodes see."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from condor.commands import BatchError, run
from condor.folder import INPUTS, WRAPPER
from condor.manifest import Manifest
from condor.sites import Site
from condor.submissions import (
    Attempt,
    QueueState,
    Submission,
    last_attempts,
    read_submissions,
    require_plain,
)
from storage.files import write_text

SCRIPT: Final = "jobs.slurm"

_RUNNING: Final = frozenset({"RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SUSPENDED"})
_HELD: Final = re.compile(
    r"Held|launch failed|BadConstraints|PartitionTimeLimit|PartitionNodeLimit|NeverSatisfied|MaxWall|MaxMem"
)


class Slurm:
    """A cluster that `sbatch` reaches from here."""

    most_together = 1000
    """Jobs in one array. Source: SLURM's default of MaxArraySize, 1001."""

    def describe(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt]) -> str:
        """Return the batch script of an array of jobs that ask for the same.

        Raises:
            ValueError: If the folder has a name that shells do not take as it is.
        """
        require_plain(folder)
        folder = folder.resolve()
        lines = [
            "#!/bin/bash",
            *sbatch_lines(manifest.site, attempts),
            "#SBATCH --output=/dev/null",
            "#SBATCH --error=%A.%a.err",
            "# One line of the list for each element of the array: the job and its selection.",
            f"jobs={_job_list(folder)} folder={folder}",
            'read -r number selection <<< "$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$jobs")"',
            'cd "$folder/$number"',
            # A name that status can find whatever the element's number; SLURM itself writes there, too.
            'ln -sf "../$SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID.err" stderr',
            f'{container(manifest.site, folder)}bash ../{WRAPPER} "$selection" ../{INPUTS} > stdout',
        ]
        return "\n".join(lines) + "\n"

    def submit(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt]) -> str:
        """Hand jobs in and return the number of their array.

        Raises:
            BatchError: If there is no `sbatch`, or it refuses.
        """
        lines = [f"{attempt.job:05d} {manifest.jobs[attempt.job].selection}" for attempt in attempts]
        write_text(_job_list(folder), "\n".join(lines) + "\n")
        write_text(folder / SCRIPT, self.describe(manifest, folder, attempts))
        return sbatch([f"--array=0-{len(attempts) - 1}", SCRIPT], folder=folder)

    def states(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> Mapping[int, QueueState]:
        """Return what the queue says of the last attempt of jobs; of those no longer there, accounting.

        Raises:
            BatchError: If SLURM does not answer.
        """
        last = last_attempts(submissions)
        wanted = {(last[job].submission.id, last[job].position): job for job in jobs}
        found = {**_accounted(sorted({array for array, _ in wanted})), **_queued()}
        return {job: found.get(key, QueueState("gone")) for key, job in wanted.items()}

    def remove(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> None:
        """Take jobs out of the queue."""
        last = last_attempts(submissions)
        names = [f"{last[job].submission.id}_{last[job].position}" for job in jobs]
        if names:
            run(["scancel", *names])


def sbatch(arguments: Sequence[str], *, folder: Path) -> str:
    """Hand a script in from a folder and return its number.

    Raises:
        BatchError: If there is no `sbatch`, or it refuses.
    """
    return run(["sbatch", "--parsable", *arguments], folder=folder).strip().split(";")[0]


def sbatch_lines(site: Site, attempts: Sequence[Attempt]) -> list[str]:
    """Return the directives that a script of this site begins with, for the most any of the jobs asks for."""
    minutes = max(attempt.minutes for attempt in attempts)
    request, queue = site.request, site.queue_for(minutes)
    options = {
        "job-name": "advtag",
        "cpus-per-task": str(request.cpus),
        "mem": f"{max(attempt.memory_mb for attempt in attempts)}M",
        "time": str(minutes),
        **({"gres": f"gpu:{request.gpus}"} if request.gpus else {}),
        **({"partition": queue.name} if queue else {}),
        **site.lines,
    }
    return [f"#SBATCH --{name}={value}" if value else f"#SBATCH --{name}" for name, value in options.items()]


def container(site: Site, folder: Path) -> str:
    """Return what stands before a command that runs in the container of a site; empty if it has none."""
    if site.environment.kind != "container":
        return ""
    gpus = " --nv" if site.request.gpus else ""
    return f"apptainer exec{gpus} --bind {folder.resolve()} {shlex.quote(str(site.environment.path))} "


def _job_list(folder: Path) -> Path:
    """Return where the jobs of the next submission are listed."""
    return folder.resolve() / f"jobs_{len(read_submissions(folder)) + 1:03d}.txt"


def _queued() -> dict[tuple[str, int], QueueState]:
    """Return the state of every job of this user that the queue knows."""
    states = {}
    for line in run(["squeue", "--me", "--noheader", "--array", "--format=%F|%K|%T|%r"]).splitlines():
        array, element, state, reason = line.strip().split("|", 3)
        if not element.isdigit():
            continue
        if state in _RUNNING:
            states[array, int(element)] = QueueState("running")
        elif state == "PENDING":
            held = bool(_HELD.search(reason))
            states[array, int(element)] = QueueState(
                "held" if held else "idle", f"held: {reason}" if held else ""
            )
        else:
            states[array, int(element)] = _ended(state, "")
    return states


def _accounted(arrays: Sequence[str]) -> dict[tuple[str, int], QueueState]:
    """Return how jobs ended, where the cluster keeps accounts."""
    if not arrays:
        return {}
    options = ["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode"]
    try:
        table = run(["sacct", *options, "-j", ",".join(arrays)])
    except BatchError:
        return {}  # small clusters keep none; the jobs' own words are read then
    states = {}
    for line in table.splitlines():
        name, state, code = line.split("|")
        array, _, element = name.partition("_")
        if element.isdigit():
            states[array, int(element)] = _ended(state.split()[0], code)
    return states


def _ended(state: str, code: str) -> QueueState:
    words = "" if state in ("COMPLETED", "FAILED") else state.lower().replace("_", " ")
    exit_code, _, signal = code.partition(":")
    if not words and signal not in ("", "0"):
        words = f"killed by signal {signal}"
    if not words and exit_code not in ("", "0"):
        words = f"exit code {exit_code}"
    return QueueState("gone", words, out_of_memory=state == "OUT_OF_MEMORY", out_of_time=state == "TIMEOUT")
