"""Tables for people and, with `--json`, the same rows for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]


_LONGEST = 24
"""Characters of a cell that stand in one line; longer ones are prose or paths, which may be broken."""
_GAP = 2
"""Between columns: one for the padding, one for the line that the box does not draw."""


def show(rows: Sequence[Row], *, title: str, as_json: bool) -> None:
    """Print rows that share their keys as a table, or as a JSON list on one line each.

    Where the terminal is too narrow, columns that are left over come in further tables below, each with the
    columns that say what a row is: those before the first number.

    Args:
        rows: The rows; the keys of the first are the columns.
        title: What the table shows, above it.
        as_json: Print JSON instead; numbers keep their full precision there.
    """
    if as_json:
        typer.echo(as_json_text(list(rows)))
        return
    console = Console()
    parts = _parts(rows, console.width) if rows else [[]]
    for number, columns in enumerate(parts):
        heading = Text(title if number == 0 else "continued", style="bold" if number == 0 else "dim")
        table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0))
        for column in columns:
            justify: Any = "right" if _is_number(rows[0][column]) else "left"
            table.add_column(column, justify=justify, min_width=_width(rows, column), overflow="fold")
        for row in rows:
            table.add_row(*(Text(_text(row[column])) for column in columns))
        console.print(table)


def _parts(rows: Sequence[Row], width: int) -> list[list[str]]:
    """Return which columns stand side by side, all of them if they fit."""
    columns = list(rows[0])
    first_number = next((i for i, column in enumerate(columns) if _is_figure(rows[0][column])), 1)
    names = columns[: max(1, first_number)]
    needed = {column: _width(rows, column) + _GAP for column in columns}
    if sum(needed[name] for name in names) > width / 2:  # nothing to repeat that leaves no room for the rest
        names = columns[:1]
    room = width - sum(needed[name] for name in names) - 1  # where the box begins
    parts, left = [list(names)], room
    for column in columns[len(names) :]:
        if needed[column] > left and len(parts[-1]) > len(names):
            parts.append(list(names))
            left = room
        parts[-1].append(column)
        left -= needed[column]
    return parts


def _width(rows: Sequence[Row], column: str) -> int:
    """Return how wide a column must be."""
    return max(len(column), *(min(len(_text(row[column])), _LONGEST) for row in rows))


def as_json_text(content: Sequence[Row] | Mapping[str, Sequence[Row]]) -> str:
    """Return rows as JSON: paths as texts, and null for what JSON has no number for (nan, infinity)."""
    plain: Any = json.loads(json.dumps(content, default=str), parse_constant=lambda _: None)
    return json.dumps(plain, indent=1)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_figure(value: object) -> bool:
    """Tell whether a cell shows a number, also one that is a text already, or none."""
    text = _text(value)
    return text[:1] in ("", "\u2013") or text.lstrip("+-\u2212")[:1].isdigit()


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
