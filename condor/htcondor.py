"""Jobs on HTCondor: one submit description, one line for each job."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from condor.commands import quoted, run, run_json
from condor.folder import DECLARED_LOSSES, INPUTS, WRAPPER
from condor.manifest import Manifest
from condor.submissions import Attempt, QueueState, Submission, last_attempts, read_submissions
from storage.files import write_text

DESCRIPTION: Final = "jobs.sub"
LOG: Final = "condor.log"

_WAITING, _RUNNING, _REMOVED, _COMPLETED, _HELD, _SENDING = 1, 2, 3, 4, 5, 6
"""Values of the attribute JobStatus. Source: HTCondor manual, job ClassAd attributes."""
_OUT_OF_RESOURCES = 34
"""Value of HoldReasonCode for a job that used more than it asked for; the subcode tells of what."""
_MEMORY = 102
_NAMES = "ClusterId,DAGManJobId,AdvtagJob,JobStatus"
_ASKED = f"{_NAMES},HoldReason,HoldReasonCode,HoldReasonSubCode"
_ENDED = f"{_NAMES},ExitCode,ExitBySignal,ExitSignal,RemoveReason"
_VARIABLES = ("number", "selection", "memory", "flavour", "files")


class HTCondor:
    """A pool that `condor_submit` reaches from here."""

    most_together = 20_000
    """Jobs in one cluster: what schedds commonly allow."""

    def describe(self, manifest: Manifest, folder: Path) -> str:
        """Return the submit description."""
        return f"{program(manifest, folder)}queue {', '.join(_VARIABLES)} from {_job_list(folder)}\n"

    def submit(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt]) -> str:
        """Hand jobs in and return the number of their cluster.

        Raises:
            BatchError: If there is no `condor_submit`, or it refuses.
        """
        lines = [" ".join(variables(manifest, attempt).values()).rstrip() for attempt in attempts]
        write_text(_job_list(folder), "\n".join(lines) + "\n")
        write_text(folder / DESCRIPTION, self.describe(manifest, folder))
        answer = run(["condor_submit", "-terse", DESCRIPTION], folder=folder)
        return answer.split(".")[0].strip()

    def states(self, submissions: Sequence[Submission]) -> Mapping[int, QueueState]:
        """Return what the queue, or else the history, says of the last attempt of each job.

        Raises:
            BatchError: If the pool does not answer.
        """
        wanted = {(last.submission.id, f"{job:05d}"): job for job, last in last_attempts(submissions).items()}
        if not wanted:
            return {}
        states: dict[int, QueueState] = {}
        of_these = _constraint({number for number, _ in wanted})
        for record in run_json(["condor_q", "-json", "-attributes", _ASKED, "-constraint", of_these]):
            if (job := wanted.get(_key(record))) is not None:
                states[job] = _in_queue(record)
        gone = {key for key, job in wanted.items() if job not in states}
        for record in _history(gone):
            if (key := _key(record)) in gone:
                states[wanted[key]] = QueueState("gone", _ending(record))
        return {job: states.get(job, QueueState("gone")) for job in wanted.values()}

    def remove(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> None:
        """Take jobs out of the queue."""
        last = last_attempts(submissions)
        for number in sorted({last[job].submission.id for job in jobs}):
            names = " || ".join(
                f'AdvtagJob == "{job:05d}"' for job in jobs if last[job].submission.id == number
            )
            run(["condor_rm", "-constraint", f"{_constraint({number})} && ({names})"])


def program(manifest: Manifest, folder: Path) -> str:
    """Return the submit description up to its queue statement; `variables` fills what it leaves open."""
    site, folder = manifest.site, folder.resolve()
    travels = site.transfer != "shared"
    inputs = INPUTS if travels else str(folder / INPUTS)
    files = ["fileset.json", *([str(folder / INPUTS)] if travels else [])]
    if site.transfer == "xrdcp":
        files.append("copies.txt")
    if site.environment.kind == "tarball":
        files.append(str(Path(site.environment.path or "").resolve()))
    container = [f"container_image = {site.environment.path}"] if site.environment.kind == "container" else []
    flavour = [f"{site.queue_key} = $(flavour)"] if site.queues else []
    lines = [
        f"universe = {'container' if container else 'vanilla'}",
        *container,
        f"executable = {folder / WRAPPER}",
        f"arguments = $(selection) {inputs}",
        f"initialdir = {folder}/$(number)",
        "output = stdout",
        "error = stderr",
        f"log = {folder / LOG}",
        "should_transfer_files = YES",
        "when_to_transfer_output = ON_EXIT",
        f"transfer_input_files = {', '.join(files)}$(files)",
        "transfer_output_files = output",
        f"request_cpus = {site.request.cpus}",
        "request_memory = $(memory)",
        f"request_disk = {site.request.disk_mb}MB",
        *([f"request_gpus = {site.request.gpus}"] if site.request.gpus else []),
        *flavour,
        f"max_retries = {site.max_retries}",
        # Losses that were declared stay lost, however often the job runs.
        f"retry_until = {DECLARED_LOSSES}",
        '+AdvtagJob = "$(number)"',
        *(f"{key} = {value}" for key, value in site.lines.items()),
    ]
    return "\n".join(lines) + "\n"


def variables(manifest: Manifest, attempt: Attempt) -> dict[str, str]:
    """Return what the description leaves open for a job."""
    job = manifest.jobs[attempt.job]
    queue = manifest.site.queue_for(attempt.minutes)
    flavour = "-" if queue is None else queue.name if queue.name.isdigit() else quoted(queue.name)
    copied = [manifest.local_name(part.input) for part in job.ranges if manifest.is_copied(part.input)]
    values = {
        "number": f"{attempt.job:05d}",
        "selection": job.selection,
        "memory": str(attempt.memory_mb),
        "flavour": flavour,
        # The last one takes the rest of the line: its commas continue the list of files.
        "files": "".join(f", {name}" for name in copied) if manifest.site.transfer == "condor" else "",
    }
    return {name: values[name] for name in _VARIABLES}


def _job_list(folder: Path) -> Path:
    """Return where the jobs of the next submission are listed."""
    return folder.resolve() / f"jobs_{len(read_submissions(folder)) + 1:03d}.txt"


def _in_queue(record: Mapping[str, Any]) -> QueueState:
    status = record["JobStatus"]
    if status == _HELD:
        reason = str(record.get("HoldReason", "held"))
        out_of_resources = record.get("HoldReasonCode") == _OUT_OF_RESOURCES
        memory = (
            out_of_resources and record.get("HoldReasonSubCode") == _MEMORY
        ) or "memory" in reason.lower()
        return QueueState("held", f"held: {reason}", out_of_memory=memory)
    if status in (_RUNNING, _SENDING):
        return QueueState("running")
    if status == _WAITING:
        return QueueState("idle")
    return QueueState("gone")


def _key(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the submission a job belongs to, a cluster or a graph, and its number in the manifest."""
    return str(record.get("DAGManJobId", record["ClusterId"])), str(record.get("AdvtagJob", ""))


def _constraint(numbers: Iterable[str]) -> str:
    return "(" + " || ".join(f"ClusterId == {n} || DAGManJobId == {n}" for n in sorted(numbers)) + ")"


def _history(jobs: set[tuple[str, str]]) -> list[dict[str, Any]]:
    if not jobs:
        return []
    of_these = _constraint({number for number, _ in jobs})
    return run_json(["condor_history", "-json", "-attributes", _ENDED, "-constraint", of_these])


def _ending(record: Mapping[str, Any]) -> str:
    if record.get("JobStatus") == _REMOVED:
        return f"removed: {record.get('RemoveReason', 'by hand')}"
    if record.get("ExitBySignal"):
        return f"killed by signal {record.get('ExitSignal')}"
    if record.get("ExitCode"):
        return f"exit code {record['ExitCode']}"
    return ""
