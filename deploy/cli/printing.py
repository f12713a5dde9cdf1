"""How the operator's commands print: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

#: Characters of a line where the output is no terminal: nothing is cut that somebody may search for.
_WIDE = 400


def as_json(document: Any) -> None:
    """Print one JSON object; ids and instants as text."""
    typer.echo(json.dumps(document, default=_text))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str, lines: bool = False) -> None:
    """Print a table, or one line if there are no rows; ``lines`` divides rows that have several lines."""
    shown = Table(*columns, show_lines=lines)
    for row in rows:
        shown.add_row(*(Text(cell(one)) for one in row))
    if not shown.row_count:
        typer.echo(nothing)
        return
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=_WIDE)).print(shown)


def cell(value: object) -> str:
    """A value as people read it: instants to the second, nothing as a dash."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return str(value)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
