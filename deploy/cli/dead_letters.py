"""`qc dead-letters`: records that were not applied, and the decision about each of them."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from deploy.cli import printing, targets
from deploy.local.errors import UserError
from shared.messaging.consuming import dead_letters
from shared.messaging.consuming.dead_letters import CannotRedrive, DeadLetter, LetterNotFound, LetterResolved
from shared.messaging.operator_actions import Operator
from shared.persistence import trying
from shared.persistence.pool import Connection

app = typer.Typer(help="Records that were not applied: look at them, redrive or discard them.", no_args_is_help=True)


class Why(enum.StrEnum):
    """Why a record became a letter."""

    UNREADABLE = "unreadable"
    BREAKS_CONTRACT = "breaks_contract"
    CONFLICT = "conflict"
    FAILED = "failed"


class Status(enum.StrEnum):
    """What became of a letter."""

    DEAD = "dead"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    ANY = "any"


Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="Numbers of letters, as `list` shows them.")]
Every = Annotated[bool, typer.Option("--all", help="All letters that wait for a decision.")]
Only = Annotated[
    Why | None,
    typer.Option(metavar="REASON", help="With --all: only unreadable, breaks_contract, conflict or failed ones."),
]


Decide = Callable[[Connection, int, Operator], Awaitable[DeadLetter]]


@app.command("list")
def list_(
    service: targets.Services = None,
    database_url: targets.DatabaseUrl = None,
    status: Annotated[
        Status,
        typer.Option(
            metavar="STATUS",
            help="Which letters: dead, redriven, discarded or any; those that wait for a decision by default.",
        ),
    ] = (Status.DEAD),
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most letters of one service, the newest first.")] = 100,
    as_json: printing.AsJson = False,
) -> None:
    """List dead letters, the newest first. Exit code 0, whether there are any or not."""
    wanted = None if status is Status.ANY else status.value

    async def read() -> dict[str, list[DeadLetter]]:
        found: dict[str, list[DeadLetter]] = {}
        for name in targets.names(service, database_url):
            async with targets.connected(name, database_url) as connection:
                found[name] = await dead_letters.list_letters(connection, status=wanted, limit=limit)
        return found

    found = targets.run(read)
    if as_json:
        letters = [{"service": name, **letter.as_dict()} for name, of in found.items() for letter in of]
        printing.as_json({"dead_letters": letters})
        return
    printing.table(
        ("Service", "Id", "Status", "Reason", "Record", "Stream and number", "Event", "Error", "Since"),
        [
            (
                name,
                one.id,
                one.status + (" (blocks)" if one.blocks_stream else ""),
                one.reason,
                _record(one),
                f"{one.stream.name}#{one.sequence}" if one.stream else None,
                one.event_id,
                one.error,
                one.dead_at,
            )
            for name, of in found.items()
            for one in of
        ],
        nothing="There are no such dead letters.",
    )


@app.command(short_help="Show one letter and what was done with it.")
def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="Number of the letter.")],
    service: targets.Service,
    database_url: targets.DatabaseUrl = None,
    value: Annotated[
        bool, typer.Option("--value", help="Show the record's value too. Foreign records may hold anything.")
    ] = False,
    as_json: printing.AsJson = False,
) -> None:
    """Show one letter: where it lay, its headers, the error, and what operators did with it."""

    async def read() -> dead_letters.OpenedLetter:
        async with targets.connected(service, database_url) as connection:
            return await dead_letters.get(connection, number)

    try:
        opened = targets.run(read)
    except LetterNotFound as error:
        raise UserError(f"{error}.") from error
    document: dict[str, Any] = {"service": service, **opened.as_dict()}
    if not value:
        document["value_bytes"] = len(opened.record.value or b"")
        del document["value"]
    if as_json:
        printing.as_json(document)
        return
    for name, one in document.items():
        if name == "headers":
            for header, text in one:
                typer.echo(f"{'header':<14} {header}: {text}")
        elif name == "actions":
            for action in opened.actions:
                typer.echo(f"{'action':<14} {printing.cell(action.at)} {action.actor} {action.action}: {action.reason}")
        else:
            typer.echo(f"{name:<14} {printing.cell(one)}")


@app.command(short_help="Have letters tried again, in their order.")
def redrive(
    service: targets.Service,
    reason: targets.Reason,
    ids: Ids = None,
    every: Every = False,
    only: Only = None,
    actor: targets.Actor = None,
    dry_run: targets.DryRun = False,
    database_url: targets.DatabaseUrl = None,
    as_json: printing.AsJson = False,
) -> None:
    """Have letters tried again by the running service, in the order of their streams.

    Do it after the cause is mended. Exit code 1 if one of them was not redriven: it is said why.
    """
    _decide_all(
        "redriven", dead_letters.redrive, service, reason, ids, every, only, actor, dry_run, database_url, as_json
    )


@app.command(short_help="Pass over letters for good.")
def discard(
    service: targets.Service,
    reason: targets.Reason,
    ids: Ids = None,
    every: Every = False,
    only: Only = None,
    actor: targets.Actor = None,
    dry_run: targets.DryRun = False,
    database_url: targets.DatabaseUrl = None,
    as_json: printing.AsJson = False,
) -> None:
    """Pass over letters for good: they never have an effect, and what waits behind them goes on, in order.

    Exit code 1 if one of them was not discarded: it is said why.
    """
    _decide_all(
        "discarded", dead_letters.discard, service, reason, ids, every, only, actor, dry_run, database_url, as_json
    )


def _decide_all(
    what: str,
    decide: Decide,
    service: str,
    reason: str,
    ids: list[int] | None,
    every: bool,
    only: Why | None,
    actor: str | None,
    dry_run: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    if bool(ids) == every:
        raise UserError("Name the letters by their numbers, or all of them by --all.")
    if only and not every:
        raise UserError("--only chooses among --all; letters named by their numbers need no reason.")
    operator = targets.operator(actor, reason)

    async def work() -> list[dict[str, Any]]:
        async with targets.connected(service, database_url) as connection:
            numbers = ids or [
                letter.id
                # The oldest first: of one stream, that is its order.
                for letter in reversed(await dead_letters.list_letters(connection, status="dead", limit=1_000_000))
                if only is None or letter.reason == only
            ]
            return [await _decide(connection, decide, number, operator, what, dry_run) for number in numbers]

    results = targets.run(work)
    refused = [one for one in results if one["result"] == "refused"]
    if as_json:
        printing.as_json({"service": service, "dry_run": dry_run, "letters": results})
    else:
        for one in results:
            typer.echo(f"{one['id']:>8}  {one['result']}  {one['detail']}".rstrip())
        if not results:
            typer.echo("There are no such dead letters.")
    if refused:
        raise typer.Exit(1)


async def _decide(
    connection: Connection, decide: Decide, number: int, operator: Operator, what: str, dry_run: bool
) -> dict[str, Any]:
    try:
        async with trying.transaction(connection, keep=not dry_run):
            await decide(connection, number, operator)
    except (LetterNotFound, LetterResolved, CannotRedrive) as error:
        return {"id": number, "result": "refused", "detail": str(error)}
    return {"id": number, "result": f"would be {what}" if dry_run else what, "detail": ""}


def _record(letter: DeadLetter) -> str:
    return f"{letter.topic}/{letter.partition}@{letter.offset}"
