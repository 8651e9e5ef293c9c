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


def show(rows: Sequence[Row], *, title: str, as_json: bool) -> None:
    """Print rows that share their keys as a table, or as a JSON list on one line each.

    Args:
        rows: The rows; the keys of the first are the columns.
        title: What the table shows, above it.
        as_json: Print JSON instead; numbers keep their full precision there.
    """
    if as_json:
        typer.echo(as_json_text(list(rows)))
        return
    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    columns = list(rows[0]) if rows else []
    for column in columns:
        table.add_column(column, justify="right" if _is_number(rows[0][column]) else "left")
    for row in rows:
        table.add_row(*(Text(_text(row[column])) for column in columns))
    Console().print(table)


def as_json_text(content: Sequence[Row] | Mapping[str, Sequence[Row]]) -> str:
    """Return rows as JSON: paths as texts, and null for what JSON has no number for (nan, infinity)."""
    plain: Any = json.loads(json.dumps(content, default=str), parse_constant=lambda _: None)
    return json.dumps(plain, indent=1)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
