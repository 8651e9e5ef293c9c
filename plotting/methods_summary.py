"""What comparing methods of training says, in sentences computed from its tables."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.stats import norm

from datamc.method_tables import MethodRow, PairRow
from datamc.normalisation import default_view
from plotting.style import SELECTION_NAMES, score_label
from plotting.summary import CLAIM, minus

NULL = "null"
"""The scenario in which data differ from simulation by chance alone."""

COMPARABLE = 0.02
"""A method is a candidate if it loses no more AUC than this; the curve answers for the rest."""

MEASURE_NAMES = {
    "kl": "KL divergence",
    "kl_equal": "KL divergence in bins of equal population",
    "js": "Jensen–Shannon divergence",
    "emd": "earth mover's distance",
    "auc": "area of data against simulation",
}


class Winner(NamedTuple):
    """The method with the lowest ratio at equal AUC."""

    row: MethodRow
    significance: float
    """Below 1, in standard deviations, after allowing for the choice of the lowest of `n_methods`."""
    n_methods: int
    second: MethodRow | None
    over_second: float
    """How many standard deviations the second is above it; 0 where unknown."""


def measure_of(selection: str, measure: str) -> str:
    """Return what a selection is told in: where same sign is subtracted, bins of equal population for `kl`.

    Some of the 60 bins become negative there, and the divergence jumps with them.
    """
    return "kl_equal" if measure == "kl" and default_view(selection) == "OS-SS" else measure


def chosen_rows(
    rows: Sequence[MethodRow], *, scenario: str, selection: str, score: str, measure: str
) -> list[MethodRow]:
    """Return the methods of one place, in the order of the table."""
    place = scenario, selection, score, measure
    return [row for row in rows if (row.scenario, row.selection, row.score, row.measure) == place]


def says_something(row: MethodRow) -> bool:
    """Say whether the ratios of a row mean anything: the reference is clearly above statistics."""
    return row.status not in ("weak", "no_excess", "unstable")


def winner_of(rows: Sequence[MethodRow], pairs: Sequence[PairRow]) -> Winner | None:
    """Return the best of the methods of one place beside the reference; None if nothing can be compared."""
    best = max((row.auc for row in rows if row.method == row.reference), default=math.nan)
    candidates = [
        row for row in rows
        if row.method != row.reference and says_something(row) and row.ratio_curve_error > 0
        and row.auc > best - COMPARABLE
    ]  # fmt: skip
    if not candidates:
        return None
    first, *others = sorted(candidates, key=lambda row: row.ratio_curve)
    second = others[0] if others else None
    return Winner(
        first,
        after_choice(first.significance, len(candidates)),
        len(candidates),
        second,
        _apart(first, second, pairs) if second else 0.0,
    )


def after_choice(significance: float, n: int) -> float:
    """Return the significance of the largest of n: how often chance alone gives one as large, in sigma."""
    if not significance > 0:
        return 0.0
    # of n, at least one: 1 - (1 - p)^n, without loss for small p
    chance = -math.expm1(n * math.log1p(-float(norm.sf(significance))))
    return max(float(norm.isf(chance)), 0.0) if chance > 0 else significance


def _apart(first: MethodRow, second: MethodRow, pairs: Sequence[PairRow]) -> float:
    place = first[:4]
    for pair in pairs:
        if pair[:4] != place:
            continue
        if (pair.method, pair.other) == (first.method, second.method):
            return -pair.significance
        if (pair.method, pair.other) == (second.method, first.method):
            return pair.significance
    return 0.0


def place_sentence(rows: Sequence[MethodRow], pairs: Sequence[PairRow]) -> str:
    """Return what wins in one selection, score, measure and scenario, or that nothing does."""
    if not rows:
        return "There is nothing to compare."
    row, where = rows[0], _where(rows[0])
    winner = winner_of(rows, pairs)
    if winner is None:
        if all(not says_something(each) for each in rows):
            if any(each.status == "unstable" for each in rows):
                return (
                    f"{where}: the {MEASURE_NAMES[row.measure]} jumps with every fluctuation of bins that "
                    "are nearly empty, and nothing can be said of it. Other measures are further down."
                )
            return (
                f"{where}: too few events to say. “{row.reference}” itself is not clearly above what "
                "statistics alone give, so that a ratio to it means nothing."
            )
        return f"{where}: no method has an AUC within {COMPARABLE:g} of that of “{row.reference}”."
    best = winner.row
    ratio = value_text(best.ratio_curve, best.ratio_curve_error)
    choice = f"the lowest of {winner.n_methods} methods" if winner.n_methods > 1 else "the only method"
    if winner.significance < CLAIM:
        return (
            f"{where}: nothing beats a trivial loss of performance. “{best.method}”, {choice}, has {ratio} "
            f"of the {MEASURE_NAMES[best.measure]} that noise on the output of “{best.reference}” gives "
            f"at the same AUC, {_below_one(winner)}."
        )
    return (
        f"{where}: “{best.method}” agrees best with data. Its {MEASURE_NAMES[best.measure]} is {ratio} of "
        f"what noise on the output of “{best.reference}” gives at the same AUC, {_below_one(winner)}."
        f"{_second(winner)}"
    )


def _where(row: MethodRow) -> str:
    return f"{SELECTION_NAMES.get(row.selection, row.selection)}, {score_label(row.score)}"


def _below_one(winner: Winner) -> str:
    local = winner.row.significance
    side = "below" if local >= 0 else "above"
    text = f"{abs(local):.1f} σ {side} 1"
    if winner.row.n_seeds == 1:
        text += " with one seed, that is, without the scatter of trainings"
    if winner.n_methods > 1 and local > 0:
        text += f" ({winner.significance:.1f} σ after choosing the lowest of {winner.n_methods})"
    return text


def _second(winner: Winner) -> str:
    second = winner.second
    if second is None:
        return ""
    ratio = value_text(second.ratio_curve, second.ratio_curve_error)
    if winner.over_second < CLAIM:
        return f" It is not told apart from “{second.method}” ({ratio}, {winner.over_second:.1f} σ)."
    return f" The second is “{second.method}” with {ratio}, {winner.over_second:.1f} σ behind."


def trap_sentence(rows: Sequence[MethodRow]) -> str:
    """Return which methods agree better than the reference only because they separate less; may be empty."""
    found = [
        row for row in rows
        if says_something(row) and row.ratio_basic_error > 0
        and 1 - row.ratio_basic >= CLAIM * row.ratio_basic_error
        and row.significance < CLAIM
    ]  # fmt: skip
    if not found:
        return ""
    named = ", ".join(
        f"“{row.method}” ({value_text(row.ratio_basic, row.ratio_basic_error)} of “{row.reference}”, "
        f"{value_text(row.ratio_curve, row.ratio_curve_error)} at equal AUC)"
        for row in found
    )
    return f"Agree better than “{found[0].reference}”, but not better than their AUC explains: {named}."


def other_scenarios_sentence(
    rows: Sequence[MethodRow], best: MethodRow, scenarios: Mapping[str, str], *, main: str
) -> str:
    """Return what the best method is worth in the scenarios it was not chosen in; may be empty."""
    parts = []
    for scenario, described in scenarios.items():
        for row in rows:
            same = (row.selection, row.score, row.measure, row.method) == (*best[1:4], best.method)
            if row.scenario == scenario and scenario not in (main, NULL) and same and says_something(row):
                ratio = value_text(row.ratio_curve, row.ratio_curve_error)
                parts.append(f"{ratio} in “{scenario}” ({described})")
    return f"“{best.method}” at equal AUC, where it was not chosen: {'; '.join(parts)}." if parts else ""


def null_sentence(rows: Sequence[MethodRow], *, measure: str) -> str:
    """Return how far the null data set is from what statistics alone give; may be empty."""
    null = [row for row in rows if (row.scenario, row.measure) == (NULL, measure) and row.excess_error > 0]
    if not null:
        return ""
    # scores of one selection are correlated, and so are methods: the largest is told, not their chi2
    worst = max(null, key=lambda row: abs(row.pull))
    lowest = min(null, key=lambda row: row.p_value)
    return (
        f"On the null data set, whose data differ from simulation by chance alone, the largest of "
        f"{len(null)} excesses is {minus(f'{worst.pull:.1f}')} σ (“{worst.method}”, {_where(worst)}), the "
        f"smallest p-value of the shapes {lowest.p_value:.2g} (“{lowest.method}”, {_where(lowest)}); methods "
        "and scores share their events."
    )


def value_text(value: float, error: float) -> str:
    """Return a number and its error with two digits of the error, at least two decimals."""
    if not (math.isfinite(error) and error > 0):
        return minus(f"{value:.2f}")
    digits = min(max(1 - math.floor(math.log10(error)), 0), 3)
    digits = min(digits, 2) if error >= 0.01 else digits
    return f"{minus(f'{value:.{digits}f}')} ± {error:.{digits}f}"
