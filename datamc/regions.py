"""What the row of a selection says about its results: what signs mean, and at which energy data were taken.

A result holds the row it was made with, so that a row of one's own is treated as it says. Results of an
earlier version, and tables that hold a name alone, take the row of that name.
"""

from typing import Literal, get_args

from datamc.records import Result
from selections import eras, parameters
from selections.cuts import Signs

View = Literal["OS", "SS", "OS+SS", "OS-SS"]

RUN_2_TEV = 13.0
"""Of results that tell neither an energy nor a year: the first version knew no other."""


def signs_of(result: Result) -> Signs:
    """Return what opposite and same sign mean in a result.

    Raises:
        ValueError: If the result tells something else.
    """
    row = result.config.get("parameters") or {}
    if "signs" not in row:
        return _signs_of_name(result.selection, calibrates=row.get("calibrates"))
    if row["signs"] not in get_args(Signs):
        known = ", ".join(get_args(Signs))
        raise ValueError(
            f"{result.selection}: unknown signs {row['signs']!r}: {known} are known, update advtag"
        )
    signs: Signs = row["signs"]
    return signs


def view_of(result: Result) -> View:
    """Return how the signs of a result are combined: OS-SS where same sign is subtracted, else their sum."""
    return _VIEWS[signs_of(result)]


def views_of(result: Result) -> list[View]:
    """Return the views of the signs that a result offers, its own first; one alone if signs mean nothing."""
    own = view_of(result)
    return [own] if signs_of(result) == "none" else [own, "OS", "SS"]


def default_view(selection: str) -> View:
    """Return how the signs of a selection are combined, by its name alone: see `view_of`."""
    return _VIEWS[_signs_of_name(selection)]


def energy_of(result: Result) -> float:
    """Return the energy of the collisions in TeV: that of the result, or of its year."""
    if (energy := result.config.get("energy_tev")) is not None:
        return float(energy)
    era = eras.ERAS.get(str(result.config.get("year")))
    return RUN_2_TEV if era is None else era.energy_tev


_VIEWS: dict[Signs, View] = {"none": "OS+SS", "added": "OS+SS", "subtracted": "OS-SS"}


def _signs_of_name(selection: str, *, calibrates: str | None = None) -> Signs:
    if selection in parameters.SELECTIONS:
        return parameters.SELECTIONS[selection].signs
    # The earlier version subtracted where charm was calibrated.
    return "subtracted" if calibrates == "c" else "added"
