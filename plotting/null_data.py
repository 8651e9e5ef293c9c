"""What null data say: simulated like the simulation, they differ from it by statistics alone."""

import math
from collections.abc import Sequence

from datamc.divergence import DivergenceRow
from plotting.style import SELECTION_NAMES, in_order
from plotting.summary import CHANCE, CLAIM, UNDISTORTED, minus


def null_sentence(rows: Sequence[DivergenceRow], null: Sequence[DivergenceRow]) -> str:
    """Return per selection what the null data's divergence is where the data have theirs; empty without.

    Undistorted inputs, the last epoch of each training; BvsC is left out where CvsB is there.
    """
    return " ".join(
        _selection(selection, rows, null) for selection in dict.fromkeys(row.selection for row in null)
    )


def _selection(selection: str, rows: Sequence[DivergenceRow], null: Sequence[DivergenceRow]) -> str:
    chance = _last_rows(null, selection)
    there = {(row.score, row.tagger, row.epoch): row for row in rows if _usable(row, selection)}
    pairs = [(row, there[place]) for row in chance if (place := (row.score, row.tagger, row.epoch)) in there]
    name = SELECTION_NAMES.get(selection, selection)
    if not pairs:
        return f"Null data of {name} share no comparison with the data."
    expected, found = ([pair[i].excess for pair in pairs] for i in (0, 1))
    known = [row for row, _ in pairs if _error(row) > 0]
    far = sum(abs(row.excess) >= CLAIM * _error(row) for row in known)
    n_jets = max(row.n_data for row, _ in pairs)
    by_chance = f"{CHANCE * len(known):.1f} expected by chance"
    errors = f"; {far} of {len(known)} lie {CLAIM:g} σ or more from zero ({by_chance})" if known else ""
    return (
        f"Statistics alone, {name}: null data ({n_jets:.0f} jets simulated like the simulation) have "
        f"KL beyond statistics of {minus(f'{_mean(expected):.2g}')} in the mean over {len(pairs)} comparisons"
        f"{errors}; the data have {minus(f'{_mean(found):.2g}')}."
    )


def _last_rows(rows: Sequence[DivergenceRow], selection: str) -> list[DivergenceRow]:
    usable = [row for row in rows if _usable(row, selection)]
    scores = {row.score for row in usable}
    return [
        row
        for tagger in in_order(row.tagger for row in usable)
        for row in usable
        if row.tagger == tagger
        and row.epoch == max(each.epoch for each in usable if each.tagger == tagger)
        and not (row.score == "BvsC" and "CvsB" in scores)
    ]


def _usable(row: DivergenceRow, selection: str) -> bool:
    return (row.selection, row.variant, row.status) == (selection, UNDISTORTED, "ok")


def _error(row: DivergenceRow) -> float:
    return row.error if row.error > 0 else (row.high - row.low) / 2


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
