"""Doubts about the weights of a run: look-ups outside of tables, and events without weights of theory."""

from collections.abc import Mapping
from typing import NamedTuple


class LookUps(NamedTuple):
    """The look-ups of one correction for nominal simulation, and how many of them are doubtful.

    Attributes:
        n: All of them.
        outside: Those beyond the edges of the table, which got what is at the edge.
        not_numbers: Those with an input that is NaN or infinite.
        not_finite: Those whose value is NaN or infinite, in place of which nothing was changed.
        not_positive: Those whose value is 0 or negative where it is a weight.
    """

    n: int = 0
    outside: int = 0
    not_numbers: int = 0
    not_finite: int = 0
    not_positive: int = 0

    def plus(self, other: "LookUps") -> "LookUps":
        """Return the look-ups of both."""
        return LookUps(*(left + right for left, right in zip(self, other, strict=True)))


_DOUBTS: Mapping[str, str] = {
    "outside": "lie outside of its table and got what is at the edge: check the inputs (abs(eta) or eta?)",
    "not_numbers": "have an input that is no finite number",
    "not_finite": "gave no finite number and changed nothing",
    "not_positive": "gave a weight of 0 or below",
}
"""By attribute, what a note says of it."""


def look_up_notes(counts: Mapping[str, LookUps]) -> list[str]:
    """Return one sentence for each doubt about a correction.

    Args:
        counts: The look-ups by the name of the correction.
    """
    return [
        f"{name}: {number} of {look_ups.n} look-ups ({number / look_ups.n:.2g} of all) {meaning}"
        for name, look_ups in counts.items()
        for doubt, meaning in _DOUBTS.items()
        if (number := getattr(look_ups, doubt))
    ]


def unvaried_notes(unvaried: Mapping[str, int], n_events: int) -> list[str]:
    """Return one sentence for each branch whose weights leave events of a dataset as they are.

    Args:
        unvaried: How many events, by ``branch:source``.
        n_events: All events of the dataset.
    """
    sources: dict[tuple[str, int], list[str]] = {}
    for label, number in unvaried.items():
        branch, _, source = label.partition(":")
        sources.setdefault((branch, number), []).append(source)
    return [
        f"{branch} is a dummy or of unknown order: {' and '.join(names)} vary nothing"
        if number == n_events
        else f"{branch}: {number} of {n_events} events have no weight in it for {' and '.join(names)}, which "
        "leave them nominal"
        for (branch, number), names in sources.items()
        if number
    ]
