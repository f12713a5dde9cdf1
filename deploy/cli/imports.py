"""`qc import`: a file of any source, sent to the intelligence service, which says how far it is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.cli.token import issue_local
from deploy.local import ports
from deploy.local.errors import UserError
from shared.security.roles import Role

SourceName = Annotated[
    str, typer.Argument(help="What it is, such as nts, nets, concerns or providers; GET /sources lists all.")
]
File = Annotated[Path, typer.Argument(help="The file: CSV, an .xlsx workbook or JSON Lines.")]
Url = Annotated[
    str | None, typer.Option(help="The intelligence service; by default QC_INTELLIGENCE_URL, else this machine's.")
]
Token = Annotated[
    str | None,
    typer.Option(help="The caller's token; by default QC_TOKEN, else one made for this machine's stack."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

#: Bytes sent at once.
_BLOCK = 1 << 18

#: Seconds between two looks at how far the service is.
_LOOK_S = 0.5

#: Most problems on a page of the service.
_PAGE = 200


def import_file(source: SourceName, file: File, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Import a file. Good rows go in once, however often this is run; bad ones are named with line, column and reason.

    An import that was broken off goes on where it was. Exit code 0 if every row was good, 1 if some were refused, 2 if
    the file was refused as a whole or the service cannot be reached.
    """
    base = url or os.environ.get("QC_INTELLIGENCE_URL") or _own_url()
    bearer = token or os.environ.get("QC_TOKEN") or issue_local([Role.QUALITY_OFFICER])
    # Taking in a million rows takes the time it takes; that the service still lives is seen by asking it.
    timeout = httpx.Timeout(60, read=None)
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {bearer}"}, timeout=timeout) as client:
        report = send(client, source, file)
        counts = {name: int(report[name]) for name in ("added", "updated", "unchanged", "refused")}
        rows = sum(counts.values())
        if as_json:
            problems = list(_problems(client, report))
            typer.echo(
                json.dumps(
                    {"file": str(file), "file_id": report["file_id"], "rows": rows, **counts, "problems": problems}
                )
            )
        else:
            for problem in _problems(client, report):
                column = f", column {problem['column']}" if problem["column"] else ""
                typer.echo(f"{file}: line {problem['line']}{column}: {problem['reason']}", err=True)
            typer.echo(
                f"{rows} rows: {counts['added']} added, {counts['updated']} updated, "
                f"{counts['unchanged']} there already, {counts['refused']} refused"
            )
    if counts["refused"]:
        raise typer.Exit(1)


def send(client: httpx.Client, source: str, file: Path) -> dict[str, Any]:
    """Send a file and follow it; the service's report.

    Raises UserError if it cannot be read, the service cannot be reached or refuses all of it.
    """
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            size = opened.seek(0, os.SEEK_END)
            opened.seek(0)
            with _progress() as progress, ThreadPoolExecutor(1) as sender:
                task = progress.add_task("sending", total=size or None)
                sent = sender.submit(_post, client, source, file, _blocks(opened, progress, task))
                _follow(client, digest, sent, progress, task)
                answer = sent.result()
    except httpx.TransportError as error:
        raise UserError(
            f"{client.base_url} cannot be reached ({type(error).__name__}): see that the service runs, and run the "
            "same command again; what went in stays."
        ) from error
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}.") from error
    if answer.status_code != httpx.codes.OK:
        raise UserError(f"The service refused with {answer.status_code}: {_detail(answer)}")
    return answer.json()


def _post(client: httpx.Client, source: str, file: Path, blocks: Iterator[bytes]) -> httpx.Response:
    return client.post(
        f"/imports/{source}",
        params={"name": _plain(file.name)},
        content=blocks,
        headers={"Content-Type": "application/octet-stream"},
    )


def _plain(name: str) -> str:
    """A file's name as the service takes it: people's file names hold anything."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:100] or "file"


def _blocks(opened: BinaryIO, progress: Progress, task: TaskID) -> Iterator[bytes]:
    while block := opened.read(_BLOCK):
        yield block
        progress.advance(task, len(block))
    progress.update(task, description="taking in", completed=0)


def _follow(client: httpx.Client, digest: str, sent: Future[httpx.Response], progress: Progress, task: TaskID) -> None:
    """Show how far the service is until it answers."""
    while True:
        try:
            sent.exception(timeout=_LOOK_S)
            return
        except StillRunning:
            if progress.disable or progress.tasks[0].description == "sending":
                continue
            done = _bytes_read(client, digest)
            if done is not None:
                progress.update(task, completed=done)


def _bytes_read(client: httpx.Client, digest: str) -> int | None:
    """How many bytes are done; None if that cannot be said just now: who sends the file will hear why."""
    try:
        answer = client.get("/import-files", params={"digest": digest}, timeout=5)
        found = answer.json()["items"] if answer.status_code == httpx.codes.OK else []
    except (httpx.TransportError, ValueError):
        return None
    return max((int(one["bytes_read"]) for one in found), default=None)


def _problems(client: httpx.Client, report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All problems of a file: those the report holds, or page by page if there are more."""
    if len(report["problems"]) < _PAGE:
        yield from report["problems"]
        return
    cursor: str | None = None
    while True:
        parameters = {"limit": str(_PAGE), **({"cursor": cursor} if cursor else {})}
        answer = client.get(f"/import-files/{report['file_id']}/problems", params=parameters)
        if answer.status_code != httpx.codes.OK:
            raise UserError(f"The problems of the file cannot be read ({answer.status_code}: {_detail(answer)})")
        yield from answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return answer.text[:200]


def _own_url() -> str:
    return f"http://{ports.LOOPBACK}:{ports.from_environment().service(0)}"
