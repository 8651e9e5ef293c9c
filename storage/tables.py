"""Tables of results as CSV: one NamedTuple a row, numbers exact, read back as they were."""

import csv
import io
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar, get_type_hints

from storage.documents import read_text
from storage.files import replaced_file

Row = TypeVar("Row", bound=NamedTuple)


def write_table(rows: Iterable[Row], path: Path, *, kind: type[Row]) -> None:
    """Write rows of one kind with a header line; no rows give the header alone."""
    with replaced_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(kind._fields)
        # repr of a float reads back to the same float
        writer.writerows([repr(float(v)) if isinstance(v, float) else v for v in row] for row in rows)


def read_table(path: Path, *, kind: type[Row], unknown: Collection[str] | None = None) -> list[Row]:
    """Read what `write_table` wrote.

    Args:
        path: The file.
        kind: The type of a row.
        unknown: The columns that may hold NaN or infinity; None allows them everywhere.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its columns are others, or a value is none of its column's type or no finite number.
    """
    text = read_text(path, kind="table", advice="make it first")
    types = list(get_type_hints(kind).values())
    try:
        lines = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ValueError(f"{path}: not a table ({error}): write it again or remove it") from error
    if not lines or tuple(lines[0]) != kind._fields:
        raise ValueError(
            f"{path}: not a table of {kind.__name__}: its columns are not {', '.join(kind._fields)}: "
            "write it again or remove it"
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            if len(line) != len(types):
                raise ValueError(f"{len(line)} values for {len(types)} columns")
            rows.append(kind(*(convert(text) for convert, text in zip(types, line, strict=True))))
            if unknown is not None:
                _require_finite(rows[-1], unknown)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}: write it again or remove it") from error
    return rows


def _require_finite(row: NamedTuple, unknown: Collection[str]) -> None:
    for column, value in zip(row._fields, row, strict=True):
        if isinstance(value, float) and column not in unknown and not math.isfinite(value):
            raise ValueError(f"{column} is {value}, no finite number")
