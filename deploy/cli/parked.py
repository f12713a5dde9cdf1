"""`qc parked`: streams that stand still, and gaps in streams."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli import printing, targets
from deploy.local.errors import UserError
from shared.messaging.consuming import parking
from shared.messaging.consuming.parking import Gap, HeadIsDead, ParkedStream
from shared.messaging.records import Stream
from shared.persistence import trying
from shared.persistence.pool import Connection

app = typer.Typer(help="Streams that stand still: look at them, and have them tried at once.", no_args_is_help=True)


@app.command("list")
def list_(
    service: targets.Services = None, database_url: targets.DatabaseUrl = None, as_json: printing.AsJson = False
) -> None:
    """List parked streams and gaps, what has waited longest first. Exit code 0, whether there are any or not."""

    async def read() -> dict[str, tuple[list[ParkedStream], list[Gap]]]:
        found: dict[str, tuple[list[ParkedStream], list[Gap]]] = {}
        for name in targets.names(service, database_url):
            async with targets.connected(name, database_url) as connection:
                found[name] = (await parking.list_parked(connection), await parking.list_gaps(connection))
        return found

    found = targets.run(read)
    if as_json:
        document = {
            "parked": [{"service": name, **one.as_dict()} for name, (parked, _) in found.items() for one in parked],
            "gaps": [{"service": name, **one.as_dict()} for name, (_, gaps) in found.items() for one in gaps],
        }
        printing.as_json(document)
        return
    printing.table(
        ("Service", "Stream", "At number", "Event", "Reason", "Attempts", "Next attempt", "Letter", "Waiting", "Error"),
        [
            (
                name,
                one.stream.name,
                one.sequence,
                one.event_id,
                one.reason,
                one.attempts,
                one.retry_at or "when decided",
                one.dead_letter_id,
                one.waiting,
                one.error,
            )
            for name, (parked, _) in found.items()
            for one in parked
        ],
        nothing="No stream is parked.",
    )
    printing.table(
        ("Service", "Stream", "Missing", "Waiting behind", "Since"),
        [
            (name, Stream(one.topic, one.source, one.key).name, _numbers(one), one.waiting, one.since)
            for name, (_, gaps) in found.items()
            for one in gaps
        ],
        nothing="No event is missing.",
    )


@app.command()
def retry(
    service: targets.Service,
    reason: targets.Reason,
    stream: Annotated[list[str] | None, typer.Argument(metavar="STREAM", help="Streams, as `list` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All parked streams that are still tried.")] = False,
    actor: targets.Actor = None,
    dry_run: targets.DryRun = False,
    database_url: targets.DatabaseUrl = None,
    as_json: printing.AsJson = False,
) -> None:
    """Have parked streams tried at once, their attempts counted anew.

    A stream whose head is a dead letter waits for `qc dead-letters` instead. Exit code 1 if one of the streams named
    was not parked or waits for that.
    """
    if bool(stream) == every:
        raise UserError("Name the streams as `qc parked list` shows them, or all of them by --all.")
    operator = targets.operator(actor, reason)
    named = [_parse(one) for one in stream or ()]

    async def work() -> list[dict[str, Any]]:
        async with targets.connected(service, database_url) as connection:
            wanted = named or [
                one.stream for one in await parking.list_parked(connection) if one.dead_letter_id is None
            ]
            return [await _retry(connection, one, operator, dry_run) for one in wanted]

    results = targets.run(work)
    if as_json:
        printing.as_json({"service": service, "dry_run": dry_run, "streams": results})
    else:
        for one in results:
            typer.echo(f"{one['stream']}  {one['result']}  {one['detail']}".rstrip())
        if not results:
            typer.echo("No stream is parked.")
    if any(one["result"] == "refused" for one in results):
        raise typer.Exit(1)


async def _retry(connection: Connection, stream: Stream, operator: targets.Operator, dry_run: bool) -> dict[str, Any]:
    try:
        async with trying.transaction(connection, keep=not dry_run):
            was_parked = await parking.retry(connection, *stream, operator)
    except HeadIsDead as error:
        return {"stream": stream.name, "result": "refused", "detail": str(error)}
    if not was_parked:
        return {"stream": stream.name, "result": "refused", "detail": "it is not parked: nothing is left to do"}
    return {"stream": stream.name, "result": "would be tried" if dry_run else "tried at once", "detail": ""}


def _parse(name: str) -> Stream:
    topic, *rest = name.split("/")
    if len(rest) != 3 or not all((topic, *rest)):
        raise UserError(f"{name!r} is no stream: write it as `qc parked list` shows it, topic/office/service/key.")
    return Stream(topic, f"/{rest[0]}/{rest[1]}", rest[2])


def _numbers(gap: Gap) -> str:
    if gap.first_missing == gap.last_missing:
        return f"#{gap.first_missing}"
    return f"#{gap.first_missing} to #{gap.last_missing}"
