"""`qc import`: registers as CSV files, sent to the intelligence service in parts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deploy.cli.csv_parts import Part, parts_of
from deploy.cli.token import issue_local
from deploy.local import ports
from deploy.local.errors import UserError
from shared.security.roles import Role

app = typer.Typer(help="Import registers from CSV files.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The CSV file, UTF-8, with a header line.")]
Url = Annotated[
    str | None, typer.Option(help="The intelligence service; by default QC_INTELLIGENCE_URL, else this machine's.")
]
Token = Annotated[
    str | None,
    typer.Option(help="The caller's token; by default QC_TOKEN, else one made for this machine's stack."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

#: Rows sent in one request, and so in one transaction.
ROWS_PER_PART = 100


@dataclass
class Report:
    """What an import did, over all its parts."""

    rows: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, answer: dict[str, Any]) -> None:
        """Count what the service says of one part."""
        for name in ("added", "updated", "unchanged", "refused"):
            setattr(self, name, getattr(self, name) + answer[name])
        self.problems += answer["problems"]


@app.command()
def concerns(file: File, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Import a concerns register. Good rows go in once, however often this is run; bad ones are named.

    Exit code 0 if every row was good, 1 if some were refused, 2 if nothing could be sent.
    """
    _import(file, "concerns", url, token, as_json)


@app.command()
def providers(file: File, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Import a register of organisations. A newer edition updates what is there; a second run changes nothing."""
    _import(file, "providers", url, token, as_json)


def _import(file: Path, what: str, url: str | None, token: str | None, as_json: bool) -> None:
    base = url or os.environ.get("QC_INTELLIGENCE_URL") or _own_url()
    bearer = token or os.environ.get("QC_TOKEN") or issue_local([Role.QUALITY_OFFICER])
    parts = list(parts_of(file, rows=ROWS_PER_PART))
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {bearer}"}, timeout=60) as client:
        report = _progress(parts, lambda part: send(client, what, part))
    if as_json:
        typer.echo(json.dumps({"file": str(file), **asdict(report)}))
    else:
        for problem in report.problems:
            column = f", column {problem['column']}" if problem["column"] else ""
            typer.echo(f"{file}: line {problem['line']}{column}: {problem['reason']}", err=True)
        typer.echo(
            f"{report.rows} rows: {report.added} added, {report.updated} updated, "
            f"{report.unchanged} there already, {report.refused} refused"
        )
    if report.refused:
        raise typer.Exit(1)


def _progress(parts: list[Part], send_part: Callable[[Part], dict[str, Any]]) -> Report:
    report = Report()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("rows", total=sum(part.rows for part in parts))
        for part in parts:
            try:
                report.add(send_part(part))
            except UserError as error:
                raise UserError(f"{error} Sent so far: {report.rows} rows.") from error
            report.rows += part.rows
            progress.advance(task, part.rows)
    return report


def send(client: httpx.Client, what: str, part: Part) -> dict[str, Any]:
    """Send one part; the service's report. Raises UserError if it cannot be reached or refuses the whole part."""
    try:
        answer = client.post(
            f"/imports/{what}",
            params={"skipped_lines": part.skipped_lines},
            content=part.text.encode(),
            headers={"Content-Type": "text/csv; charset=utf-8"},
        )
    except httpx.TransportError as error:
        raise UserError(
            f"{client.base_url} cannot be reached ({type(error).__name__}): see that the service runs, and run the "
            "same command again; what went in stays."
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise UserError(f"The service refused with {answer.status_code}: {_detail(answer)}")
    return answer.json()


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return answer.text[:200]


def _own_url() -> str:
    return f"http://{ports.LOOPBACK}:{ports.from_environment().service(0)}"
