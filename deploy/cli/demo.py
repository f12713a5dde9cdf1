"""`qc demo`: start everything, play one quality cycle, tell it as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from deploy.cli.stack import Json, say
from deploy.cli.token import issue_local
from deploy.demo.api import Api
from deploy.demo.cycle import Cycle
from deploy.demo.observer import Observer, Seen
from deploy.demo.settling import Quiet, wait_until_quiet
from deploy.local.stack import Options, Stack
from shared.contracts.fields import Origin
from shared.security.roles import Role


def demo(
    kafka: Annotated[
        str, typer.Option(metavar="auto|apache|embedded|HOST:PORT", help="The broker to run on.")
    ] = "auto",
    brokers: Annotated[int, typer.Option(help="Apache Kafka brokers to start, 1 to 3.")] = 1,
    leave: Annotated[bool, typer.Option("--exit", help="End after the cycle instead of staying up.")] = False,
    as_json: Json = False,
) -> None:
    """Start everything, import the shipped registers, play one quality cycle, and stay up until Ctrl-C.

    The cycle goes from a survey that points to a concern to the closing of that concern.

    With --exit it stops everything again and ends with 0 if the whole cycle was seen. With --json the last line on
    standard output is one JSON object; the story goes to standard error.
    """
    began = time.monotonic()

    def tell(line: str) -> None:
        typer.echo(line, err=as_json)

    def finish(stack: Stack, result: dict[str, Any]) -> None:
        result["seconds"] = round(time.monotonic() - began, 1)
        if as_json:
            typer.echo(json.dumps(result))

    with Stack(Options(kafka=kafka, brokers=brokers), say) as stack:
        tell(f"Ready after {time.monotonic() - began:.1f} s.\n")
        result = asyncio.run(_play(stack, tell))
        if not leave:
            _invite(stack, tell)
            finish(stack, result)
            stack.wait(lambda name: tell(f"{name} has ended: `qc restart {name}` starts it again."))
            return
    finish(stack, result)


async def _play(stack: Stack, tell: Callable[[str], None]) -> dict[str, Any]:
    began = time.monotonic()
    now = datetime.now(UTC)

    def act(line: str) -> None:
        tell(f"{time.monotonic() - began:5.1f} s  {line}")

    imported: set[UUID] = set()

    def follow(seen: Seen) -> None:
        # The import tells of a whole year at once; only the story is followed event by event.
        envelope = seen.envelope
        if getattr(seen.data, "origin", None) is Origin.IMPORTED:
            imported.add(envelope.correlationid)
        if envelope.correlationid not in imported and not seen.name.startswith("notification."):
            act(f"    ↳ {seen.name:<20} {envelope.source.rpartition('/')[2]} → {envelope.key} #{envelope.sequence}")

    api = Api(stack.urls, stack.secrets.jwt, act)
    fetch_wait = int(stack.broker.client_environment.get("QC_KAFKA_FETCH_MAX_WAIT_MS", "500"))
    observer = Observer(stack.bootstrap, fetch_wait, now, follow)
    watching = asyncio.create_task(observer.run())
    try:
        cycle = Cycle(api, observer, act, now.astimezone(ZoneInfo("Europe/London")).date())
        await cycle.import_registers()
        concern = await cycle.play()
        quiet = await _settle(stack, api, observer, act)
        concern = await api.get("intelligence", f"/concerns/{concern['id']}")
        balance = await api.get("funding", "/ledger/balance")
        _summarise(concern, balance, observer, tell)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await api.close()
    counts = observer.counts
    return {
        "intelligence_flagged": counts["intelligence.flagged"],
        "concerns_proposed": counts["concern.proposed"],
        "concerns_raised": counts["concern.raised"],
        "concerns_escalated": counts["concern.escalated"],
        "concerns_de_escalated": counts["concern.de-escalated"],
        "visits_scheduled": counts["visit.scheduled"],
        "outcomes_recorded": counts["outcome.recorded"],
        "investments_adjusted": counts["investment.adjusted"],
        "notifications_delivered": counts["notification.delivered"],
        "events_published": sum(counts.values()),
        "dead_letters": quiet.dead_letters,
        "gaps": observer.gaps + quiet.held,
        "kafka": stack.broker.kind,
    }


async def _settle(stack: Stack, api: Api, observer: Observer, act: Callable[[str], None]) -> Quiet:
    act("Waiting until everybody who must hear has heard ...")
    quiet = await wait_until_quiet(stack, api, observer)
    act("Everything was sent, taken in and delivered")
    return quiet


def _summarise(
    concern: dict[str, Any], balance: dict[str, Any], observer: Observer, tell: Callable[[str], None]
) -> None:
    tell(f"\nThe story of {concern['reference']}, as GET /concerns/{concern['id']} tells it:")
    told = [chapter for chapter in concern["story"] if ".notification." not in chapter["type"]]
    for chapter in told:
        tell(f"  {chapter['event_id']}  {chapter['summary']}")
    heard = len(concern["story"]) - len(told)
    tell(f"  … and {heard} messages to those who must hear of it.")
    state = "balances" if balance["balanced"] else "DOES NOT BALANCE"
    tell(f"The ledger {state}; {sum(observer.counts.values())} events were published.\n")


def _invite(stack: Stack, tell: Callable[[str], None]) -> None:
    for name, url in stack.urls.items():
        tell(f"{name:<14} {url}/docs")
    tell(f"{'mail':<14} {stack.mail_url}")
    tell(f"{'Kafka':<14} {stack.bootstrap}\n")
    tell("A token per role, valid for 12 hours:")
    for role in Role:
        tell(f"{role.value:<18} {issue_local([role])}")
    tell("\nCtrl-C stops everything.")
