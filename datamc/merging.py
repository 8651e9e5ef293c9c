"""The sum of results: every range of events once, and only what was processed alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import hist

from datamc.look_ups import LookUps
from datamc.notes import notes_from, other_notes
from datamc.records import (
    CutflowRow,
    DatasetRecord,
    LedgerEntry,
    Result,
    refuse_double_counting,
    refuse_repeats,
)
from datamc.repeats import merged_samples
from datamc.sections import Sections, pairs_of, ranges_of

Number = TypeVar("Number", int, float)


def merge_results(results: Sequence[Result]) -> Result:
    """Return the sum of results of one selection, each range of events taken once.

    A range that failed in one result and was processed in another counts as processed: its failure leaves the
    ledger.

    Raises:
        ValueError: If there is nothing to merge, or selection, configuration, cuts or a dataset's description
            differ.
        LedgerError: If two results hold the same events.
    """
    if not results:
        raise ValueError("no result to merge: name at least one result file")
    first = results[0]
    for other in results[1:]:
        _refuse_other_config(first, other)
    merged = Result(
        selection=first.selection,
        histograms=_merge_histograms(results),
        datasets=_merge_datasets(results),
        cutflows=_merge_cutflows([result.cutflows for result in results]),
        n_minus_one=_merge_cutflows([result.n_minus_one for result in results]),
        ledger=_merge_ledgers(results),
        notes=list(
            dict.fromkeys(
                note for result in results for note in [*other_notes(result), *_version_notes(first, result)]
            )
        ),
        config=first.config,
        versions=first.versions,
        usage=_merge_usage(results),
        sections=_merge_sections(results),
        samples=_merge_samples(results),
    )
    refuse_repeats(merged.ledger, merged.samples)
    merged.notes += notes_from(merged)
    return merged


def _refuse_other_config(first: Result, other: Result) -> None:
    if first.selection != other.selection:
        raise ValueError(
            f"results of different selections, {first.selection!r} and {other.selection!r}: "
            "merge them one by one"
        )
    difference = _first_difference(first.config, other.config)
    if difference:
        raise ValueError(
            f"{first.selection}: results of different configurations do not add up: {difference}"
        )


def _first_difference(first: object, other: object, key: str = "") -> str:
    """Name the first key at which two nested configurations differ; empty if they are equal."""
    if isinstance(first, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*first, *other]):
            place = f"{key}.{name}" if key else str(name)
            if name not in first or name not in other:
                return f"only one of them has {place!r}"
            difference = _first_difference(first[name], other[name], place)
            if difference:
                return difference
        return ""
    return "" if first == other else f"{key!r} is {first!r} in one and {other!r} in another"


def _version_notes(first: Result, other: Result) -> list[str]:
    names = [name for name in other.versions if other.versions[name] != first.versions.get(name)]
    return [
        f"merged results of different versions: {name} {first.versions.get(name, 'unknown')} "
        f"and {other.versions[name]}"
        for name in names
    ]


def _merge_histograms(results: Iterable[Result]) -> dict[str, hist.Hist[Any]]:
    merged: dict[str, hist.Hist[Any]] = {}
    for result in results:
        for name, histogram in result.histograms.items():
            merged[name] = merged[name] + histogram if name in merged else histogram.copy()
    return merged


def _merge_datasets(results: Iterable[Result]) -> dict[str, DatasetRecord]:
    merged: dict[str, DatasetRecord] = {}
    for result in results:
        for name, record in result.datasets.items():
            merged[name] = _add_records(name, merged[name], record) if name in merged else record
    return merged


def _add_records(name: str, left: DatasetRecord, right: DatasetRecord) -> DatasetRecord:
    for key in ("is_data", "process", "cross_section_pb", "luminosity_pb", "simulated", "same_events"):
        if getattr(left, key) != getattr(right, key):
            raise ValueError(
                f"{name}: {key} is {getattr(left, key)!r} in one result and {getattr(right, key)!r} in "
                "another: process it with one fileset"
            )
    return replace(
        left,
        n_events=left.n_events + right.n_events,
        sum_weights=left.sum_weights + right.sum_weights,
        sum_weights2=left.sum_weights2 + right.sum_weights2,
        n_left_out=left.n_left_out + right.n_left_out,
        variation_sums=_add_by_name(left.variation_sums, right.variation_sums),
        n_scored=left.n_scored + right.n_scored,
        not_finite=_add_by_name(left.not_finite, right.not_finite),
        unvaried=_add_by_name(left.unvaried, right.unvaried),
        broken_values=_add_by_name(left.broken_values, right.broken_values),
        look_ups={
            name: left.look_ups.get(name, LookUps()).plus(right.look_ups.get(name, LookUps()))
            for name in dict.fromkeys([*left.look_ups, *right.look_ups])
        },
    )


def _add_by_name(left: Mapping[str, Number], right: Mapping[str, Number]) -> dict[str, Number]:
    """Return the sums of what bears the same name; what one of them lacks is 0 there."""
    summed = dict(left)
    for name, number in right.items():
        summed[name] = summed[name] + number if name in summed else number
    return summed


def _merge_cutflows(tables: Iterable[dict[str, list[CutflowRow]]]) -> dict[str, list[CutflowRow]]:
    merged: dict[str, list[CutflowRow]] = {}
    for table in tables:
        for name, rows in table.items():
            merged[name] = _add_cutflows(name, merged[name], rows) if name in merged else list(rows)
    return merged


def _add_cutflows(name: str, left: list[CutflowRow], right: list[CutflowRow]) -> list[CutflowRow]:
    cuts, other_cuts = [row.cut for row in left], [row.cut for row in right]
    if cuts != other_cuts:
        raise ValueError(
            f"{name}: the results cut on {cuts} and on {other_cuts}: process them with one version"
        )
    return [
        CutflowRow(
            a.cut, a.n_events + b.n_events, a.sum_weights + b.sum_weights, a.sum_weights2 + b.sum_weights2
        )
        for a, b in zip(left, right, strict=True)
    ]


def _merge_usage(results: Sequence[Result]) -> dict[str, float]:
    """Return the sums, and of the memory the peak."""
    merged: dict[str, float] = {}
    for name, value in (pair for result in results for pair in result.usage.items()):
        known = merged.get(name, 0.0)
        merged[name] = max(known, value) if name.startswith("peak") else known + value
    return merged


def _merge_sections(results: Sequence[Result]) -> dict[str, Sections]:
    merged: dict[str, set[tuple[int, int]]] = {}
    for name, sections in (pair for result in results for pair in result.sections.items()):
        merged.setdefault(name, set()).update(pairs_of(sections))
    return {name: ranges_of(pairs) for name, pairs in merged.items()}


def _merge_samples(results: Sequence[Result]) -> dict[str, str]:
    return merged_samples({key: text for result in results for key, text in result.samples.items()})


def _merge_ledgers(results: Sequence[Result]) -> list[LedgerEntry]:
    entries = [entry for result in results for entry in result.ledger]
    refuse_double_counting(entries)
    done: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in entries:
        if entry.status == "processed":
            done.setdefault((entry.dataset, entry.file), []).append(entry)
    return [
        entry
        for entry in entries
        if entry.n_processed > 0 or not _is_made_good(entry, done.get((entry.dataset, entry.file), []))
    ]


def _is_made_good(entry: LedgerEntry, done: Iterable[LedgerEntry]) -> bool:
    """Say whether processed ranges cover `entry`, which holds no processed event itself."""
    reached = entry.entry_start
    for other in sorted(done, key=lambda other: other.entry_start):
        if other is not entry and other.entry_start <= reached:
            reached = max(reached, other.entry_start + other.n_expected)
    return reached > entry.entry_start and reached >= entry.entry_start + entry.n_expected
