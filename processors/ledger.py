"""The account of events: what was planned, what was processed, what is lost and why."""

from collections.abc import Iterable, Mapping

from datamc.results import LedgerEntry, LedgerError, LedgerStatus
from processors.opening import PlannedFile
from processors.planning import Plan


def ledger_of(
    plan: Plan,
    processed: Mapping[tuple[str, str], int],
    lost: Mapping[tuple[str, str], Iterable[str]],
) -> list[LedgerEntry]:
    """Return one entry for each file of the plan, those included that never opened.

    Args:
        plan: What was to be processed.
        processed: Number of processed events for each (dataset, file).
        lost: Why chunks of a (dataset, file) are missing.
    """
    return [_entry(file, processed, lost) for file in plan.files] + plan.lost


def _entry(
    file: PlannedFile,
    processed: Mapping[tuple[str, str], int],
    lost: Mapping[tuple[str, str], Iterable[str]],
) -> LedgerEntry:
    key = file.dataset, file.path
    n_processed = processed.get(key, 0)
    reasons = sorted(lost.get(key, ()))
    status: LedgerStatus = "failed" if reasons else "processed"
    return LedgerEntry(
        file.dataset,
        file.path,
        file.n_events,
        n_processed,
        status,
        "; ".join(reasons),
        file.entry_start,
        file.identity,
    )


def require_all_chunks(planned: Iterable[object], done: Iterable[object]) -> None:
    """Raise unless every planned chunk came back, and no other.

    Raises:
        LedgerError: If not.
    """
    missing, surplus = set(planned) - set(done), set(done) - set(planned)
    if missing or surplus:
        raise LedgerError(
            f"{len(missing)} planned chunks did not come back and {len(surplus)} came that were not planned: "
            "run again, and report this if it stays so"
        )
