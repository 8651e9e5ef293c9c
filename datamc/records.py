"""What a processing run leaves behind, in memory: datasets, cutflows, the ledger of events, the result."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import hist

from datamc.look_ups import LookUps, look_up_notes, unvaried_notes
from datamc.overlaps import EventRange, first_overlap
from datamc.repeats import first_repeat
from datamc.scenarios import NotFinite, Scenario, not_finite_notes, not_finite_of
from datamc.sections import Sections

LedgerStatus = Literal["processed", "skipped", "failed"]


class LedgerError(ValueError):
    """Events went missing without being declared lost, or were counted twice."""


@dataclass(frozen=True)
class DatasetRecord:
    """One dataset as it was processed: what it is, and the sums over the chunks that filled the histograms.

    `sum_weights` sums the generator weights of *all* processed events, before any cut; it is what a cross
    section is divided by. `luminosity_pb` (inverse picobarn) is known for data only, `cross_section_pb` for
    simulation only. `simulated` is true also for simulated events that play the role of data, `same_events`
    for those of them that are the events of the simulation themselves, as another detector sees them.
    `variation_sums` are the same sums with the weights of variations of theory, which change shapes alone.
    `n_left_out` counts the events that were generated for its files and left out of them before: they are
    part of all these sums, but not of `n_events`.
    `n_scored` counts the jets that taggers scored (nominal, unweighted); `not_finite` those of them for which
    a tagger gave NaN or infinity, by ``tagger@epoch/variant``, where there are any. `unvaried` counts the
    events whose lists of weights are too short for a variation, by ``branch:source``; `broken_values` the
    momenta and directions that are no finite numbers, by branch; `look_ups` what became of corrections, by
    name.
    """

    is_data: bool
    process: str
    cross_section_pb: float | None = None
    luminosity_pb: float | None = None
    simulated: bool = False
    n_events: int = 0
    sum_weights: float = 0.0
    sum_weights2: float = 0.0
    variation_sums: dict[str, float] = field(default_factory=dict)
    same_events: bool = False
    n_scored: int = 0
    not_finite: dict[str, int] = field(default_factory=dict)
    unvaried: dict[str, int] = field(default_factory=dict)
    broken_values: dict[str, int] = field(default_factory=dict)
    look_ups: dict[str, LookUps] = field(default_factory=dict)
    n_left_out: float = 0.0

    def doubts(self) -> list[str]:
        """Return one sentence for each doubt about its values and the weights of its events."""
        broken = [
            f"{branch}: {n} values are no finite numbers (a NaN passes no cut): is the file as it was made"
            for branch, n in self.broken_values.items()
        ]
        unvaried = unvaried_notes(self.unvaried, self.n_events)
        return [*self._doubts_about_sums(), *broken, *unvaried, *look_up_notes(self.look_ups)]

    def _doubts_about_sums(self) -> list[str]:
        doubts = []
        if self.n_left_out:
            doubts.append(
                f"{self.n_left_out:.0f} events were left out of its files before: its cross section is that "
                "of all that were generated, by genEventSumw in their tree Runs"
            )
        if (reason := self.why_unscalable()) is not None:
            doubts.append(f"{reason}: it cannot be scaled to a cross section")
        return doubts

    def why_unscalable(self) -> str | None:
        """Return why the simulation cannot be scaled to its cross section; None if it can, or is empty."""
        if self.is_data or not self.n_events:
            return None
        if not math.isfinite(self.sum_weights) or self.sum_weights <= 0:
            return f"the weights of its {self.n_events} events sum to {self.sum_weights:.6g}"
        return None


@dataclass(frozen=True)
class CutflowRow:
    """What is left after one cut (and all cuts above it): events, sum of weights, sum of squared weights.

    In a table of N-1 it is what passes all cuts but this one.
    """

    cut: str
    n_events: int
    sum_weights: float
    sum_weights2: float


@dataclass(frozen=True)
class LedgerEntry:
    """The fate of one range of events of one file: `[entry_start, entry_start + n_expected)`.

    Events that were expected but not processed are *declared lost* by the status `skipped` or `failed` and a
    reason. `identity` is what the file has in common with its copies, and with no other file; it is empty
    where that is not known, as of a file that never opened.
    """

    dataset: str
    file: str
    n_expected: int
    n_processed: int
    status: LedgerStatus = "processed"
    reason: str = ""
    entry_start: int = 0
    identity: str = ""

    @property
    def range(self) -> EventRange:
        """The events."""
        stop = self.entry_start + self.n_expected
        return EventRange(self.identity, self.entry_start, stop, self.dataset, self.file)

    @property
    def n_lost(self) -> int:
        """Events declared lost; 0 for a processed range."""
        return 0 if self.status == "processed" else self.n_expected - self.n_processed


@dataclass
class Result:
    """The output of one selection, from one job or from many merged ones.

    `histograms` are `hist.Hist` with Weight storage, raw sums of weights. `config` holds the resolved
    settings that every merged part must share, as plain JSON values (not the list of files, the number of
    workers or the executor). `usage` says what the work took: chunks, megabytes read, seconds of processing,
    and the most memory a worker ever took (`peak_memory_mb`). `sections` lists the luminosity sections of
    data that hold an event that was processed and, where certified ones were given, certified. `samples` are
    hashes of some events of each range of the ledger, see `datamc.repeats`. `submission` is the fingerprint
    of the submission whose job made it, empty of a local run and of a sum. `tables` has the SHA-256 of the
    table of jets of each dataset, where such were written.
    """

    selection: str
    histograms: dict[str, hist.Hist[Any]]
    datasets: dict[str, DatasetRecord]
    cutflows: dict[str, list[CutflowRow]] = field(default_factory=dict)
    n_minus_one: dict[str, list[CutflowRow]] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    sections: dict[str, Sections] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    submission: str = ""
    tables: dict[str, str] = field(default_factory=dict)

    @property
    def same_events(self) -> bool:
        """Whether data are the events of the simulation, so that the two fluctuate together."""
        data = [record for record in self.datasets.values() if record.is_data]
        return bool(data) and all(record.same_events for record in data)

    def not_finite(self) -> dict[Scenario, NotFinite]:
        """Return how many outputs are no finite numbers, of every tagger, epoch and variant that has such."""
        return not_finite_of(self.datasets.values())

    def all_notes(self) -> list[str]:
        """Return the notes, and after them what was counted: doubtful weights, and outputs of taggers."""
        doubts = [f"{name}: {doubt}" for name, record in self.datasets.items() for doubt in record.doubts()]
        return [*self.notes, *doubts, *not_finite_notes(self.not_finite())]

    def processed_fraction(self, dataset: str) -> float:
        """Return the share of a dataset's events that was processed, by the ledger; 1 without any loss.

        A file that never opened did not tell its number of events: it counts as the mean of those that did,
        and nothing is left where none did.
        """
        entries = [entry for entry in self.ledger if entry.dataset == dataset]
        if all(entry.status == "processed" for entry in entries):
            return 1.0
        opened = {entry.file for entry in entries if entry.n_expected > 0 or entry.status == "processed"}
        if not opened:
            return 0.0
        n_files = len({entry.file for entry in entries})
        expected = sum(entry.n_expected for entry in entries) * n_files / len(opened)
        return sum(entry.n_processed for entry in entries) / expected if expected else 0.0

    def check_ledger(self) -> None:
        """Check that expected = processed + declared lost per range, and that the datasets agree with it.

        Raises:
            LedgerError: If a processed range is short, a lost one gives no reason, or a dataset's number of
                events is not the ledger's.
        """
        for entry in self.ledger:
            _check_entry(entry)
        refuse_double_counting(self.ledger)
        refuse_repeats(self.ledger, self.samples)
        for dataset in dict.fromkeys([*self.datasets, *(entry.dataset for entry in self.ledger)]):
            in_ledger = sum(entry.n_processed for entry in self.ledger if entry.dataset == dataset)
            record = self.datasets.get(dataset)
            filled = 0 if record is None else record.n_events
            if filled != in_ledger:
                raise LedgerError(
                    f"{self.selection}, {dataset}: histograms hold {filled} processed events but the ledger "
                    f"lists {in_ledger}: process this dataset again"
                )


def _check_entry(entry: LedgerEntry) -> None:
    place = f"{entry.dataset}, {entry.file}"
    missing = entry.n_expected - entry.n_processed - entry.n_lost
    if missing or not 0 <= entry.n_processed <= entry.n_expected:
        raise LedgerError(
            f"{place}: {entry.n_expected} events expected, {entry.n_processed} processed, {entry.n_lost} "
            "declared lost: process this file again"
        )
    if entry.status != "processed" and not entry.reason:
        raise LedgerError(f"{place}: {entry.status} without a reason: say why {entry.n_lost} events are lost")


def refuse_double_counting(entries: Iterable[LedgerEntry]) -> None:
    """Check that no event is in two ranges that hold processed events: of a file, or of a copy of it.

    Raises:
        LedgerError: If one is; the sentence names the files.
    """
    held = [entry for entry in entries if entry.n_processed > 0]
    by_name = [entry.range._replace(identity=f"{entry.dataset}, {entry.file}") for entry in held]
    by_content = [entry.range for entry in held if entry.identity]
    for found in (first_overlap(by_name), first_overlap(by_content)):
        if found is not None:
            first, second = found
            also = "" if first.file == second.file else f", in {first.file} ({first.dataset}), too"
            raise LedgerError(
                f"{second.dataset}, {second.file}: the events from {second.start} on are held twice{also}: "
                "take each file once"
            )


def refuse_repeats(entries: Iterable[LedgerEntry], samples: Mapping[str, str]) -> None:
    """Check that no events are in two files, one of which is no copy but was written anew.

    Args:
        entries: The ledger.
        samples: Hashes of some events of each range, as in `Result.samples`.

    Raises:
        LedgerError: If they are; the sentence names the files.
    """
    found = first_repeat(samples)
    if found is None:
        return
    *keys, n_shared = found
    named = {entry.range.key: f"{entry.dataset}, {entry.file}" for entry in entries}
    first, second = (named.get(key, key) for key in keys)
    if first == second:
        raise LedgerError(f"{first}: holds events twice (run, section and number): write the file anew")
    raise LedgerError(
        f"{second}: holds at least {n_shared} of the events of {first}, written anew: take each event once"
    )
