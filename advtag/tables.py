"""Tables for people and, with `--json`, the same rows for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from storage.names import printable

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
    parts = _parts(rows, console.width) if rows else [{}]
    for number, widths in enumerate(parts):
        first = number == 0
        heading = Text(printable(title) if first else "continued", style="bold" if first else "dim")
        # Above the table, as a title of it would be broken where a narrow table ends.
        console.print(heading)
        table = Table(box=SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0))
        for column, width in widths.items():
            justify: Any = "right" if _is_number(rows[0][column]) else "left"
            table.add_column(Text(printable(column)), justify=justify, width=width, overflow="fold")
        for row in rows:
            table.add_row(*(Text(_text(row[column])) for column in widths))
        console.print(table)


def show_line(text: object) -> None:
    """Print a line for people, such as the path of what was written; control characters are written out."""
    typer.echo(printable(str(text)))


def _parts(rows: Sequence[Row], width: int) -> list[dict[str, int]]:
    """Return which columns stand side by side, and how wide each is: all of them if they fit."""
    columns = list(rows[0])
    texts = {column: [_text(row[column]) for row in rows] for column in columns}
    wanted = {column: max(map(len, [column, *texts[column]])) for column in columns}
    # Headings may be broken between words, cells only if they are long.
    least = {
        column: max([*map(len, column.split()), *(min(len(text), _LONGEST) for text in texts[column])])
        for column in columns
    }
    first_number = next((i for i, column in enumerate(columns) if _is_figure(texts[column][0])), 1)
    names = columns[: max(1, first_number)]
    if sum(least[name] + _GAP for name in names) > width / 2:  # too little would be left beside them
        names = columns[:1]
    parts = [list(names)]
    for column in columns[len(names) :]:
        if _room(least, [*parts[-1], column], width) < 0 and len(parts[-1]) > len(names):
            parts.append(list(names))
        parts[-1].append(column)
    return [_widths(least, wanted, part, width) for part in parts]


def _room(widths: Mapping[str, int], columns: Sequence[str], width: int) -> int:
    """Return what is left beside columns, less than 0 if they do not fit; a table begins with a space."""
    return width - 1 - sum(widths[column] + _GAP for column in columns)


def _widths(
    least: Mapping[str, int], wanted: Mapping[str, int], columns: Sequence[str], width: int
) -> dict[str, int]:
    """Return the widths of columns: the least, and what is left for the first that want more."""
    found, room = {}, max(0, _room(least, columns, width))
    for column in columns:
        more = min(room, wanted[column] - least[column])
        found[column], room = least[column] + more, room - more
    return found


def as_json_text(content: Sequence[Row] | Mapping[str, Sequence[Row]]) -> str:
    """Return rows as JSON: paths as texts, and null for what JSON has no number for (nan, infinity)."""
    plain: Any = json.loads(json.dumps(content, default=str), parse_constant=lambda _: None)
    return json.dumps(plain, indent=1)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_figure(text: str) -> bool:
    """Tell whether a cell shows a number, or that there is none."""
    return text[:1] in ("", "\u2013") or text.lstrip("+-\u2212")[:1].isdigit()


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value))
