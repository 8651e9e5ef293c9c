"""What stands behind the numbers: normalisation, datasets, cutflows, ledger, configuration, versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datamc.normalisation import normalisation, purity_table
from datamc.records import CutflowRow, Result
from plotting.style import FLAVOUR_LABELS, SELECTION_NAMES
from plotting.summary import minus
from plotting.tables import Table, decimals

MAX_LEDGER_ROWS = 300
"""More entries than this are counted, not listed; what was lost is always listed."""


@dataclass(frozen=True)
class Detail:
    """One collapsible part of the report."""

    title: str
    tables: Sequence[Table] = ()
    blocks: Sequence[str] = ()
    text: str = ""
    open: bool = field(default=False)


def details(results: Mapping[str, Result]) -> list[Detail]:
    """Return what stands behind the numbers, from the normalisation to the versions of the software."""
    return [
        Detail("Normalisation and purity", [_factors(results), _purities(results)], open=True),
        Detail("Datasets", [_datasets(name, result) for name, result in results.items()]),
        Detail(
            "Cutflows",
            [
                _cutflow(name, dataset, rows)
                for name, r in results.items()
                for dataset, rows in r.cutflows.items()
            ],
        ),
        Detail(
            "Cuts one by one (N−1)",
            [
                _n_minus_one(name, dataset, rows)
                for name, r in results.items()
                for dataset, rows in r.n_minus_one.items()
            ],
            text="Events that pass all cuts but the one named: what this cut alone takes away.",
        ),
        Detail(
            "Ledger of events",
            [_ledger(name, result) for name, result in results.items()],
            text=_ledger_text(results),
        ),
        Detail("Notes", text=" ".join(_sentences(results)) or "None."),
        Detail("Configuration", blocks=[_config(name, result) for name, result in results.items()]),
        Detail("Versions", [_versions(results)]),
    ]


def _name(selection: str) -> str:
    return SELECTION_NAMES.get(selection, selection)


def _factors(results: Mapping[str, Result]) -> Table:
    rows = []
    for selection, result in results.items():
        factor = normalisation(result)
        digits = decimals(factor.error) if factor.error > 0 else 3
        rows.append(
            [
                _name(selection),
                f"{factor.factor:.{digits}f} ± {factor.error:.{digits}f}",
                f"{factor.n_data:,.6g}",
                f"{factor.n_mc:,.6g}",
            ]
        )
    columns = ["Selection", "Data / MC", "Probe jets in data", "Expected from simulation"]
    return Table("One factor per selection, for every variable and variant", columns, rows)


def _purities(results: Mapping[str, Result]) -> Table:
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for row in purity_table(results.values()):
        view = {"OS-SS": "OS−SS", "OS+SS": "all"}.get(row.view, row.view)
        text = f"{minus(f'{100 * row.fraction:.1f}')} ± {100 * row.error:.1f} %"
        groups.setdefault((_name(row.selection), view), {})[row.group] = text
    names = list(dict.fromkeys(group for line in groups.values() for group in line))
    rows = [
        [selection, view, *(line.get(name, "–") for name in names)]
        for (selection, view), line in groups.items()
    ]
    columns = ["Selection", "Sign", *(FLAVOUR_LABELS.get(name, name) for name in names)]
    return Table("Flavour content of the probe jets in simulation", columns, rows, numeric_from=2)


def _datasets(selection: str, result: Result) -> Table:
    rows = [
        [
            name,
            "data" if record.is_data else "simulation",
            record.process,
            "simulated" if record.simulated or not record.is_data else "recorded",
            _number(record.cross_section_pb),
            _number(record.luminosity_pb),
            f"{record.n_events:,}",
            f"{record.sum_weights:,.6g}",
        ]
        for name, record in result.datasets.items()
    ]
    columns = [
        "Dataset",
        "Role",
        "Process",
        "Origin",
        "σ [pb]",
        "Luminosity [pb⁻¹]",
        "Events",
        "Sum of weights",
    ]
    return Table(f"Datasets of {_name(selection)}", columns, rows, numeric_from=4)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"


def _cutflow(selection: str, dataset: str, rows: Sequence[CutflowRow]) -> Table:
    lines = []
    for row, before in zip(rows, [rows[0], *rows], strict=False):
        share = f"{100 * row.n_events / before.n_events:.1f} %" if before.n_events else "–"
        lines.append([row.cut, f"{row.n_events:,}", f"{row.sum_weights:,.6g}", share])
    return Table(
        f"{_name(selection)}: {dataset}", ["Cut", "Events", "Sum of weights", "Of those before"], lines
    )


def _n_minus_one(selection: str, dataset: str, rows: Sequence[CutflowRow]) -> Table:
    lines = [[row.cut, f"{row.n_events:,}", f"{row.sum_weights:,.6g}"] for row in rows]
    return Table(
        f"{_name(selection)}: {dataset}, all cuts but one",
        ["Without the cut", "Events", "Sum of weights"],
        lines,
    )


def _ledger_text(results: Mapping[str, Result]) -> str:
    entries = [entry for result in results.values() for entry in result.ledger]
    expected = sum(entry.n_expected for entry in entries)
    processed = sum(entry.n_processed for entry in entries)
    lost = sum(entry.n_lost for entry in entries)
    balance = "nothing is missing" if expected == processed + lost else "the ledger does not balance"
    return f"{expected:,} events expected, {processed:,} processed, {lost:,} declared lost: {balance}."


def _ledger(selection: str, result: Result) -> Table:
    lost = [entry for entry in result.ledger if entry.status != "processed"]
    processed = [entry for entry in result.ledger if entry.status == "processed"]
    listed = [*lost, *processed[: max(MAX_LEDGER_ROWS - len(lost), 0)]]
    rows = [
        [
            entry.file,
            entry.dataset,
            entry.status,
            entry.reason,
            f"{entry.n_expected:,}",
            f"{entry.n_processed:,}",
        ]
        for entry in listed
    ]
    left_out = len(result.ledger) - len(listed)
    caption = f"Ledger of {_name(selection)}" + (
        f" (and {left_out:,} more, all processed)" if left_out else ""
    )
    return Table(
        caption, ["File", "Dataset", "Status", "Reason", "Expected", "Processed"], rows, numeric_from=4
    )


def _sentences(results: Mapping[str, Result]) -> list[str]:
    notes = dict.fromkeys(note for result in results.values() for note in result.all_notes())
    return [note if note.endswith(".") else f"{note}." for note in notes]


def _config(selection: str, result: Result) -> str:
    return f"{_name(selection)}\n" + json.dumps(result.config, indent=2, ensure_ascii=False, default=str)


def _versions(results: Mapping[str, Result]) -> Table:
    versions = {name: version for result in results.values() for name, version in result.versions.items()}
    return Table(
        "Software", ["Package", "Version"], [[name, version] for name, version in sorted(versions.items())]
    )
