"""What is no finite number: outputs of taggers, refused where none is one, and values that cuts look at."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike

from datamc.results import Result, Scenario
from selections.branches import column
from storage.wording import few

_CUT_ON: Final = frozenset({"pt", "eta"})
"""Fields that every selection reads of all objects, so that looking at them costs no reading."""

FEWEST_JETS: Final = 10
"""Of fewer jets than this all may lack a finite output by chance, where a tagger has none for some."""


def count(counts: "Counter[str]", scenario: Scenario, is_not_finite: ArrayLike) -> None:
    """Add jets to those of a scenario; one without any does not appear."""
    if n_jets := int(np.count_nonzero(is_not_finite)):
        counts[scenario.label] += n_jets


def require_finite(counts: Mapping[str, int], n_scored: int, *, where: str) -> None:
    """Raise if a tagger gave no finite output for any of the jets.

    Args:
        counts: Jets without one, by label of the scenario.
        n_scored: All jets that were scored.
        where: The file or selection, for the message.

    Raises:
        ValueError: If so, for `FEWEST_JETS` at least.
    """
    broken = [label for label, n_jets in counts.items() if n_jets == n_scored >= FEWEST_JETS]
    if broken:
        raise ValueError(
            f"{where}: none of the {n_scored} jets has a finite output of {few(broken, joint=', ')}: "
            "leave this tagger out, or export it again from weights that are numbers"
        )


def broken_values(events: ak.Array, branches: Iterable[str]) -> dict[str, int]:
    """Return how many values of momenta and directions that cuts look at are NaN or infinite, by branch.

    A NaN passes no cut, so its event or jet would vanish in silence. Branches without one do not appear.

    Args:
        events: A chunk.
        branches: Those that the selection needs.
    """
    found = {}
    for branch in branches:
        values = column(events, branch) if branch.rpartition("_")[2] in _CUT_ON else None
        if values is not None and (n_broken := int(ak.count_nonzero(~np.isfinite(values), axis=None))):
            found[branch] = n_broken
    return found


def require_finite_outputs(result: Result) -> None:
    """Raise if a tagger gave no finite output for any jet of a result.

    Raises:
        ValueError: If so; the sentence names it.
    """
    for scenario, count in result.not_finite().items():
        require_finite({scenario.label: count.n_jets}, count.n_scored, where=result.selection)
