"""`qc verify`: the referee. Compares every outbox, topic, position and effect, and names what does not fit.

    report = await verify({"visits": dsn, …}, "127.0.0.1:8420", wait_s=60)
    assert report.clean, report.findings

It only reads. Facts are read in `reading`, and compared by pure functions in `delivery_checks`, `stage_checks` and
`mail`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

from deploy.verify import delivery_checks, mail, stage_checks
from deploy.verify.findings import Finding, Kind, Report, that_stayed
from deploy.verify.mail import MailNotReadable, Message
from deploy.verify.reading import NotReadable, Stage, Tell, Topics, stages
from deploy.verify.stage_checks import Heard
from deploy.verify.topic_log import TopicLog
from shared.messaging.broker import KafkaSettings

__all__ = ["Finding", "Kind", "MailNotReadable", "NotReadable", "Report", "verify"]

#: Time between two looks, in seconds.
_PAUSE_S = 1.0


def _silent(_: str) -> None:
    pass


async def verify(
    databases: Mapping[str, str],
    bootstrap: str,
    *,
    office: str = "east-midlands",
    wait_s: float = 0,
    mail_url: str | None = None,
    fetch_max_wait_ms: int = 500,
    tell: Tell = _silent,
) -> Report:
    """Compare services with each other and with the topics.

    ``databases`` holds the URL of each service's database by its name; what involves a service that is not named is
    left out. With ``wait_s`` it looks again until all is clean or the time is up; what is still moving then counts
    as in flight, what stood still as found. ``mail_url`` is the mail sink's page, if its messages are to be
    compared. Raises NotReadable or MailNotReadable.
    """
    began = time.monotonic()
    topics = Topics(KafkaSettings(bootstrap, "qc-verify", fetch_max_wait_ms=fetch_max_wait_ms), tell)
    before: list[Finding] | None = None
    looks = 0
    while True:
        # The databases first: what they had accepted is then in the topics, unless it was lost.
        read = await stages(databases, office)
        await topics.read_on()
        received = await mail.read(mail_url) if mail_url else None
        looks += 1
        report = compare(read, topics.log, received, datetime.now(UTC))
        present = report.findings
        report.looks, report.seconds = looks, time.monotonic() - began
        if report.clean or report.seconds >= wait_s or not any(finding.may_pass for finding in present):
            if before is not None:
                report.findings, report.in_flight = that_stayed(before, present)
            return report
        tell(f"look {looks}: {len(present)} findings; looking again")
        before = present
        await asyncio.sleep(_PAUSE_S)


def compare(read: Mapping[str, Stage], log: TopicLog, received: list[Message] | None, now: datetime) -> Report:
    """Compare what was read. Pure."""
    findings = [*_of_delivery(read, log), *_of_stages(read, log, now)]
    notes = [
        f"{stream.topic}{stream.source}/{stream.key} begins at number {one.lowest}: the topic has lost what was before"
        for stream, one in log.streams.items()
        if one.lowest > 1
    ]
    if log.not_events:
        notes.append(f"{log.not_events} records in the topics are no events of this system, or break their contract")
    if left_out := [name for name in ("intelligence", "visits", "funding", "notify") if name not in read]:
        notes.append(f"left out: {', '.join(left_out)}")
    if received is not None and (notify := read.get("notify")):
        findings += mail.messages(notify.facts, received)
        if again := mail.sent_again(received):
            notes.append(f"{len(again)} messages were sent again under the same Message-ID: {' '.join(again)}")
    counts = {
        "records": log.records,
        "events": len(log.events),
        "repeats": log.repeats,
        "not_events": log.not_events,
        "streams": len(log.streams),
        "saved": sum(len(one.service.facts.saved) for one in read.values()),
        "positions": sum(len(one.service.facts.positions) for one in read.values()),
    }
    return Report(findings, notes, counts)


def _of_delivery(read: Mapping[str, Stage], log: TopicLog) -> Iterator[Finding]:
    services = {name: one.service for name, one in read.items()}
    for service in services.values():
        yield from delivery_checks.waiting(service)
        yield from delivery_checks.outbox(service, log)
        yield from delivery_checks.history(service)
    yield from delivery_checks.topics(log)
    for service in services.values():
        yield from delivery_checks.positions(service, services, log)
    yield from delivery_checks.repeated_causes(list(services.values()), log)


def _of_stages(read: Mapping[str, Stage], log: TopicLog, now: datetime) -> Iterator[Finding]:
    intelligence, visits, funding, notify = map(read.get, ("intelligence", "visits", "funding", "notify"))
    whole = all(one.lowest == 1 for one in log.streams.values())
    required: set[UUID] = set()
    for one in read.values():
        if one is visits:
            required = {each.id for several in one.facts.requirements.values() for each in several}
        told = getattr(stage_checks, f"told_by_{one.service.name}")(one.facts)
        yield from stage_checks.announcements(one.service, told, log, required if one is visits else ())
    if intelligence and visits:
        yield from stage_checks.concerns(intelligence.facts, visits.facts, log, intelligence.service.source)
        yield from stage_checks.requirements(intelligence.facts, visits.facts, now)
    if funding:
        heard = Heard.by(funding.service, funding.types)
        yield from stage_checks.outcomes(visits.facts if visits else None, funding.facts, heard, log)
        yield from stage_checks.ledger(funding.facts)
    if intelligence:
        heard = Heard.by(intelligence.service, intelligence.types)
        yield from stage_checks.stories(intelligence.facts, heard, log, whole)
    if notify:
        yield from stage_checks.feed(notify.facts, Heard.by(notify.service, notify.types), log, whole)
        yield from stage_checks.deliveries(notify.facts)
