"""The outputs of all jobs become one result for each selection: every range once, nothing normalised.

Outputs are added in groups, and the sums of groups again, so that memory does not grow with the number of
jobs. The sums are kept until the end: a merge that was interrupted goes on where it was.
"""

import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from condor.folder import output_path
from condor.jet_tables import has_tables, merge_tables
from condor.judging import JobStatus, entry_with_name
from condor.manifest import Manifest
from datamc.results import (
    LedgerEntry,
    LedgerError,
    Result,
    merge_results,
    notes_from,
    other_notes,
    read_result,
    write_outputs,
    write_result,
)
from processors.not_finite import require_finite_outputs
from storage.files import one_writer
from storage.wording import few

Progress = Callable[[int, int], None]

PARTS: Final = "merging"
_GROUP: Final = 50


class IncompleteError(ValueError):
    """Jobs whose output is missing."""


def merge_outputs(
    manifest: Manifest,
    folder: Path,
    jobs: Sequence[JobStatus],
    out: Path,
    *,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> list[Result]:
    """Write the files of a local run for each selection and return the results.

    Args:
        manifest: What was planned.
        folder: The folder of the jobs.
        jobs: What became of them.
        out: Folder of the results.
        allow_missing: Whether jobs without an output are declared lost instead of ending everything.
        progress: Called with the outputs read and their total.

    Raises:
        IncompleteError: If outputs are missing.
        LedgerError: If the sum does not account for every planned event.
        ValueError: If outputs do not fit together, or another process merges them or writes into `out`.
    """
    with one_writer(folder / PARTS), one_writer(out):
        return _merged(manifest, folder, jobs, out, allow_missing=allow_missing, progress=progress)


def _merged(
    manifest: Manifest,
    folder: Path,
    jobs: Sequence[JobStatus],
    out: Path,
    *,
    allow_missing: bool,
    progress: Progress | None,
) -> list[Result]:
    missing = [job for job in jobs if job.state != "done"]
    if missing and not allow_missing:
        first = missing[0]
        raise IncompleteError(
            f"{len(missing)} of {len(jobs)} jobs have no good output, first {first.job:05d} "
            f"({first.reason or first.state}): resubmit them, or declare them lost with --allow-missing"
        )
    done = [job for job in jobs if job.state == "done"]
    counter, results = itertools.count(1), []

    def report() -> None:
        if progress:
            progress(next(counter), len(done))

    for selection in manifest.selections:
        numbers = [job.job for job in done if job.selection == selection]
        if not numbers:
            raise IncompleteError(f"{selection}: no job has an output: nothing to merge")
        result = _sum(manifest, folder, selection, numbers, report)
        gone = [job for job in missing if job.selection == selection]
        lost = [entry for job in gone for entry in _lost(manifest, job)]
        result = _as_a_local_run(
            manifest, selection, result, [*lost, *_lost_from_the_beginning(manifest, selection)]
        )
        if has_tables(manifest):
            result = replace(result, tables=merge_tables(manifest, folder, selection, numbers, out))
        write_outputs(result, out)
        results.append(result)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    return results


def _sum(
    manifest: Manifest, folder: Path, selection: str, numbers: Sequence[int], report: Callable[[], None]
) -> Result:
    parts: list[Path] = []
    for start in range(0, len(numbers), _GROUP):
        group = numbers[start : start + _GROUP]
        paths = [output_path(folder, job, selection) for job in group]
        parts.append(_kept_sum(folder, selection, paths, (_named(manifest, folder, job) for job in group)))
        for _ in group:
            report()
    while len(parts) > 1:
        groups = [parts[start : start + _GROUP] for start in range(0, len(parts), _GROUP)]
        parts = [_kept_sum(folder, selection, group, map(read_result, group)) for group in groups]
    return read_result(parts[0])


def _kept_sum(folder: Path, selection: str, paths: Sequence[Path], results: Iterable[Result]) -> Path:
    """Return the file with the sum of some results; its name tells which files, in which state, it adds."""
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = hashlib.sha256(repr(states).encode()).hexdigest()[:24]
    path = folder / PARTS / f"{selection}_{key}.zip"
    if not path.is_file():
        total: Result | None = None
        for result in results:
            total = result if total is None else merge_results([total, result])
        if total is None:
            raise ValueError("no result to merge: name at least one result file")
        write_result(total, path)
    return path


def _named(manifest: Manifest, folder: Path, job: int) -> Result:
    """Return the result of a job, its files under the names of the manifest.

    Where all files were looked at before, their notes are known, and a job knows those of some files only.

    Raises:
        ValueError: If it was damaged after it was judged; the sentence names the job.
    """
    try:
        result = read_result(output_path(folder, job, manifest.jobs[job].selection))
    except (ValueError, OSError) as error:
        raise ValueError(f"job {job:05d}: {error}, by `advtag condor resubmit --jobs {job}`") from error
    ledger = [entry_with_name(manifest, job, entry) for entry in result.ledger]
    notes = [] if manifest.is_counted else result.notes
    return replace(result, ledger=ledger, notes=notes, submission="", tables={})


def _lost(manifest: Manifest, job: JobStatus) -> list[LedgerEntry]:
    reason = f"job {job.job:05d} left no output ({job.reason or job.state})"
    return [
        LedgerEntry(
            manifest.inputs[part.input].dataset,
            manifest.inputs[part.input].path,
            max(0, part.stop - part.start),
            0,
            "failed",
            reason,
            part.start,
        )
        for part in manifest.jobs[job.job].ranges
    ]


def _lost_from_the_beginning(manifest: Manifest, selection: str) -> list[LedgerEntry]:
    return [
        LedgerEntry(each.dataset, each.path, 0, 0, "skipped", each.reason, each.start)
        for each in manifest.lost
        if each.selection == selection
    ]


def _as_a_local_run(
    manifest: Manifest, selection: str, result: Result, lost: Sequence[LedgerEntry]
) -> Result:
    """Return a sum with what is lost besides, and the notes of all its files.

    Raises:
        LedgerError: If it does not account for every planned event.
        ValueError: If all files are lost, or a tagger gave no finite output for any jet.
    """
    notes = list(dict.fromkeys([*manifest.notes.get(selection, ()), *other_notes(result)]))
    result = replace(result, ledger=[*result.ledger, *lost], notes=notes)
    _require_complete(manifest, selection, result)
    if not result.datasets:
        raise ValueError(f"{selection}: nothing was processed ({few(result.notes)}): check the fileset")
    require_finite_outputs(result)
    return replace(result, notes=[*notes, *notes_from(result)])


def _require_complete(manifest: Manifest, selection: str, result: Result) -> None:
    """Raise unless the ledger holds every planned range once."""
    result.check_ledger()
    lost = [each[1:4] for each in manifest.lost if each.selection == selection]
    planned = sorted(
        (manifest.inputs[part.input].dataset, manifest.inputs[part.input].path, part.start)
        for job in manifest.jobs
        if job.selection == selection
        for part in job.ranges
    )
    planned = sorted([*planned, *lost])
    found = sorted((entry.dataset, entry.file, entry.entry_start) for entry in result.ledger)
    if planned != found:
        raise LedgerError(
            f"{selection}: the outputs account for {len(found)} ranges, the manifest has {len(planned)}: "
            "resubmit, or submit anew in another folder"
        )
