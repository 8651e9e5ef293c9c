"""Names of primary datasets: which of them hold the data that a selection starts from.

CMS writes what its triggers record into datasets by the kind of trigger, and has renamed, joined and divided
them over the years: `selections.eras` says which names hold the same data in one year.
"""

import re

from selections.cuts import Selection
from selections.eras import ERAS

OTHER_NAMES: tuple[str, ...] = (
    "BTagCSV",
    "BTagMu",
    "BJetPlusX",
    "Charmonium",
    "DisplacedJet",
    "DoubleMuonLowMass",
    "HTMHT",
    "JetHT",
    "JetMET",
    "MET",
    "MinimumBias",
    "MuOnia",
    "ParkingBPH",
    "ParkingDoubleMuonLowMass",
    "ParkingHH",
    "ParkingLLP",
    "ParkingSingleMuon",
    "ParkingVBF",
    "SinglePhoton",
    "Tau",
    "ZeroBias",
)
"""Primary datasets from which no selection starts; a part of one carries a number (JetMET0).

Source: CMS Data Aggregation Service, 2016 to 2024.
"""

_OF_A_PERIOD = re.compile(r"/?(?P<name>[A-Za-z]+\d{0,2})[_/-](?:Run)?(?P<year>20\d\d)(?![0-9]).*")


def parse_primary_dataset(text: str) -> tuple[str, str | None]:
    """Return the name of a primary dataset, and the year it is of where the text says one.

    Args:
        text: A name (`Muon`), one with a period (`Muon_2022C`, `Muon_Run2022C`), or the path of a dataset in
            CMS's catalogue (`/Muon/Run2022C-22Sep2023-v1/NANOAOD`).
    """
    found = _OF_A_PERIOD.fullmatch(text)
    return (text, None) if found is None else (found["name"], found["year"])


def starts_from(row: Selection, primary_dataset: str | None) -> bool:
    """Return whether a selection starts from data of a primary dataset.

    Args:
        row: The row of the table, of the year in question.
        primary_dataset: As `parse_primary_dataset` takes it; None where nobody says it.
    """
    if primary_dataset is None or row.primary_dataset is None:
        return True
    return parse_primary_dataset(primary_dataset)[0] in names_of(row)


def require_usable(row: Selection, primary_dataset: str | None) -> None:
    """Raise if a primary dataset does not exist, or is of another year than a selection.

    A selection that takes all data (inclusive) takes those of unknown names, too.

    Args:
        row: The row of the table, of the year in question.
        primary_dataset: As `parse_primary_dataset` takes it; None where nobody says it.

    Raises:
        ValueError: If so; the sentence lists the choices.
    """
    if primary_dataset is None:
        return
    name, year = parse_primary_dataset(primary_dataset)
    if row.primary_dataset is not None and not _is_known(name):
        raise ValueError(
            f"unknown primary dataset '{name}': {row.name} starts from {' or '.join(names_of(row))}; "
            f"others are {', '.join(name for name in known_names() if name not in names_of(row))}"
        )
    if year is not None and row.year is not None and not row.year.startswith(year):
        raise ValueError(
            f"the primary dataset {primary_dataset} is of {year}, but the year {row.year} is asked for: "
            "process each year on its own"
        )


def names_of(row: Selection) -> tuple[str, ...]:
    """Return the primary datasets that a selection starts from; none where it takes all."""
    return () if row.primary_dataset is None else (row.primary_dataset, *row.other_primary_datasets)


def known_names() -> tuple[str, ...]:
    """Return the names of the primary datasets of all years, parts by the name of the whole."""
    of_eras = (name for era in ERAS.values() for names in era.primary_datasets() for name in names)
    return tuple(sorted({*(name.rstrip("0123456789") for name in of_eras), *OTHER_NAMES}))


def _is_known(name: str) -> bool:
    return name.rstrip("0123456789") in known_names()
