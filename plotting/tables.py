"""The report's tables: rows of finished text, computed from the results."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from datamc.differences import DifferenceRow
from datamc.divergence import DivergenceRow
from datamc.reference_curve import EqualAucRow
from datamc.scale_factors import ScaleFactors, summarise
from models.discriminators import SCORES
from plotting.style import SELECTION_NAMES, in_order, largest_fgsm, score_label, variant_label
from plotting.summary import CLAIM, UNDISTORTED, Comparison, compare_trainings, epochs_text, minus, signed
from plotting.tagging import AucRow


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
class VerdictCell:
    """One significance; `verdict` is `better` or `worse` beyond `CLAIM`, empty otherwise."""

    text: str
    verdict: str = ""


@dataclass(frozen=True)
class VerdictLine:
    """One selection and variant: a cell per score."""

    name: str
    cells: Sequence[VerdictCell]


@dataclass(frozen=True)
class VerdictTable:
    """A training against the reference: selections and variants down, scores across."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[VerdictLine]


MEASURES = {
    "kl": "KL, 60 bins",
    "kl_equal": "KL, equal population",
    "js": "Jensen–Shannon",
    "emd": "earth mover",
    "auc": "data against simulation, AUC",
}
"""What a difference is measured in, and its name."""


def verdict_tables(
    rows: Sequence[DivergenceRow], differences: Sequence[DifferenceRow] = ()
) -> list[VerdictTable]:
    """Return per training how clearly it agrees better or worse than the reference, each at its last epoch.

    Inputs of the simulation are undistorted, then under the strongest FGSM. Undistorted inputs have a line
    per measure where differences on shared events are known.
    """
    if not rows:
        return []
    reference, *others = in_order(row.tagger for row in rows)
    attack = largest_fgsm(list(dict.fromkeys(row.variant for row in rows)))
    variants = [variant for variant in (UNDISTORTED, attack) if variant]
    return [_verdict_table(rows, differences, reference, other, variants) for other in others]


def _verdict_table(
    rows: Sequence[DivergenceRow],
    differences: Sequence[DifferenceRow],
    reference: str,
    other: str,
    variants: Sequence[str],
) -> VerdictTable:
    lines: dict[tuple[str, str, str], dict[str, float]] = {}
    compared: list[Comparison] = []
    for variant in variants:
        comparisons = compare_trainings(
            rows, reference=reference, other=other, variant=variant, differences=differences
        )
        compared += comparisons
        for c in comparisons:
            place = variant, c.reference.selection, "kl"
            lines.setdefault(place, {})[c.reference.score] = c.significance
            if c.paired and variant == UNDISTORTED:
                for each in _other_measures(differences, c.paired):
                    place = variant, each.selection, each.measure
                    lines.setdefault(place, {})[each.score] = each.significance
    scores = [score for score in SCORES if any(score in line for line in lines.values())]
    order = sorted(lines, key=lambda place: (variants.index(place[0]), list(MEASURES).index(place[2])))
    several = any(measure != "kl" for _, _, measure in lines)
    names = {
        place: f"{SELECTION_NAMES.get(place[1], place[1])}, "
        f"{'undistorted' if place[0] == UNDISTORTED else variant_label(place[0])}"
        + (f", {MEASURES[place[2]]}" if several else "")
        for place in order
    }
    epochs = epochs_text(compared) if compared else "no result in common"
    caption = f"“{other}” against “{reference}”: difference of the divergence from data, {epochs}"
    return VerdictTable(
        caption,
        [score_label(score) for score in scores],
        [
            VerdictLine(names[place], [_verdict_cell(lines[place].get(s, math.nan)) for s in scores])
            for place in order
        ],
    )


def _other_measures(differences: Sequence[DifferenceRow], paired: DifferenceRow) -> list[DifferenceRow]:
    """Return the same difference in the other measures, where its error is known."""
    names = [name for name in MEASURES if name != paired.measure]
    wanted = [_place(paired._replace(measure=name)) for name in names]
    return [each for each in differences if _place(each) in wanted and each.error > 0]


def _place(row: DifferenceRow) -> tuple[str | int, ...]:
    """Return what a difference is of."""
    trainings = row.tagger, row.epoch, row.reference, row.reference_epoch
    return row.selection, row.score, row.variant, row.measure, *trainings


def _verdict_cell(significance: float) -> VerdictCell:
    if not math.isfinite(significance):
        return VerdictCell("–")
    verdict = "" if abs(significance) < CLAIM else "better" if significance < 0 else "worse"
    return VerdictCell(f"{signed(significance, '.1f')} σ", verdict)


def divergence_tables(
    rows: Sequence[DivergenceRow], differences: Sequence[DifferenceRow] = ()
) -> list[DivergenceTable]:
    """Return per selection the divergences of every training and variant at the training's last epoch."""
    return [
        _divergence_table(selection, [row for row in rows if row.selection == selection], differences)
        for selection in dict.fromkeys(row.selection for row in rows)
    ]


def _divergence_table(
    selection: str, rows: Sequence[DivergenceRow], differences: Sequence[DifferenceRow]
) -> DivergenceTable:
    taggers = in_order(row.tagger for row in rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    last = {tagger: max(row.epoch for row in rows if row.tagger == tagger) for tagger in taggers}
    values = {(row.score, row.tagger, row.variant): row for row in rows if row.epoch == last[row.tagger]}
    reference, *others = taggers
    significances = {
        (c.reference.score, other, variant): c.significance
        for other in others
        for variant in variants
        for c in compare_trainings(
            rows, reference=reference, other=other, variant=variant, differences=differences
        )
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
    headings = ["difference"] if len(others) == 1 else [f"{other} − {reference}" for other in others]
    columns = [
        VariantColumns(f"statistics alone ({variant_label(variants[0])})", taggers),
        *(VariantColumns(variant_label(variant), [*taggers, *headings]) for variant in variants),
    ]
    return DivergenceTable(f"{SELECTION_NAMES.get(selection, selection)}: {epochs}", columns, lines)


def _kl_cell(row: DivergenceRow | None) -> Cell:
    """Return a divergence in units of 10^-3 and half its band, with as many digits as the error allows."""
    if row is None or row.status != "ok":
        return Cell("–")
    value, error = 1e3 * row.kl, 1e3 * (row.high - row.low) / 2
    if not (math.isfinite(error) and error > 0):
        return Cell(f"{value:.3g}")
    digits = decimals(error)
    return Cell(f"{value:.{digits}f}", f"± {error:.{digits}f}")


def _offset_cell(row: DivergenceRow | None) -> Cell:
    """Return what statistics alone give, in units of 10^-3."""
    if row is None or row.status != "ok" or row.offset <= 0:
        return Cell("–")
    return Cell(f"{1e3 * row.offset:.{decimals(1e3 * row.offset)}f}")


def decimals(value: float) -> int:
    """Return how many decimals show two digits of a value."""
    return max(0, 1 - math.floor(math.log10(value)))


def _sigma_cell(significance: float) -> Cell:
    if not math.isfinite(significance):
        return Cell("–")
    return Cell(f"{signed(significance, '.1f')} σ", lower=abs(significance) >= CLAIM)


def equal_auc_tables(rows: Sequence[EqualAucRow]) -> list[Table]:
    """Return per training its KL over that of the reference at the same AUC, last epoch, undistorted."""
    tables = []
    for tagger in in_order(row.tagger for row in rows):
        ours = [row for row in rows if row.tagger == tagger and row.tagger != row.reference]
        if not ours:
            continue
        last = max(row.epoch for row in ours)
        ours = [row for row in ours if row.epoch == last]
        scores = [score for score in SCORES if any(row.score == score for row in ours)]
        lines = [
            [
                f"{SELECTION_NAMES.get(selection, selection)}, {MEASURES.get(measure, measure)}",
                *(_ratio_text(ours, selection, measure, score) for score in scores),
            ]
            for measure in dict.fromkeys(row.measure for row in ours)
            for selection in dict.fromkeys(row.selection for row in ours)
        ]
        reference = f"“{ours[0].reference}”"
        if (epoch := ours[0].reference_epoch) != last:
            reference += f", epoch {epoch},"
        caption = f"“{tagger}”, epoch {last}: divergence over that of {reference} at the same AUC"
        tables.append(
            Table(caption, ["Selection, measure", *(score_label(score) for score in scores)], lines)
        )
    return tables


def _ratio_text(rows: Sequence[EqualAucRow], selection: str, measure: str, score: str) -> str:
    for row in rows:
        if (row.selection, row.measure, row.score) == (selection, measure, score) and row.ratio_error > 0:
            digits = decimals(row.ratio_error)
            mark = {"above": " ↑", "below": " ↓"}.get(row.status, "")
            return f"{minus(f'{row.ratio:.{digits}f}')} ± {row.ratio_error:.{digits}f}{mark}"
    return "–"


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
