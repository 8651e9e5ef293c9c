"""The report's tables: rows of finished text, computed from the results."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datamc.divergence import DivergenceRow
from datamc.normalisation import normalisation, purity_table
from datamc.records import CutflowRow, Result
from datamc.scale_factors import ScaleFactors, summarise
from models.discriminators import SCORES
from plotting.style import FLAVOUR_LABELS, SELECTION_NAMES, in_order, score_label, variant_label
from plotting.summary import CLAIM, compare_trainings, minus, signed
from plotting.tagging import AucRow

MAX_LEDGER_ROWS = 300
"""More entries than this are counted, not listed; what was lost is always listed."""


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; columns from `numeric_from` on are numbers (aligned to the right)."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric_from: int = 1


@dataclass(frozen=True)
class Cell:
    """One divergence with its error, or one significance; `lower` marks a difference beyond `CLAIM`."""

    text: str
    error: str = ""
    lower: bool = False


@dataclass(frozen=True)
class VariantColumns:
    """A variant and the columns below it."""

    name: str
    columns: Sequence[str]


@dataclass(frozen=True)
class DivergenceLine:
    """One score and its cells."""

    score: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class DivergenceTable:
    """One selection's divergences: scores down, variants and trainings across."""

    caption: str
    variants: Sequence[VariantColumns]
    rows: Sequence[DivergenceLine]


@dataclass(frozen=True)
class Detail:
    """One collapsible part of the report."""

    title: str
    tables: Sequence[Table] = ()
    blocks: Sequence[str] = ()
    text: str = ""
    open: bool = field(default=False)


def divergence_tables(rows: Sequence[DivergenceRow]) -> list[DivergenceTable]:
    """Return per selection the divergences of every training and variant at the training's last epoch."""
    return [
        _divergence_table(selection, [row for row in rows if row.selection == selection])
        for selection in dict.fromkeys(row.selection for row in rows)
    ]


def _divergence_table(selection: str, rows: Sequence[DivergenceRow]) -> DivergenceTable:
    taggers = in_order(row.tagger for row in rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    last = {tagger: max(row.epoch for row in rows if row.tagger == tagger) for tagger in taggers}
    values = {(row.score, row.tagger, row.variant): row for row in rows if row.epoch == last[row.tagger]}
    reference, *others = taggers
    significances = {
        (c.reference.score, other, variant): c.significance
        for other in others
        for variant in variants
        for c in compare_trainings(rows, reference=reference, other=other, variant=variant)
    }
    # Its mirror image has no comparison of its own; the number is the same.
    mirrored = {("BvsC", *key[1:]): value for key, value in significances.items() if key[0] == "CvsB"}
    significances = mirrored | significances
    lines = [
        DivergenceLine(
            score_label(score),
            [
                *(_offset_cell(values.get((score, tagger, variants[0]))) for tagger in taggers),
                *(
                    cell
                    for variant in variants
                    for cell in (
                        *(_kl_cell(values.get((score, tagger, variant))) for tagger in taggers),
                        *(
                            _sigma_cell(significances.get((score, other, variant), math.nan))
                            for other in others
                        ),
                    )
                ),
            ],
        )
        for score in SCORES
        if any(row.score == score for row in rows)
    ]
    epochs = ", ".join(f"{tagger} epoch {last[tagger]}" for tagger in taggers)
    differences = ["difference"] if len(others) == 1 else [f"{other} − {reference}" for other in others]
    columns = [
        VariantColumns(f"statistics alone ({variant_label(variants[0])})", taggers),
        *(VariantColumns(variant_label(variant), [*taggers, *differences]) for variant in variants),
    ]
    return DivergenceTable(f"{SELECTION_NAMES.get(selection, selection)}: {epochs}", columns, lines)


def _kl_cell(row: DivergenceRow | None) -> Cell:
    """Return a divergence in units of 10^-3 and half its band, with as many digits as the error allows."""
    if row is None or row.status != "ok":
        return Cell("–")
    value, error = 1e3 * row.kl, 1e3 * (row.high - row.low) / 2
    if not (math.isfinite(error) and error > 0):
        return Cell(f"{value:.3g}")
    digits = _digits(error)
    return Cell(f"{value:.{digits}f}", f"± {error:.{digits}f}")


def _offset_cell(row: DivergenceRow | None) -> Cell:
    """Return what statistics alone give, in units of 10^-3."""
    if row is None or row.status != "ok" or row.offset <= 0:
        return Cell("–")
    return Cell(f"{1e3 * row.offset:.{_digits(1e3 * row.offset)}f}")


def _digits(value: float) -> int:
    """Return how many decimals show two digits of a value."""
    return max(0, 1 - math.floor(math.log10(value)))


def _sigma_cell(significance: float) -> Cell:
    if not math.isfinite(significance):
        return Cell("–")
    return Cell(f"{signed(significance, '.1f')} σ", lower=abs(significance) >= CLAIM)


def auc_tables(rows: Sequence[AucRow]) -> list[Table]:
    """Return per variant the areas of every training at its last epoch, with their statistical errors."""
    tables = []
    for variant in dict.fromkeys(row.variant for row in rows):
        chosen = [row for row in rows if row.variant == variant]
        last = {row.tagger: row for row in sorted(chosen, key=lambda row: row.epoch)}
        lines = [
            [f"{tagger}, epoch {final.epoch}"]
            + [_area_text(chosen, tagger, final.epoch, score) for score in SCORES]
            for tagger in in_order(last)
            for final in [last[tagger]]
        ]
        columns = ["Training", *(score_label(score) for score in SCORES)]
        tables.append(Table(f"AUC, {variant_label(variant)}", columns, lines))
    return tables


def _area_text(rows: Sequence[AucRow], tagger: str, epoch: int, score: str) -> str:
    for row in rows:
        if (row.tagger, row.epoch, row.score) == (tagger, epoch, score) and math.isfinite(row.auc):
            return with_error(row.auc, row.error)
    return "–"


def scale_factor_tables(scale_factors: Sequence[ScaleFactors]) -> list[Table]:
    """Return how far the scale factors are from one, per training (at its last epoch) and variant."""
    if not scale_factors:
        return []
    last = {each.tagger: each.epoch for each in sorted(scale_factors, key=lambda each: each.epoch)}
    rows = [
        [
            f"{row.tagger}, epoch {row.epoch}, {variant_label(row.variant)}",
            row.flavour,
            f"{row.n_ok} of {row.n_cells}",
            f"{row.mean_deviation:.3f}" if row.n_ok else "–",
            f"{row.mean_error:.3f}" if row.n_ok else "–",
            f"{row.yield_ratio:.3f}",
        ]
        for tagger in in_order(last)
        for factors in scale_factors
        if (factors.tagger, factors.epoch) == (tagger, last[tagger])
        for row in summarise(factors)
    ]
    columns = [
        "Fit",
        "Flavour",
        "Cells measured",
        "Mean |SF − 1|",
        "Mean stat. error",
        "Yield after / before",
    ]
    return [Table("Scale factors in numbers, weighted with simulated jets", columns, rows, numeric_from=2)]


def with_error(value: float, error: float) -> str:
    """Return a value with the error of its last two digits in brackets: 0.9185(21) is 0.9185 ± 0.0021."""
    if not (math.isfinite(error) and 0 < error < 1):
        return f"{value:.4f}"
    digits = 1 - math.floor(math.log10(error))
    return f"{value:.{digits}f}({round(error * 10**digits)})"


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
        digits = _digits(factor.error) if factor.error > 0 else 3
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
    notes = dict.fromkeys(note for result in results.values() for note in result.notes)
    return [note if note.endswith(".") else f"{note}." for note in notes]


def _config(selection: str, result: Result) -> str:
    return f"{_name(selection)}\n" + json.dumps(result.config, indent=2, ensure_ascii=False, default=str)


def _versions(results: Mapping[str, Result]) -> Table:
    versions = {name: version for result in results.values() for name, version in result.versions.items()}
    return Table(
        "Software", ["Package", "Version"], [[name, version] for name, version in sorted(versions.items())]
    )
