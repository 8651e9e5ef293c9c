"""Jobs on HTCondor: one submit description, one line for each job."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from condor.commands import BatchError, number_in, quoted, run, run_json
from condor.folder import DECLARED_LOSSES, INPUTS, WRAPPER, next_list
from condor.manifest import Manifest
from condor.sites import Queue
from condor.submissions import (
    Attempt,
    QueueName,
    QueueState,
    Submission,
    last_attempts,
    require_plain,
)
from storage.files import write_text

DESCRIPTION: Final = "jobs.sub"
LOG: Final = "condor.log"

_HELD, _REMOVED = 5, 3
STATES: Final[Mapping[int, QueueName]] = {
    1: "idle",
    2: "running",
    3: "gone",  # removed
    4: "gone",  # completed
    5: "held",
    6: "running",  # transferring its output
    7: "running",  # suspended
}
"""What the values of the attribute JobStatus say. Source: HTCondor manual, job ClassAd attributes."""
_TOTAL: Final = re.compile(r"^\s*(?:Total for query: )?(\d+) jobs; ", re.MULTILINE)
_CLUSTER: Final = re.compile(r"^\s*(\d+)\.\d+ - \d+\.\d+\s*$", re.MULTILINE)
"""What `condor_submit -terse` prints: the first and last of the jobs."""
_OUT_OF_MEMORY = (34, 102)
"""HoldReasonCode and -SubCode of a job that used more memory than it asked for. Source: HTCondor manual."""
_NO_TIME: Final = re.compile(r"wall.?(clock)?.?time|run.?time|job duration|time limit", re.IGNORECASE)
"""Words of sites that remove or hold a job after its time. Source: CERN, DESY and LPC batch pages."""
_NAMES = "ClusterId,DAGManJobId,AdvtagJob,JobStatus"
_ASKED = f"{_NAMES},HoldReason,HoldReasonCode,HoldReasonSubCode"
_TAG = "AdvtagSubmission"
_ENDED = f"{_NAMES},ExitCode,ExitBySignal,ExitSignal,RemoveReason"
_NAMED_AT_ONCE = 1000
"""Jobs named in one constraint: a word of a command line has at most 128 KiB."""
_VARIABLES = ("number", "selection", "memory", "flavour", "files")


class HTCondor:
    """A pool that `condor_submit` reaches from here."""

    most_together = 20_000
    """Jobs in one cluster: what schedds commonly allow."""

    def describe(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt]) -> str:  # noqa: ARG002
        """Return the submit description; what each job asks for is in the list of jobs.

        Raises:
            ValueError: If the folder has a name that submit descriptions do not take.
        """
        return _description(manifest, folder, next_list(folder))

    def submit(self, manifest: Manifest, folder: Path, attempts: Sequence[Attempt], *, tag: str) -> str:
        """Hand jobs in and return the number of their cluster.

        Raises:
            BatchError: If there is no `condor_submit`, it refuses, or tells no number.
        """
        job_list = next_list(folder)
        lines = [" ".join(variables(manifest, attempt).values()).rstrip() for attempt in attempts]
        write_text(job_list, "\n".join(lines) + "\n")
        text = _description(manifest, folder, job_list)
        write_text(folder / DESCRIPTION, f"{tag_line(tag)}\n{text}")
        answer = run(["condor_submit", "-terse", DESCRIPTION], folder=folder)
        return number_in(answer, _CLUSTER, command="condor_submit")

    def find(self, tag: str) -> str | None:
        """Return the number of the cluster or graph that carries a tag; None if the queue has none.

        Raises:
            BatchError: If the pool does not answer.
        """
        records = _queue(f"{_TAG} == {quoted(tag)}", "ClusterId")
        return str(records[0]["ClusterId"]) if records else None

    def states(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> Mapping[int, QueueState]:
        """Return what the queue, or else the history, says of the last attempt of jobs.

        Raises:
            BatchError: If the pool does not answer.
        """
        last = last_attempts(submissions)
        wanted = {(last[job].submission.id, f"{job:05d}"): job for job in jobs}
        numbers = {number for number, _ in wanted}
        if not wanted:
            return {}
        queue = {_key(record): record for record in _queue(_constraint(numbers), _ASKED)}
        states = {wanted[key]: _in_queue(record) for key, record in queue.items() if key in wanted}
        gone = {key: job for key, job in wanted.items() if job not in states}
        n_submitted = sum(len(each.attempts) for each in submissions if each.id in numbers)
        ended = _endings({number for number, _ in gone}, at_most=n_submitted)
        for key, job in gone.items():
            # A graph that still runs has not handed the job in yet.
            waits = key not in ended and (key[0], "") in queue
            states[job] = QueueState("idle") if waits else ended.get(key, QueueState("gone"))
        return states

    def is_queued(self, submissions: Sequence[Submission]) -> bool:
        """Say whether the last submission itself, a graph, is in the queue."""
        number = submissions[-1].id if submissions else "0"
        return any(
            STATES.get(record.get("JobStatus", 0)) != "gone"
            for record in _queue(f"ClusterId == {number}", "ClusterId,JobStatus")
        )

    def release(self, submissions: Sequence[Submission], attempts: Sequence[Attempt]) -> None:
        """Let held jobs run again with the memory they ask for now."""
        last = last_attempts(submissions)
        for attempt in attempts:
            number = last[attempt.job].submission.id
            job = f'{_constraint({number})} && AdvtagJob == "{attempt.job:05d}"'
            run(["condor_qedit", "-constraint", job, "RequestMemory", str(attempt.memory_mb)])
            run(["condor_release", "-constraint", job])

    def remove(self, submissions: Sequence[Submission], jobs: Sequence[int]) -> None:
        """Take jobs out of the queue."""
        last = last_attempts(submissions)
        for number in sorted({last[job].submission.id for job in jobs}):
            names = [f'AdvtagJob == "{job:05d}"' for job in jobs if last[job].submission.id == number]
            for start in range(0, len(names), _NAMED_AT_ONCE):
                these = " || ".join(names[start : start + _NAMED_AT_ONCE])
                run(["condor_rm", "-constraint", f"{_constraint({number})} && ({these})"])


def tag_line(tag: str) -> str:
    """Return the submit command that gives a tag to jobs."""
    return f"+{_TAG} = {quoted(tag)}"


def program(manifest: Manifest, folder: Path) -> str:
    """Return the submit description up to its queue statement; `variables` fills what it leaves open."""
    require_plain(folder)
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
    flavour = "-" if queue is None else queue_value(queue)
    inputs = dict.fromkeys(part.input for part in job.ranges)
    taken_along = [manifest.local_name(each) for each in inputs if manifest.travels(each)]
    values = {
        "number": f"{attempt.job:05d}",
        "selection": job.selection,
        "memory": str(attempt.memory_mb),
        "flavour": flavour,
        # The last one takes the rest of the line: its commas continue the list of files.
        "files": "".join(f", {name}" for name in taken_along),
    }
    return {name: values[name] for name in _VARIABLES}


def queue_value(queue: Queue) -> str:
    """Return a queue as the value of a submit command: a number as it is, else a string."""
    return queue.name if queue.name.isdigit() else quoted(queue.name)


def _description(manifest: Manifest, folder: Path, job_list: Path) -> str:
    return f"{program(manifest, folder)}queue {', '.join(_VARIABLES)} from {job_list}\n"


def _in_queue(record: Mapping[str, Any]) -> QueueState:
    status = record.get("JobStatus")
    state = STATES.get(status) if isinstance(status, int) else None
    if state is None:
        return QueueState("unknown", f"HTCondor gives it the status {status}, which advtag does not know")
    if state == "held":
        code = (record.get("HoldReasonCode"), record.get("HoldReasonSubCode"))
        reason = str(record.get("HoldReason", "no reason given"))
        return _for_a_reason("held", "held", reason, of_memory=code == _OUT_OF_MEMORY)
    return QueueState(state, "removed" if status == _REMOVED else "")


def _queue(constraint: str, attributes: str) -> list[dict[str, Any]]:
    """Return what the queue says of some jobs.

    `condor_q` prints nothing where there is none, but so does one that never asked: only a total of zero
    tells the two apart.

    Raises:
        BatchError: If the queue does not answer.
    """
    records = run_json(["condor_q", "-json", "-attributes", attributes, "-constraint", constraint])
    if records is not None:
        return records
    total = _TOTAL.search(run(["condor_q", "-totals", "-constraint", constraint]))
    if total is None or total[1] != "0":
        raise BatchError("condor_q: names no jobs, nor says that there are none: ask again later")
    return []


def _key(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the submission a job belongs to, a cluster or a graph, and its number in the manifest."""
    return str(record.get("DAGManJobId", record.get("ClusterId"))), str(record.get("AdvtagJob", ""))


def _constraint(numbers: Iterable[str]) -> str:
    return "(" + " || ".join(f"ClusterId == {n} || DAGManJobId == {n}" for n in sorted(numbers)) + ")"


def _endings(numbers: set[str], *, at_most: int) -> dict[tuple[str, str], QueueState]:
    """Return how the jobs of some submissions ended, as far as the history tells."""
    if not numbers:
        return {}
    # A history may be of millions of jobs, newest first: it ends with the last that can be one of these.
    options = ["-json", "-limit", str(at_most), "-attributes", _ENDED]
    of_these = f"AdvtagJob =!= undefined && {_constraint(numbers)}"
    try:
        records = run_json(["condor_history", *options, "-constraint", of_these]) or []
    except BatchError:
        return {}  # some schedds keep none, or not for everybody; the jobs' own words are read then
    endings: dict[tuple[str, str], QueueState] = {}
    for record in records:
        endings.setdefault(_key(record), _ending(record))
    return endings


def _ending(record: Mapping[str, Any]) -> QueueState:
    if record.get("JobStatus") == _REMOVED:
        return _for_a_reason("gone", "removed", str(record.get("RemoveReason", "by hand")))
    if record.get("ExitBySignal"):
        return QueueState("gone", f"killed by signal {record.get('ExitSignal')}")
    return QueueState("gone", f"exit code {record['ExitCode']}" if record.get("ExitCode") else "")


def _for_a_reason(state: QueueName, word: str, reason: str, *, of_memory: bool = False) -> QueueState:
    return QueueState(
        state,
        f"{word}: {reason}",
        out_of_memory=of_memory or "memory" in reason.lower(),
        out_of_time=bool(_NO_TIME.search(reason)),
    )
