"""At the end of a run: wait until all is quiet, look at what was put aside, and let the referee compare everything."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.stack import SERVICES
from deploy.verify import Report, verify
from services.funding.reactions import reactions as funding
from services.intelligence.reactions import reactions as intelligence
from services.notify.reactions import reactions as notify
from services.visits.reactions import reactions as visits
from shared.messaging import offsets, status
from shared.messaging.consuming import dead_letters
from shared.messaging.consuming.reactions import AnyReactions
from shared.messaging.operator_actions import Operator
from shared.persistence.pool import prepare
from tests.chaos.accounts import Accounts, Finding, Told, name_of
from tests.chaos.cluster import Cluster
from tests.chaos.records import Foreign, Intruder

_REACTIONS: Mapping[str, AnyReactions] = {
    "intelligence": intelligence,
    "visits": visits,
    "funding": funding,
    "notify": notify,
}

_OPERATOR = Operator("chaos-suite", "put into the topic by the chaos suite")


#: How long the referee looks again, in seconds: it was quiet before, so only the discarding of letters is under way.
_LOOKS_S = 15.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, as far as it tells which record it holds."""

    id: int
    topic: str
    key: bytes | None
    reason: str
    error: str
    status: str


@dataclass(slots=True)
class Verdict:
    """What the end of a run came to."""

    findings: list[Finding] = field(default_factory=list[Finding])
    #: What the referee of delivery says, as JSON.
    report: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Dead letters, by the fault of the record.
    letters: dict[str, int] = field(default_factory=dict[str, int])
    #: Seconds until it was quiet.
    quiet_after_s: float = 0.0


async def judge(cluster: Cluster, intruder: Intruder, accounts: Accounts, *, patience_s: float) -> Verdict:
    """Look at a healed cluster to which nobody sends anything any more.

    ``patience_s`` is how long it may take until nothing moves.
    """
    verdict = Verdict()
    began = time.monotonic()
    if (busy := await _quiet(cluster, patience_s)) is not None:
        verdict.findings.append(Finding("never quiet", f"after {patience_s:.0f} s: {busy}"))
    verdict.quiet_after_s = round(time.monotonic() - began, 1)
    for service in SERVICES:
        letters = await _with_database(cluster, service, _letters)
        verdict.findings += judge_letters(service, letters, intruder.foreign, intruder.perhaps)
        for letter in letters:
            if (foreign := _foreign(letter, intruder)) is not None:
                verdict.letters[foreign.fault] = verdict.letters.get(foreign.fault, 0) + 1
        await _discard(cluster, service, [one for one in letters if _foreign(one, intruder) and one.status == "dead"])
    report = await verify(
        {service: cluster.dsn(service) for service in SERVICES},
        cluster.bootstrap,
        wait_s=_LOOKS_S,
        mail_url=cluster.mail_url,
    )
    verdict.report = report.as_dict()
    verdict.findings += _of_report(report)
    published: list[Told] = []
    keys: dict[str, set[str]] = {}
    for service in SERVICES:
        published += await _with_database(cluster, service, _published)
        keys[service] = await _with_database(cluster, service, _answered)
    verdict.findings += accounts.compare(published, keys)
    return verdict


def judge_letters(
    service: str, letters: Iterable[Letter], foreign: Mapping[bytes, Foreign], perhaps: Mapping[bytes, Foreign]
) -> list[Finding]:
    """What is wrong with a service's dead letters: one that holds no foreign record, or a foreign record without one.

    ``perhaps`` are foreign records of which nobody knows whether they reached a topic.
    """
    heard = {topic.value for topic in _REACTIONS[service].topics}
    expected = {key: one for key, one in foreign.items() if one.topic in heard and one.is_dead}
    found: list[Finding] = []
    missing = dict(expected)
    for letter in letters:
        known = letter.key is not None and (letter.key in expected or letter.key in perhaps)
        if not known:
            found.append(Finding("dead letter of an event", f"{service}, letter {letter.id}: {letter.reason}"))
        missing.pop(letter.key or b"", None)
    found += [
        Finding("foreign record vanished", f"{service} has no letter of {key.decode()} in {one.topic}: {one.fault}")
        for key, one in missing.items()
    ]
    return found


def _foreign(letter: Letter, intruder: Intruder) -> Foreign | None:
    key = letter.key or b""
    return intruder.foreign.get(key) or intruder.perhaps.get(key)


def _of_report(report: Report) -> list[Finding]:
    return [Finding(one.check, f"{one.summary}: {'; '.join(one.ids[:3])}") for one in report.findings]


# Quiet ----------------------------------------------------------------------------------------------------------


async def _quiet(cluster: Cluster, within: float) -> str | None:
    """Wait until nothing moves; what still does when the time is up, or None."""
    deadline = time.monotonic() + within
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=None)
    await consumer.start()
    try:
        calm = 0
        while True:
            busy = await _busy(cluster, consumer)
            # What one stage has just taken in may make it say something: quiet is quiet twice.
            calm = 0 if busy else calm + 1
            if calm == 2:
                return None
            if time.monotonic() > deadline:
                return busy or "it was quiet only once"
            await asyncio.sleep(0.5)
    finally:
        await consumer.stop()


async def _busy(cluster: Cluster, consumer: AIOKafkaConsumer) -> str | None:
    taken: dict[str, dict[offsets.Partition, int]] = {}
    for service in SERVICES:
        delivery = await _with_database(cluster, service, status.read)
        if delivery.outbox_depth:
            return f"{service} has {delivery.outbox_depth} events to send"
        if moving := await _with_database(cluster, service, _moving):
            return f"{service} is still at {moving}"
        taken[service] = await _with_database(cluster, service, offsets.taken_in)
    wanted = {TopicPartition(*partition) for partitions in taken.values() for partition in partitions}
    ends: dict[TopicPartition, int] = await consumer.end_offsets(wanted)
    for service, partitions in taken.items():
        lag = sum(ends[TopicPartition(*partition)] - offset for partition, offset in partitions.items())
        if lag > 0:
            return f"{service} has {lag} records to take in"
    return None


async def _moving(connection: asyncpg.Connection) -> str | None:
    """What goes on by itself after all was taken in: streams that are tried again, letters to publish, mail to send."""
    if await connection.fetchval("select count(*) from parked_streams where retry_at is not null"):
        return "parked streams that are tried again"
    if await connection.fetchval("select count(*) from dead_letters where published_at is null"):
        return "dead letters to publish"
    has_mail = await connection.fetchval("select to_regclass('deliveries') is not null")
    if has_mail and await connection.fetchval("select count(*) from deliveries where state in ('queued', 'sending')"):
        return "messages to send"
    return None


# The databases --------------------------------------------------------------------------------------------------


async def _with_database(cluster: Cluster, service: str, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
    connection = await asyncpg.connect(cluster.dsn(service))
    try:
        await prepare(connection)
        return await work(connection)
    finally:
        await connection.close()


async def _letters(connection: asyncpg.Connection) -> list[Letter]:
    rows = await connection.fetch("select id, topic, key, reason, error, status from dead_letters order by id")
    return [Letter(**dict(row)) for row in rows]


async def _discard(cluster: Cluster, service: str, letters: Iterable[Letter]) -> None:
    """Do away with letters, as an operator who has looked at them would."""

    async def work(connection: asyncpg.Connection) -> None:
        for letter in letters:
            await dead_letters.discard(connection, letter.id, _OPERATOR)

    await _with_database(cluster, service, work)


async def _published(connection: asyncpg.Connection) -> list[Told]:
    rows = await connection.fetch("select type, subject from outbox")
    return [(name_of(row["type"]), row["subject"]) for row in rows]


async def _answered(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("select key from idempotency_keys where status between 200 and 299")
    return {row["key"] for row in rows}
