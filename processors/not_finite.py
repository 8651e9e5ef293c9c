"""Outputs of taggers that are no finite numbers: counted where jets are scored, refused where none is one."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from datamc.results import Scenario
from storage.wording import few

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
