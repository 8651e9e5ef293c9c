"""What became of each job, judged by its output and not by a flag that somebody set."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from condor.commands import last_line
from condor.folder import output_path, stderr_path
from condor.jet_tables import has_tables, is_as_written, table_paths
from condor.manifest import Manifest
from condor.submissions import (
    BatchSystem,
    LastAttempt,
    QueueState,
    known_submissions,
    last_attempts,
    queue_states,
)
from datamc.results import Account, LedgerEntry, read_account
from storage.archives import open_archive

State = Literal["done", "running", "idle", "held", "failed", "planned", "unknown"]

NO_OUTPUT: Final = "no output"
_JUDGED_AT_ONCE: Final = 8
_NO_MEMORY: Final = re.compile(
    r"oom.?kill|out.of.memory|memory limit|MemoryError|lack of memory", re.IGNORECASE
)
_NO_TIME: Final = re.compile(r"DUE TO TIME LIMIT", re.IGNORECASE)


class JobStatus(NamedTuple):
    """One job as it stands; `reason` says why it is not done."""

    job: int
    selection: str
    state: State
    reason: str
    attempts: int
    memory_mb: int
    minutes: int
    out_of_memory: bool
    out_of_time: bool
    n_events: int | None
    n_lost: int

    @property
    def needs_resubmission(self) -> bool:
        """Whether nothing will come of it by itself."""
        return self.state in ("failed", "held", "planned")


class OutputError(ValueError):
    """Why an output does not count."""


def judge_jobs(manifest: Manifest, folder: Path, system: BatchSystem | None) -> list[JobStatus]:
    """Return what became of every job, in their order.

    Args:
        manifest: What was planned.
        folder: The folder of the jobs.
        system: The batch system to ask about jobs without a good output; None judges by outputs alone.

    Raises:
        BatchError: If the batch system does not answer.
    """
    submissions = known_submissions(folder, system)
    last = last_attempts(submissions)
    numbers = range(len(manifest.jobs))
    verdicts = _verdicts(manifest, folder, numbers)
    open_jobs = [job for job in numbers if isinstance(verdicts[job], OutputError) and job in last]
    states = queue_states(system, submissions, open_jobs) if system is not None else {}
    # The output of a job that ended in the meantime is there now.
    ended = [job for job in open_jobs if job in states and states[job].state == "gone"]
    verdicts |= _verdicts(manifest, folder, ended)
    return [_status(manifest, folder, job, verdicts[job], last.get(job), states.get(job)) for job in numbers]


def account_of(manifest: Manifest, folder: Path, job: int) -> list[LedgerEntry]:
    """Return the ledger of a job's output, its files under the names of the manifest.

    Raises:
        OutputError: If there is no output, it is damaged, or it is not what the job was to do.
    """
    selection = manifest.jobs[job].selection
    path = output_path(folder, job, selection)
    if not path.is_file():
        raise OutputError(NO_OUTPUT)
    try:
        with open_archive(path, complaint="damaged", remedy="resubmit the job") as file:
            file.require_whole()
        account = read_account(path)
    except Exception as error:  # a flipped bit may fail anywhere; it concerns this job alone
        raise OutputError("output is damaged or truncated") from error
    if account.submission != manifest.fingerprint:
        raise OutputError("output is of another submission than this one")
    if account.selection != selection:
        raise OutputError(f"output is of selection {account.selection}")
    ledger = [entry_with_name(manifest, job, entry) for entry in account.ledger]
    _require_planned(manifest, job, ledger)
    _require_tables(manifest, folder, job, account, ledger)
    return ledger


def entry_with_name(manifest: Manifest, job: int, entry: LedgerEntry) -> LedgerEntry:
    """Return a line of a job's ledger with the file's name in the manifest in place of a copy's."""
    own = {
        manifest.local_name(part.input): manifest.inputs[part.input].path
        for part in manifest.jobs[job].ranges
        if manifest.is_copied(part.input)
    }
    path = own.get(Path(entry.file).name)
    if path is None:
        return entry
    return replace(entry, file=path, reason=entry.reason.replace(Path(entry.file).name, path))


def _require_planned(manifest: Manifest, job: int, ledger: Sequence[LedgerEntry]) -> None:
    """Raise unless a ledger tells of exactly the ranges that were planned, and of every event in them."""
    planned, identities = {}, {}
    for number, start, stop in manifest.jobs[job].ranges:
        file = manifest.inputs[number]
        planned[file.dataset, file.path, start] = stop - start if stop >= 0 else None
        identities[file.dataset, file.path, start] = file.identity
    found = {(entry.dataset, entry.file, entry.entry_start): entry for entry in ledger}
    if set(found) != set(planned):
        raise OutputError("output tells of other files than the manifest")
    for key, expected in planned.items():
        entry = found[key]
        if entry.identity and identities[key] and entry.identity != identities[key]:
            raise OutputError(f"{key[1]} was replaced after it was counted: submit anew in another folder")
        never_opened = entry.status == "skipped" and entry.n_expected == 0
        if expected is not None and entry.n_expected != expected and not never_opened:
            raise OutputError(
                f"output expects {entry.n_expected} events of {key[1]}, the manifest {expected}"
            )
        if entry.n_processed + entry.n_lost != entry.n_expected:
            raise OutputError(
                f"output accounts for {entry.n_processed} of {entry.n_expected} events of {key[1]}"
            )


def _require_tables(
    manifest: Manifest, folder: Path, job: int, account: Account, ledger: Sequence[LedgerEntry]
) -> None:
    """Raise unless each dataset of which something was processed has its table, where such are wanted."""
    if not has_tables(manifest):
        return
    processed = {entry.dataset for entry in ledger if entry.status == "processed"}
    for dataset, path in table_paths(manifest, folder, job).items():
        if dataset in processed and not is_as_written(path, account.tables.get(dataset)):
            raise OutputError(f"table of jets of {dataset} is missing, damaged or truncated")


def _verdicts(
    manifest: Manifest, folder: Path, jobs: Sequence[int]
) -> dict[int, list[LedgerEntry] | OutputError]:
    def verdict(job: int) -> list[LedgerEntry] | OutputError:
        try:
            return account_of(manifest, folder, job)
        except OutputError as error:
            return error

    with ThreadPoolExecutor(_JUDGED_AT_ONCE) as threads:
        return dict(zip(jobs, threads.map(verdict, jobs), strict=True))


def _status(
    manifest: Manifest,
    folder: Path,
    job: int,
    verdict: list[LedgerEntry] | OutputError,
    last: LastAttempt | None,
    queue: QueueState | None,
) -> JobStatus:
    request = manifest.site.request
    words = last_line(stderr_path(folder, job)) if last and isinstance(verdict, OutputError) else ""
    asked = (last.attempt.memory_mb, last.attempt.minutes) if last else (request.memory_mb, request.minutes)
    queue = queue or QueueState("gone")
    state, reason = "done", ""
    if isinstance(verdict, OutputError):
        state, reason = _open_state(verdict, last, queue, words)
    return JobStatus(
        job=job,
        selection=manifest.jobs[job].selection,
        state=state,  # type: ignore[arg-type]  # one of the states by construction
        reason=reason,
        attempts=last.number if last else 0,
        memory_mb=asked[0],
        minutes=asked[1],
        out_of_memory=queue.out_of_memory or bool(_NO_MEMORY.search(words)),
        out_of_time=queue.out_of_time or bool(_NO_TIME.search(words)),
        n_events=manifest.expected_events(job),
        n_lost=0 if isinstance(verdict, OutputError) else sum(entry.n_lost for entry in verdict),
    )


def _open_state(
    verdict: OutputError, last: LastAttempt | None, queue: QueueState, words: str
) -> tuple[str, str]:
    if last is None:
        return "planned", "never submitted"
    if queue.state in ("idle", "running"):
        return queue.state, ""
    if queue.state in ("held", "unknown"):
        return queue.state, queue.reason
    what = queue.reason or str(verdict) if str(verdict) == NO_OUTPUT else str(verdict)
    words = words.removeprefix("Error: ")
    return "failed", f"{what}: {words}" if words else what


def summary_of(jobs: Sequence[JobStatus]) -> str:
    """Return how many jobs are in which state, in one line."""
    counts: Mapping[str, int] = Counter(job.state for job in jobs)
    parts = [f"{counts[state]} {state}" for state in get_args(State) if counts.get(state)]
    return f"{len(jobs)} jobs: {', '.join(parts)}"
