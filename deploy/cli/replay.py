"""`qc replay`: what a service knows from events, learnt again from the topics."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from deploy.cli import printing, targets
from deploy.local.errors import UserError
from shared.messaging.consuming.projections import AnyProjection
from shared.messaging.consuming.replay import CannotReplay, Replayed
from shared.messaging.consuming.replay import replay as learn_again
from shared.messaging.log_reading import LogNotReadable


def replay(
    service: targets.Service,
    since: Annotated[str, typer.Option("--from", metavar="T", help=f"From when on: {targets.INSTANT}")],
    reason: targets.Reason,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="T", help="Only providers of which something happened before this instant too."),
    ] = None,
    actor: targets.Actor = None,
    dry_run: targets.DryRun = False,
    database_url: targets.DatabaseUrl = None,
    bootstrap: targets.Bootstrap = None,
    as_json: printing.AsJson = False,
) -> None:
    """Learn again, from the topics, what a service knows from events: its projections. The service may be running.

    It reads outside any consumer group, up to where the service has come, and puts right what is missing or differs.
    It moves no position, emits no event and sends no e-mail. Exit code 0 whether or not something was wrong.
    """
    begin, end = targets.instant(since), targets.instant(until) if until is not None else None
    operator = targets.operator(actor, reason)
    kafka = targets.kafka(bootstrap)
    projection: AnyProjection = importlib.import_module(f"services.{service}.reactions").projection

    async def work() -> Replayed:
        async with targets.connected(service, database_url) as connection:
            return await learn_again(
                connection,
                kafka,
                projection,
                operator,
                since=begin,
                until=end,
                dry_run=dry_run,
                tell=lambda line: typer.echo(line, err=True),
            )

    try:
        done = targets.run(work)
    except (CannotReplay, LogNotReadable) as error:
        raise UserError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    if as_json:
        printing.as_json({"service": service, **done.as_dict()})
        return
    typer.echo(f"{done.events} events of {done.records} records learnt again.")
    printing.table(
        ("Table", "Rows that would be put right" if dry_run else "Rows put right"),
        sorted(done.changed.items()),
        nothing="Nothing was wrong.",
    )
