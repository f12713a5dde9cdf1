# pyright: reportMissingTypeStubs=false
# The Kafka client is untyped.
"""A database that is older than what its service published: noticed, and brought up to it.

A database restored to the past has counters that would give out numbers a second time; whoever reacted to the first
event with a number would take the second for a repeat. So what the topics hold of this service beyond what the
database says was acknowledged is read back before anything is sent. An event there that the outbox does not know is
the proof. If it came from a reaction, the reaction will be repeated and give the same event, by its id: it is taken
into the outbox as sent, and the service goes on. If a command or a worker emitted it, its change of state is lost:
the service emits nothing more before an operator has seen that, and has run `qc outbox recover`.
"""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from shared.messaging import operator_actions, outbox
from shared.messaging.broker import KafkaSettings, cluster_id
from shared.messaging.event_ids import is_derived
from shared.messaging.log_reading import open_log
from shared.messaging.offsets import Partition
from shared.messaging.operator_actions import Operator
from shared.messaging.relaying import own_records
from shared.messaging.relaying.own_records import Acknowledged, OwnRecord
from shared.persistence.pool import Connection

_log = structlog.get_logger("relay")

#: Events named in the reason of a fence.
_NAMED = 3

#: A topic and a key: what is numbered together in one service's outbox.
Numbered = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An event that this service published and whose change of state its database has lost."""

    event_id: UUID
    type: str
    topic: str
    key: str
    sequence: int
    subject: str
    causation_id: UUID | None
    #: True if it came from a reaction, which is repeated by itself.
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class RaisedCounter:
    """The last number given to events of a topic and key, before and after."""

    topic: str
    key: str
    before: int
    after: int


@dataclass(slots=True)
class Recovery:
    """What recovering a database found and changed."""

    dry_run: bool
    #: Why the service could not emit; None if it could.
    fence: str | None = None
    #: Events of this service that were read back from the topics.
    read: int = 0
    #: Events that the database did not know, kept now as sent.
    adopted: list[LostEvent] = field(default_factory=list[LostEvent])
    #: Published under a number that this database has given to another event, which was published too. Whoever reads
    #: the topics parks their key as a conflict; nothing here can mend that.
    conflicts: list[LostEvent] = field(default_factory=list[LostEvent])
    counters: list[RaisedCounter] = field(default_factory=list[RaisedCounter])
    #: Events saved and never sent that got another number.
    renumbered: int = 0
    #: Events the database had as unsent that the topics hold.
    found_sent: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ids are UUIDs."""
        return asdict(self)


class _NewRow(NamedTuple):
    """A row of the outbox before it has a position."""

    event_id: UUID
    type: str
    source: str
    subject: str
    topic: str
    key: str
    sequence: int
    time: datetime
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None
    data: str


@dataclass(slots=True)
class _Found:
    """What the comparison of the topics with the database came to."""

    read: int = 0
    ends: dict[Partition, int] = field(default_factory=dict[Partition, int])
    unknown: list[OwnRecord] = field(default_factory=list[OwnRecord])
    #: Positions of rows that are unsent here and in a topic under the same number.
    sent: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Checked:
    """What a comparison before the first record is sent came to."""

    #: The cluster that was compared with.
    cluster_id: str
    #: Why the service may not emit, or None if it may.
    reason: str | None


async def check(connection: Connection, kafka: KafkaSettings, source: str) -> Checked:
    """Compare a database with what its service published last, before a relay sends anything.

    What came from reactions is adopted; for anything else the fence is put up
    that ``recover`` takes down. Raises KafkaError or LogNotReadable if the topics cannot be read.
    """
    cluster = await cluster_id(kafka)
    if (reason := await outbox.fence(connection)) is not None:
        return Checked(cluster, reason)
    found = await _compare(connection, kafka, cluster, source, everything=False)
    by_others = [own for own in found.unknown if not _is_repeated(own)]
    if by_others:
        reason = _reason(by_others)
        await connection.execute("insert into outbox_fence (reason) values ($1) on conflict do nothing", reason)
        _log.error("this database is older than its topics: nothing is emitted", reason=reason)
        return Checked(cluster, reason)
    async with connection.transaction():
        done = await _adopt(connection, found)
        await _acknowledge(connection, cluster, found.ends)
    if done.adopted:
        _log.warning("adopted events that reactions will bring about again", count=len(done.adopted))
    return Checked(cluster, None)


async def recover(
    connection: Connection, kafka: KafkaSettings, source: str, operator: Operator, *, dry_run: bool = False
) -> Recovery:
    """Bring a database up to what its service published, and let the service emit again.

    Counters are raised to what the topics hold, events they hold and the outbox does not know are kept as sent, and
    events never sent are numbered after them. The report names the events whose change of state this database has
    lost. ``source`` is the service's CloudEvents source. With ``dry_run`` nothing is changed.

    Raises KafkaError or LogNotReadable if the topics cannot be read.
    """
    cluster = await cluster_id(kafka)
    found = await _compare(connection, kafka, cluster, source, everything=True)
    async with _unless(connection, dry_run):
        done = await _adopt(connection, found)
        done.dry_run = dry_run
        done.fence = await connection.fetchval("delete from outbox_fence returning reason")
        await _acknowledge(connection, cluster, found.ends)
        detail = {
            "adopted": [str(event.event_id) for event in done.adopted],
            "conflicts": [str(event.event_id) for event in done.conflicts],
            "renumbered": done.renumbered,
        }
        await operator_actions.record(connection, operator, "outbox.recovered", source, detail)
    return done


@asynccontextmanager
async def _unless(connection: Connection, dry_run: bool) -> AsyncGenerator[None]:
    """A transaction that is rolled back at its end if nothing is to be changed."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        await transaction.rollback()
        raise
    if dry_run:
        await transaction.rollback()
    else:
        await transaction.commit()


# Comparing --------------------------------------------------------------------------------------------------------


async def _compare(
    connection: Connection, kafka: KafkaSettings, cluster: str, source: str, *, everything: bool
) -> _Found:
    found = _Found()
    if not (topics := own_records.topics_of(source)):
        return found
    rows = await connection.fetch("select topic, partition, cluster_id, next_offset from relay_acknowledged")
    known = {(row["topic"], row["partition"]): Acknowledged(row["cluster_id"], row["next_offset"]) for row in rows}
    async with open_log(kafka) as log:
        spans = await log.spans(topics)
        found.ends = {partition: span.end for partition, span in spans.items()}
        recent = own_records.beyond(spans, known, cluster)
        async for records in own_records.read(log, spans if everything else {**spans, **recent}, recent, source):
            found.read += len(records)
            await _look_up(connection, records, found)
    return found


async def _look_up(connection: Connection, records: Sequence[OwnRecord], found: _Found) -> None:
    """Sort records into those the database knows and those it does not."""
    rows = await connection.fetch(
        """
        select known.position, known.is_unsent, known.topic, known.key, known.sequence, taken.is_taken,
               coalesce(counter.last_sequence, 0) as last_sequence
        from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[])
            with ordinality as r (event_id, topic, key, sequence, place)
        left join lateral (
            select o.position, o.topic, o.key, o.sequence,
                   exists (select from outbox_unsent u where u.position = o.position) as is_unsent
            from outbox o where o.event_id = r.event_id limit 1
        ) known on true
        left join lateral (
            select true as is_taken from outbox o
            where o.topic = r.topic and o.key = r.key and o.sequence = r.sequence limit 1
        ) taken on true
        left join lateral (
            select last_sequence from outbox_counters c where c.topic = r.topic and c.key = r.key limit 1
        ) counter on true
        order by r.place""",
        [own.envelope.id for own in records],
        [own.record.topic for own in records],
        [own.envelope.key for own in records],
        [own.envelope.sequence for own in records],
    )
    for own, row in zip(records, rows, strict=True):
        number = (own.record.topic, own.envelope.key, own.envelope.sequence)
        if row["position"] is not None:
            if (row["topic"], row["key"], row["sequence"]) != number:
                # A reaction was repeated before we looked, and its event got another number than it had.
                found.unknown.append(own)
            elif row["is_unsent"]:
                found.sent.append(row["position"])
        elif own.is_recent or row["is_taken"] or own.envelope.sequence > row["last_sequence"]:
            found.unknown.append(own)


def _is_repeated(own: OwnRecord) -> bool:
    envelope = own.envelope
    return is_derived(envelope.id, envelope.causationid, envelope.source, envelope.type, envelope.subject)


def _reason(lost: Sequence[OwnRecord]) -> str:
    named = ", ".join(f"{own.envelope.type} {own.envelope.id}" for own in lost[:_NAMED])
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return (
        f"its topics hold {len(lost)} event{'s' if len(lost) > 1 else ''} of its own that this database does not know "
        f"({named}{more}), so it was restored to the past"
    )


def _lost(own: OwnRecord) -> LostEvent:
    envelope = own.envelope
    return LostEvent(
        event_id=envelope.id,
        type=envelope.type,
        topic=own.record.topic,
        key=envelope.key,
        sequence=envelope.sequence,
        subject=envelope.subject,
        causation_id=envelope.causationid,
        is_repeated=_is_repeated(own),
    )


# Adopting ---------------------------------------------------------------------------------------------------------


async def _adopt(connection: Connection, found: _Found) -> Recovery:
    """Keep unknown events as sent, in the caller's transaction, and number what was never sent after them."""
    done = Recovery(dry_run=False, read=found.read)
    # Emitting waits until this transaction ends. What was emitted since the comparison is looked at again.
    await connection.execute("lock table outbox_counters in share row exclusive mode")
    again = _Found()
    if found.unknown:
        await _look_up(connection, found.unknown, again)
    unknown = _first_of_each(again.unknown)
    await connection.execute("delete from outbox_unsent where position = any ($1::bigint[])", found.sent + again.sent)
    done.found_sent = len(set(found.sent + again.sent))
    if not unknown:
        return done

    keys = {(own.record.topic, own.envelope.key) for own in unknown}
    waiting = await _take_out_unsent(connection, keys)
    clashing = await _clashing(connection, unknown)
    adopted = [own for own in unknown if own.envelope.id not in clashing]
    done.adopted = [_lost(own) for own in adopted]
    done.conflicts = [_lost(own) for own in unknown if own.envelope.id in clashing]
    await _insert(connection, [_row_of(own) for own in adopted])

    before = await _last_numbers(connection, "select topic, key, last_sequence from outbox_counters", keys)
    # Numbers that only rows taken out had are free again.
    after = await _last_numbers(
        connection, "select topic, key, max(sequence) as last_sequence from outbox group by topic, key", keys
    )
    for own in unknown:
        number = own.record.topic, own.envelope.key
        after[number] = max(after.get(number, 0), own.envelope.sequence)
    known = {own.envelope.id for own in unknown}
    renumbered: list[_NewRow] = []
    for row in waiting:
        if row["event_id"] not in known:
            number = row["topic"], row["key"]
            after[number] += 1
            same = _NewRow(*(row[name] for name in _NewRow._fields))
            renumbered.append(same._replace(sequence=after[number]))
    positions = await _insert(connection, renumbered)
    await connection.execute("insert into outbox_unsent select * from unnest($1::bigint[])", positions)
    await _set_counters(connection, after)
    done.renumbered = len(renumbered)
    done.counters = [
        RaisedCounter(topic, key, before.get((topic, key), 0), last) for (topic, key), last in sorted(after.items())
    ]
    return done


def _first_of_each(records: Iterable[OwnRecord]) -> list[OwnRecord]:
    """Each key's in the order of their numbers, without repeats: a record may lie in a topic more than once."""
    first: dict[UUID, OwnRecord] = {}
    for own in records:
        first.setdefault(own.envelope.id, own)
    return sorted(first.values(), key=lambda own: (own.record.topic, own.envelope.key, own.envelope.sequence))


async def _take_out_unsent(connection: Connection, keys: Collection[Numbered]) -> list[asyncpg.Record]:
    """Take the unsent rows of some keys out of the outbox; returns them in order."""
    rows = await connection.fetch(
        """
        select o.* from outbox o
        join outbox_unsent using (position)
        join unnest($1::text[], $2::text[]) as wanted (topic, key) using (topic, key)
        order by position""",
        [topic for topic, _ in keys],
        [key for _, key in keys],
    )
    positions = [row["position"] for row in rows]
    await connection.execute("delete from outbox_unsent where position = any ($1::bigint[])", positions)
    await connection.execute("delete from outbox where position = any ($1::bigint[])", positions)
    return rows


async def _clashing(connection: Connection, unknown: Sequence[OwnRecord]) -> set[UUID]:
    """Ids of events whose number, or whose id under another number, the database has published as well."""
    rows = await connection.fetch(
        """
        select r.event_id
        from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) as r (event_id, topic, key, sequence)
        where exists (select from outbox o where o.event_id = r.event_id)
           or exists (select from outbox o where o.topic = r.topic and o.key = r.key and o.sequence = r.sequence)""",
        [own.envelope.id for own in unknown],
        [own.record.topic for own in unknown],
        [own.envelope.key for own in unknown],
        [own.envelope.sequence for own in unknown],
    )
    return {row["event_id"] for row in rows}


async def _last_numbers(connection: Connection, numbers: str, keys: Collection[Numbered]) -> dict[Numbered, int]:
    """What a statement gives as the last number of some topics and keys, where there is one."""
    rows = await connection.fetch(
        f"""
        select topic, key, last_sequence from ({numbers}) as numbers
        join unnest($1::text[], $2::text[]) as wanted (topic, key) using (topic, key)""",  # noqa: S608 no input
        [topic for topic, _ in keys],
        [key for _, key in keys],
    )
    return {(row["topic"], row["key"]): row["last_sequence"] for row in rows}


def _row_of(own: OwnRecord) -> _NewRow:
    envelope = own.envelope
    return _NewRow(
        event_id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        topic=own.record.topic,
        key=envelope.key,
        sequence=envelope.sequence,
        time=envelope.time,
        correlation_id=envelope.correlationid,
        causation_id=envelope.causationid,
        traceparent=envelope.traceparent,
        data=(own.record.value or b"").decode(),
    )


async def _insert(connection: Connection, rows: Sequence[_NewRow]) -> list[int]:
    """Insert rows in this order; returns their positions."""
    inserted = await connection.fetch(
        """
        insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id, causation_id,
                            traceparent, data)
        select event_id, type, source, subject, topic, key, sequence, time, correlation_id, causation_id, traceparent,
               data
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                    $8::timestamptz[], $9::uuid[], $10::uuid[], $11::text[], $12::text[])
            with ordinality as r (event_id, type, source, subject, topic, key, sequence, time, correlation_id,
                                  causation_id, traceparent, data, place)
        order by place
        returning position""",
        *([row[column] for row in rows] for column in range(len(_NewRow._fields))),
    )
    return [row["position"] for row in inserted]


async def _set_counters(connection: Connection, numbers: Mapping[Numbered, int]) -> None:
    await connection.execute(
        """
        insert into outbox_counters (topic, key, last_sequence)
        select * from unnest($1::text[], $2::text[], $3::bigint[])
        on conflict (topic, key) do update set last_sequence = excluded.last_sequence""",
        [topic for topic, _ in numbers],
        [key for _, key in numbers],
        list(numbers.values()),
    )


async def _acknowledge(connection: Connection, cluster: str, ends: Mapping[Partition, int]) -> None:
    """Keep how far the topics were compared: all of our own that lies before is known now."""
    await connection.execute(
        """
        insert into relay_acknowledged (topic, partition, cluster_id, next_offset)
        select topic, partition, $1, next_offset
        from unnest($2::text[], $3::int[], $4::bigint[]) as a (topic, partition, next_offset)
        on conflict (topic, partition) do update
        set cluster_id = excluded.cluster_id,
            -- The embedded broker can give an end that lies before what it has acknowledged.
            next_offset = case when relay_acknowledged.cluster_id = excluded.cluster_id
                then greatest(relay_acknowledged.next_offset, excluded.next_offset) else excluded.next_offset end""",
        cluster,
        [topic for topic, _ in ends],
        [number for _, number in ends],
        list(ends.values()),
    )
