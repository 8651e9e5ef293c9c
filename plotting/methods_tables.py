"""The tables of a study of methods: rows of finished text, computed from its numbers."""

from collections.abc import Callable, Mapping, Sequence

from datamc.method_scale_factors import MethodScaleFactors
from datamc.method_tables import MethodRow
from models.discriminators import SCORES
from plotting.methods_summary import (
    MEASURE_NAMES,
    NULL,
    chosen_rows,
    says_something,
    value_text,
)
from plotting.style import FLAVOUR_LABELS, SELECTION_NAMES, score_label
from plotting.summary import CLAIM, minus, signed
from plotting.tables import VerdictCell, VerdictLine, VerdictTable

ABSENT = VerdictCell("–")
UNIT = 1e4
"""Excesses are shown in units of 10^-4."""

_AREAS = ("BvsL", "CvsL")
_MARKS = {"above": " ↑", "below": " ↓"}


def main_table(
    rows: Sequence[MethodRow],
    *,
    scenarios: Sequence[str],
    selection: str,
    score: str,
    measure: str,
    costs: Mapping[str, float],
) -> VerdictTable:
    """Return the table of one selection: performance, divergence, ratios, other scenarios, cost.

    Args:
        rows: All rows of a study.
        scenarios: The main one first.
        selection: Where data and simulation are compared.
        score: Whose divergence is shown.
        measure: Of the divergence.
        costs: Time of a training over that of the reference, by method; may be empty.
    """
    main, *others = scenarios
    here = chosen_rows(rows, scenario=main, selection=selection, score=score, measure=measure)
    areas = {
        (row.score, row.method): row
        for row in rows
        if (row.scenario, row.selection, row.measure) == (main, selection, measure)
    }
    columns = {
        **{f"AUC {score_label(s)}": [_area_cell(areas.get((s, row.method))) for row in here] for s in _AREAS},
        **{
            f"{score_label(s)} attacked": [_attacked_cell(areas.get((s, row.method))) for row in here]
            for s in _AREAS
        },
        **_divergence_columns(here),
    }
    for other in others:
        there = {row.method: row for row in chosen_rows(
            rows, scenario=other, selection=selection, score=score, measure=measure
        )}  # fmt: skip
        columns[f"Equal AUC, {other}"] = [ratio_cell(there.get(row.method)) for row in here]
    columns["χ²/ndf"] = [
        VerdictCell(f"{row.chi2_per_degree:.2f}") if row.chi2_per_degree else ABSENT for row in here
    ]
    columns["Training time"] = [
        VerdictCell(f"{costs[row.method]:.1f}") if row.method in costs else ABSENT for row in here
    ]
    name = SELECTION_NAMES.get(selection, selection)
    caption = f"{name}: {MEASURE_NAMES.get(measure, measure)} of {score_label(score)}"
    caption += f", “{main}”" if others else ""
    seeds = {row.n_seeds for row in here}
    if len(seeds) > 1:
        columns = {"Seeds": [VerdictCell(str(row.n_seeds)) for row in here], **columns}
    else:
        caption += f", {next(iter(seeds))} seeds each" if seeds != {1} else ", one seed each"
    columns = {name: cells for name, cells in columns.items() if any(cell != ABSENT for cell in cells)}
    return VerdictTable(
        caption,
        list(columns),
        [VerdictLine(row.method, [cells[i] for cells in columns.values()]) for i, row in enumerate(here)],
    )


def _divergence_columns(here: Sequence[MethodRow]) -> dict[str, list[VerdictCell]]:
    """Return the divergence of the main scenario, and what it is over that of the reference."""
    first = here[0]
    return {
        f"{score_label(first.score)} excess, 10⁻⁴": [
            VerdictCell(f"{_scaled(row.excess, row.excess_error)} ({minus(f'{UNIT * row.offset:.0f}')})")
            for row in here
        ],
        f"Over {first.reference}": [
            _plain_ratio(row, row.ratio_basic, row.ratio_basic_error) for row in here
        ],
        "Over equal AUC": [ratio_cell(row) for row in here],
        "Below 1 by": [_sigma_cell(row) for row in here],
        "Over early stop": [_plain_ratio(row, row.ratio_early, row.ratio_early_error) for row in here],
    }


def ratio_tables(rows: Sequence[MethodRow], *, scenario: str, score: str, measure: str) -> list[VerdictTable]:
    """Return per selection the ratios at equal AUC of all scores, and those of all measures of one score."""
    tables = []
    for selection in dict.fromkeys(row.selection for row in rows if row.scenario == scenario):
        name = SELECTION_NAMES.get(selection, selection)
        here = [row for row in rows if (row.scenario, row.selection) == (scenario, selection)]
        by_score = {(row.method, row.score): row for row in here if row.measure == measure}
        by_measure = {(row.method, row.measure): row for row in here if row.score == score}
        scores = [each for each in SCORES if any(row.score == each for row in here)]
        tables += [
            _ratio_table(f"{name}: {MEASURE_NAMES[measure]}, all scores", by_score, scores, score_label),
            _ratio_table(
                f"{name}: {score_label(score)}, all measures", by_measure,
                list(dict.fromkeys(row.measure for row in here)), lambda each: MEASURE_NAMES.get(each, each),
            ),
        ]  # fmt: skip
    return tables


def _ratio_table(
    caption: str,
    rows: Mapping[tuple[str, str], MethodRow],
    keys: Sequence[str],
    label: Callable[[str], str],
) -> VerdictTable:
    methods = dict.fromkeys(method for method, _ in rows)
    lines = [VerdictLine(m, [ratio_cell(rows.get((m, key))) for key in keys]) for m in methods]
    return VerdictTable(caption, [label(key) for key in keys], lines)


def null_tables(rows: Sequence[MethodRow], *, measure: str) -> list[VerdictTable]:
    """Return per selection how far each score of the null data set is from what statistics alone give."""
    null = [row for row in rows if (row.scenario, row.measure) == (NULL, measure)]
    tables = []
    for selection in dict.fromkeys(row.selection for row in null):
        here = {(row.method, row.score): row for row in null if row.selection == selection}
        scores = [each for each in SCORES if any(score == each for _, score in here)]
        lines = [
            VerdictLine(method, [_pull_cell(here.get((method, score))) for score in scores])
            for method in dict.fromkeys(method for method, _ in here)
        ]
        caption = f"{SELECTION_NAMES.get(selection, selection)}: excess in σ, and p-value of the shapes"
        tables.append(VerdictTable(caption, [score_label(score) for score in scores], lines))
    return tables


def scale_factor_tables(rows: Sequence[MethodScaleFactors]) -> list[VerdictTable]:
    """Return per scenario the mean of |SF - 1| of each method and flavour."""
    tables = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        here = {(row.method, row.flavour): row for row in rows if row.scenario == scenario}
        flavours = list(dict.fromkeys(flavour for _, flavour in here))
        lines = [
            VerdictLine(
                method,
                [cell for flavour in flavours for cell in _factor_cells(here.get((method, flavour)))],
            )
            for method in dict.fromkeys(method for method, _ in here)
        ]
        columns = [
            column
            for flavour in flavours
            for column in (FLAVOUR_LABELS.get(flavour, "all flavours"), "statistics alone")
        ]
        tables.append(VerdictTable(f"Mean |SF − 1|, {scenario}", columns, lines))
    return tables


def ratio_cell(row: MethodRow | None) -> VerdictCell:
    """Return the ratio at equal AUC, marked where it is beyond `CLAIM`; nothing where it says nothing."""
    if row is None or not says_something(row):
        return ABSENT
    if row.method == row.reference:
        return VerdictCell("1")
    verdict = "" if abs(row.significance) < CLAIM else "better" if row.significance > 0 else "worse"
    return VerdictCell(
        value_text(row.ratio_curve, row.ratio_curve_error) + _MARKS.get(row.status, ""), verdict
    )


def _scaled(value: float, error: float) -> str:
    """Return a number and its error in units of 10^-4, with one decimal where the error is below 10."""
    digits = 0 if UNIT * error >= 10 else 1
    return f"{minus(f'{UNIT * value:.{digits}f}')} ± {UNIT * error:.{digits}f}"


def _plain_ratio(row: MethodRow, ratio: float, error: float) -> VerdictCell:
    if not says_something(row) or not ratio:
        return ABSENT
    return VerdictCell("1" if row.method == row.reference else value_text(ratio, error))


def _sigma_cell(row: MethodRow) -> VerdictCell:
    if not says_something(row) or row.ratio_curve_error <= 0:
        return ABSENT
    return VerdictCell(f"{signed(row.significance, '.1f')} σ")


def _area_cell(row: MethodRow | None) -> VerdictCell:
    return ABSENT if row is None else VerdictCell(f"{row.auc:.4f}")


def _attacked_cell(row: MethodRow | None) -> VerdictCell:
    return VerdictCell(f"{row.auc_attacked:.3f}") if row is not None and row.auc_attacked > 0 else ABSENT


def _pull_cell(row: MethodRow | None) -> VerdictCell:
    if row is None or row.excess_error <= 0:
        return ABSENT
    return VerdictCell(f"{signed(row.pull, '.1f')} σ, p = {row.p_value:.2f}")


def _factor_cells(row: MethodScaleFactors | None) -> list[VerdictCell]:
    if row is None or not row.n_ok:
        return [ABSENT, ABSENT]
    return [VerdictCell(f"{row.deviation:.3f} ± {row.error:.3f}"), VerdictCell(f"{row.expected:.3f}")]
