"""`qc outbox`: how events get out, sending them again, and a database that was restored to the past."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli import printing, targets
from deploy.cli.token import office
from deploy.local.errors import UserError
from shared.messaging import delivery_facts, outbox, status
from shared.messaging.log_reading import LogNotReadable
from shared.messaging.relaying import recovery, republishing
from shared.messaging.relaying.recovery import LostEvent, Recovery
from shared.messaging.relaying.republishing import Republished

app = typer.Typer(help="Events on their way out: status, republish, recover.", no_args_is_help=True)


@app.command("status")
def status_(
    service: targets.Services = None, database_url: targets.DatabaseUrl = None, as_json: printing.AsJson = False
) -> None:
    """Say what is unsent and what stands still. Exit code 1 if a service may not emit or a key stands still."""

    async def read() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for name in targets.names(service, database_url):
            async with targets.connected(name, database_url) as connection:
                now = (await status.read(connection)).as_dict()
                rows.append(
                    {
                        "service": name,
                        "unsent": now["outbox_depth"],
                        "oldest_unsent_s": now["outbox_oldest_s"],
                        "published": now["events_published"],
                        "fence": await outbox.fence(connection),
                        "stopped_keys": [stop._asdict() for stop in await delivery_facts.stops(connection)],
                    }
                )
        return rows

    rows = targets.run(read)
    if as_json:
        printing.as_json({"services": rows})
    else:
        printing.table(
            ("Service", "Published", "Unsent", "Oldest unsent, s", "Keys that stand still", "May emit"),
            [
                (
                    one["service"],
                    one["published"],
                    one["unsent"],
                    f"{one['oldest_unsent_s']:.0f}",
                    len(one["stopped_keys"]),
                    "no" if one["fence"] else "yes",
                )
                for one in rows
            ],
            nothing="No service was named.",
        )
        for one in rows:
            if one["fence"]:
                typer.echo(f"{one['service']} may not emit: {one['fence']}. See `qc outbox recover`.")
            for stop in one["stopped_keys"]:
                typer.echo(
                    f"{one['service']}: the broker refuses {stop['event_id']} of {stop['topic']}/{stop['key']} "
                    f"({stop['attempts']} times, next at {printing.cell(stop['retry_at'])}): {stop['error']}"
                )
    if any(one["fence"] or one["stopped_keys"] for one in rows):
        raise typer.Exit(1)


@app.command(short_help="Send again, in order, what was saved since an instant.")
def republish(
    since: Annotated[str, typer.Option(metavar="T", help=f"From when on: {targets.INSTANT}")],
    reason: targets.Reason,
    service: targets.Services = None,
    actor: targets.Actor = None,
    dry_run: targets.DryRun = False,
    database_url: targets.DatabaseUrl = None,
    as_json: printing.AsJson = False,
) -> None:
    """Send again, in order, what was saved since an instant: after a broker has lost it.

    Whoever has an event drops the repeat, and no e-mail is sent a second time. Exit code 1 if nothing is sent again.
    """
    instant = targets.instant(since)
    operator = targets.operator(actor, reason)

    async def work() -> dict[str, Republished]:
        done: dict[str, Republished] = {}
        for name in targets.names(service, database_url):
            async with targets.connected(name, database_url) as connection:
                done[name] = await republishing.republish(connection, instant, operator, dry_run=dry_run)
        return done

    try:
        done = targets.run(work)
    except outbox.EmissionRefused as error:
        raise UserError(f"Nothing more was republished: {error}.") from error
    if as_json:
        printing.as_json({"services": [{"service": name, **one.as_dict()} for name, one in done.items()]})
    else:
        printing.table(
            ("Service", "Topic", "Would be sent again" if dry_run else "Sent again"),
            [(name, topic, count) for name, one in done.items() for topic, count in one.events.items()],
            nothing="Nothing was saved since then: nothing is sent again.",
        )
        for name, one in done.items():
            if one.begin_later:
                typer.echo(
                    f"{name} keeps no event from before {printing.cell(one.oldest_kept)}: {len(one.begin_later)} keys "
                    "begin later than at their first event. Whoever has the earlier ones is whole."
                )
    if not any(one.events for one in done.values()):
        raise typer.Exit(1)


@app.command(short_help="Bring a database restored to the past up to its topics.")
def recover(
    service: targets.Service,
    reason: targets.Reason,
    actor: targets.Actor = None,
    dry_run: targets.DryRun = False,
    database_url: targets.DatabaseUrl = None,
    bootstrap: targets.Bootstrap = None,
    as_json: printing.AsJson = False,
) -> None:
    """Bring a database that was restored to the past up to what its topics hold, and let its service emit again.

    It names the events whose change of state the database has lost: look at each, and do again what still counts.
    Exit code 1 if there are such events that nothing repeats by itself, or numbers that stand for two events.
    """
    operator = targets.operator(actor, reason)
    kafka = targets.kafka(bootstrap)

    async def work() -> Recovery:
        async with targets.connected(service, database_url) as connection:
            source = f"/{office()}/{service}"
            return await recovery.recover(connection, kafka, source, operator, dry_run=dry_run)

    try:
        done = targets.run(work)
    except LogNotReadable as error:
        raise UserError(f"The topics cannot be read: {error}.") from error
    lost = [event for event in done.adopted if not event.is_repeated]
    if as_json:
        printing.as_json({"service": service, **done.as_dict()})
    else:
        _tell(done, lost)
    if lost or done.conflicts:
        raise typer.Exit(1)


def _tell(done: Recovery, lost: list[LostEvent]) -> None:
    would = "would be " if done.dry_run else ""
    typer.echo(f"Read {done.read} events of this service back from the topics.")
    if done.fence:
        typer.echo(f"It could not emit: {done.fence}.")
    typer.echo(
        f"{len(done.adopted)} unknown events {would}kept as sent, {done.found_sent} found to be sent, "
        f"{done.renumbered} never sent {would}renumbered, {len(done.counters)} counters {would}raised."
    )
    columns = ("Event", "Type", "Subject", "Stream and number", "Cause")
    if lost:
        typer.echo("\nThe database has lost what these events tell of. Do again what still counts:")
        printing.table(columns, map(_event, lost), nothing="")
    if again := len(done.adopted) - len(lost):
        typer.echo(f"{again} of the unknown events came from reactions, which are repeated by themselves.")
    if done.conflicts:
        typer.echo("\nTwo events have one number, and both are in the topic: consumers park their keys as conflicts.")
        printing.table(columns, map(_event, done.conflicts), nothing="")


def _event(one: LostEvent) -> tuple[object, ...]:
    return one.event_id, one.type, one.subject, f"{one.topic}/{one.key}#{one.sequence}", one.causation_id
