# pyright: reportMissingTypeStubs=false
"""What one would write first: a FastStream subscriber that applies one event per transaction.

It does the same work as the consumer: it decodes and validates the event, reads and moves the stream's position, lets
the visits service's own reaction decide on the state, saves state and outbox, commits, and then acknowledges the
record (``AckPolicy.MANUAL``). The framework's own decoding and checking of arguments are left out, and it keeps one
connection for all events; both make it faster.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from uuid import UUID

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.ground import Ground
from benchmarks.material import OFFICE
from services.visits.reactions import reactions
from shared.messaging import outbox
from shared.messaging.records import Event, Record, Stream, decode
from shared.persistence.pool import Connection, connect

_SOURCE = f"/{OFFICE}/visits"

#: Events before the clock starts: connections, statements and caches are warm by then.
_WARM = 100

_quiet = logging.getLogger("benchmark.plain")
_quiet.setLevel(logging.ERROR)


async def consume(ground: Ground, dsn: str, topic: str, group: str, events: int) -> float:
    """Take in the first events of a topic, one by one; how many per second."""
    kafka = ground.kafka("plain")
    broker = KafkaBroker(
        kafka.bootstrap, client_id=kafka.client_id, allow_auto_create_topics=False, logger=_quiet, apply_types=False
    )
    connection = await connect(dsn, name="plain")
    done = asyncio.get_running_loop().create_future()
    taken = 0
    began = 0.0

    @broker.subscriber(
        topic,
        group_id=group,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        fetch_max_wait_ms=kafka.fetch_max_wait_ms,
        session_timeout_ms=kafka.session_timeout_ms,
        heartbeat_interval_ms=kafka.session_timeout_ms // 4,
        decoder=_as_it_is,
    )
    async def handle(message: KafkaMessage) -> None:
        nonlocal taken, began
        if done.done():
            return
        try:
            await _apply(connection, Record.of(message.raw_message))  # pyright: ignore[reportArgumentType]
            await message.ack()
        except Exception as error:
            done.set_exception(error)
            return
        taken += 1
        if taken == _WARM:
            began = time.perf_counter()
        elif taken == _WARM + events:
            done.set_result(events / (time.perf_counter() - began))

    try:
        async with broker:
            await broker.start()
            return await done
    finally:
        await connection.close()


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message


async def _apply(connection: Connection, record: Record) -> None:
    event = decode(record)
    if not isinstance(event, Event) or event.data is None:
        raise RuntimeError(f"the benchmark's own event cannot be read: {event}")
    now = datetime.now(UTC)
    async with connection.transaction():
        if event.envelope.sequence != await _position(connection, event.stream) + 1:
            raise RuntimeError(f"{event.stream}: {event.envelope.sequence} does not come next")
        emitted = await reactions.apply(connection, [(event.envelope, event.data)], now, _SOURCE)
        await _move(connection, event.stream, event.envelope.sequence, event.envelope.id)
        await outbox.save(connection, _SOURCE, emitted)


async def _position(connection: Connection, stream: Stream) -> int:
    return (
        await connection.fetchval(
            "select last_sequence from positions where topic = $1 and source = $2 and key = $3 for update", *stream
        )
        or 0
    )


async def _move(connection: Connection, stream: Stream, sequence: int, event_id: UUID) -> None:
    await connection.execute(
        """
        insert into positions (topic, source, key, last_sequence, last_event_id) values ($1, $2, $3, $4, $5)
        on conflict (topic, source, key) do update
        set last_sequence = excluded.last_sequence, last_event_id = excluded.last_event_id, updated_at = now()""",
        *stream,
        sequence,
        event_id,
    )
