"""Jobs on SLURM: one array, one element for each job; everything lies on a disk that all nodes see."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from condor.commands import BatchError, number_in, run
from condor.folder import INPUTS, WRAPPER, next_list
from condor.manifest import Manifest
from condor.sites import Site
from condor.slurm_states import Ending, queue_state
from condor.submissions import (
    Attempt,
    QueueState,
    Submission,
    last_attempts,
    require_plain,
)
from storage.files import write_text

SCRIPT: Final = "jobs.slurm"

_NUMBER: Final = re.compile(r"^\s*(\d+)(?:;([A-Za-z0-9_.-]+))?\s*$", re.MULTILINE)
"""What `sbatch --parsable` prints: a number, and behind a semicolon the cluster of a federation."""
_SQUEUE: Final = ("squeue", "--me", "--noheader")
_NAMED_AT_ONCE: Final = 1000
"""Jobs named on one command line, which systems limit."""
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
        return _script(manifest, folder, attempts, next_list(folder), tag="")

    def submit(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt], *, tag: str) -> str:
        """Hand jobs in and return the number of their array.

        Raises:
            BatchError: If there is no `sbatch`, or it refuses.
        """
        lines = [f"{attempt.job:05d} {manifest.jobs[attempt.job].selection}" for attempt in attempts]
        job_list = next_list(folder)
        write_text(job_list, "\n".join(lines) + "\n")
        write_text(folder / SCRIPT, _script(manifest, folder, attempts, job_list, tag=tag))
        return sbatch([f"--array=0-{len(attempts) - 1}", SCRIPT], folder=folder)

    def find(self, tag: str) -> str | None:
        """Return the number of the array that carries a tag; None if the queue has none.

        Raises:
            BatchError: If SLURM does not answer.
        """
        for line in run([*_SQUEUE, "--format=%F|%j"]).splitlines():
            array, _, name = line.strip().partition("|")
            if array.isdigit() and name.endswith(tag):
                return array
        return None

    def states(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> Mapping[int, QueueState]:
        """Return what the queue says of the last attempt of jobs; of those no longer there, accounting.

        Raises:
            BatchError: If SLURM does not answer.
        """
        last = last_attempts(submissions)
        wanted = {(last[job].submission.id, last[job].position): job for job in jobs}
        found: dict[tuple[str, int], QueueState] = {}
        for cluster, arrays in _by_cluster(array for array, _ in wanted).items():
            accounted, missing = _accounted(arrays, cluster), QueueState("gone")
            try:
                found |= accounted | _queued(arrays, cluster)
            except BatchError as error:
                if not accounted:
                    raise
                found, missing = found | accounted, QueueState("unknown", str(error))
            found |= {key: missing for key in wanted if key[0] in arrays and key not in found}
        return {job: found[key] for key, job in wanted.items()}

    def remove(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> None:
        """Take jobs out of the queue."""
        last = last_attempts(submissions)
        for cluster, arrays in _by_cluster(last[job].submission.id for job in jobs).items():
            elements = [
                f"{arrays[last[job].submission.id]}_{last[job].position}"
                for job in jobs
                if last[job].submission.id in arrays
            ]
            for start in range(0, len(elements), _NAMED_AT_ONCE):
                run(["scancel", *_on(cluster), *elements[start : start + _NAMED_AT_ONCE]])


def sbatch(arguments: Sequence[str], *, folder: Path) -> str:
    """Hand a script in from a folder and return its number, with the cluster of a federation behind it.

    Raises:
        BatchError: If there is no `sbatch`, it refuses, or tells no number.
    """
    answer = run(["sbatch", "--parsable", *arguments], folder=folder)
    return number_in(answer, _NUMBER, command="sbatch")


def sbatch_lines(site: Site, attempts: Sequence[Attempt], *, tag: str = "") -> list[str]:
    """Return the directives that a script of this site begins with, for the most any of the jobs asks for.

    Args:
        site: Where they run.
        attempts: The jobs.
        tag: Ends the name of the jobs, so that they are known by it.
    """
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
    options["job-name"] += f"-{tag}" if tag else ""
    return [f"#SBATCH --{name}={value}" if value else f"#SBATCH --{name}" for name, value in options.items()]


def container(site: Site, folder: Path) -> str:
    """Return what stands before a command that runs in the container of a site; empty if it has none."""
    if site.environment.kind != "container":
        return ""
    gpus = " --nv" if site.request.gpus else ""
    return f"apptainer exec{gpus} --bind {folder.resolve()} {shlex.quote(str(site.environment.path))} "


def _script(
    manifest: Manifest, folder: Path, attempts: Sequence[Attempt], job_list: Path, *, tag: str
) -> str:
    require_plain(folder)
    folder = folder.resolve()
    lines = [
        "#!/bin/bash",
        *sbatch_lines(manifest.site, attempts, tag=tag),
        "#SBATCH --output=/dev/null",
        "#SBATCH --error=%A.%a.err",
        "# One line of the list for each element of the array: the job and its selection.",
        f"jobs={job_list} folder={folder}",
        'read -r number selection <<< "$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$jobs")"',
        'cd "$folder/$number"',
        # A name that status can find whatever the element's number; SLURM itself writes there, too.
        'ln -sf "../$SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID.err" stderr',
        f'{container(manifest.site, folder)}bash ../{WRAPPER} "$selection" ../{INPUTS} > stdout',
    ]
    return "\n".join(lines) + "\n"


def _by_cluster(numbers: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return for each cluster (empty: this one) its arrays, by the number that was noted."""
    found: dict[str, dict[str, str]] = {}
    for number in sorted(set(numbers)):
        array, _, cluster = number.partition(";")
        found.setdefault(cluster, {})[number] = array
    return found


def _on(cluster: str) -> list[str]:
    return [f"--clusters={cluster}"] if cluster else []


def _queued(arrays: Mapping[str, str], cluster: str) -> dict[tuple[str, int], QueueState]:
    """Return the state of those jobs of some arrays that the queue knows."""
    noted = {array: number for number, array in arrays.items()}
    states = {}
    for line in run([*_SQUEUE, *_on(cluster), "--array", "--format=%F|%K|%T|%r"]).splitlines():
        array, *columns = [column.strip() for column in line.split("|", 3)]
        if array not in noted or len(columns) != 3 or not columns[0].isdigit():
            continue
        element, state, reason = columns
        found = queue_state(state, reason=reason)
        if found.state == "idle" and _HELD.search(reason):
            found = QueueState("held", f"held: {reason}")
        states[noted[array], int(element)] = found
    return states


def _accounted(arrays: Mapping[str, str], cluster: str) -> dict[tuple[str, int], QueueState]:
    """Return what accounting says of some arrays, where the cluster keeps accounts."""
    if not arrays:
        return {}
    options = ["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode"]
    try:
        table = run(["sacct", *options, *_on(cluster), "-j", ",".join(arrays.values())])
    except BatchError:
        return {}  # small clusters keep none; the jobs' own words are read then
    noted = {array: number for number, array in arrays.items()}
    states: dict[tuple[str, int], QueueState] = {}
    for line in table.splitlines():
        name, *columns = line.strip().split("|")
        array, _, elements = name.partition("_")
        if array in noted and len(columns) >= 2:
            exit_code, _, signal = columns[1].partition(":")
            found = queue_state(columns[0], ending=Ending(exit_code, signal))
            states |= {(noted[array], element): found for element in _elements(elements)}
    return states


def _elements(text: str) -> Iterator[int]:
    """Yield the elements of an array: of ``7`` itself, of ``[2-5,9%2]``, which have not begun, all."""
    for part in text.strip("[]").partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            yield from range(int(first), int(last or first) + 1)
