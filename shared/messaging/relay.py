# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The relay: sends what the outbox holds, in order, and marks it sent once the broker has it.

One relay per service works at a time: it holds an advisory lock on a connection of its own, and reads and marks
through that same connection, so losing the lock and losing the ability to mark are one thing. What was sent and
not marked is sent again: positions drop the repeat.
"""

import asyncio
import random
from asyncio import Future
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
from aiokafka.structs import RecordMetadata

from shared.contracts.envelope import Envelope
from shared.contracts.registry import by_type
from shared.messaging import outbox
from shared.messaging.broker import KafkaSettings, new_producer
from shared.observability import metrics
from shared.persistence.failures import is_passing
from shared.persistence.pool import Connection, connect

_log = structlog.get_logger("relay")

#: Any number, but the same in every process: who holds it is the relay of this database.
_LOCK = 6_112_027

#: Rows read, sent and marked together.
BATCH_ROWS = 500

#: Batches sent and not yet marked, while the next is read.
_DEPTH = 3

#: How often the relay looks by itself, in seconds; notifications only make it look sooner.
_POLL_S = 0.5

#: How long a key the broker refused a record of stands still before it is tried again.
_RETRY_REFUSED = timedelta(seconds=60)

#: The broker will not take this record as it is. Anything else is the broker's or the network's failure.
_REFUSED = (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
)

Row = asyncpg.Record
Key = tuple[str, str]


@dataclass(slots=True)
class _Sending:
    """Rows handed to the producer, and its promises."""

    rows: list[Row]
    promises: "list[Future[RecordMetadata]]" = field(default_factory=list[Any])


class Relay:
    """Sends one service's outbox to Kafka."""

    def __init__(self, *, dsn: str, kafka: KafkaSettings, name: str, retention: timedelta) -> None:
        self._dsn = dsn
        self._kafka = kafka
        self._name = f"{name} relay"
        self._retention = retention
        self._wake = asyncio.Event()
        self._stopping = False
        self._trouble: str | None = "not started"

    @property
    def problem(self) -> str | None:
        """Why nothing would be sent now, or None while this relay works or another process does."""
        return self._trouble

    def stop(self) -> None:
        """Send what is saved, then end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Send until stopped. A lost broker or database is waited for, without end."""
        failures = 0
        while not self._stopping:
            try:
                await self._session()
                failures = 0
            except Exception as error:
                if not (is_passing(error) or isinstance(error, KafkaError)):
                    _log.exception("relay failed; starting it anew")
                else:
                    _log.warning("relay lost its broker or database", error=repr(error))
                self._trouble = f"reconnecting after {type(error).__name__}"
                metrics.RELAY_FAILURES.inc()
                failures = min(failures + 1, 7)
                await asyncio.sleep(random.uniform(0.5, 1) * 0.1 * 2**failures)
            finally:
                metrics.RELAY_LEADER.set(0)

    async def _session(self) -> None:
        connection = await connect(self._dsn, name=self._name)
        try:
            self._trouble = None
            if not await self._become_leader(connection):
                return
            await connection.add_listener(outbox.WAKE_CHANNEL, self._woken)
            while True:
                producer = new_producer(self._kafka)
                try:
                    await producer.start()
                    self._trouble = None
                    metrics.RELAY_LEADER.set(1)
                    refused = await self._pump(connection, producer)
                finally:
                    await producer.stop()
                if not refused:
                    return
                await self._send_alone(connection, refused)
        finally:
            connection.terminate()

    async def _become_leader(self, connection: Connection) -> bool:
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            self._wake.clear()
            await self._nap()
            if self._stopping:
                return False
        _log.info("relay leads")
        return True

    # The pump ---------------------------------------------------------------------------------------------------

    async def _pump(self, connection: Connection, producer: AIOKafkaProducer) -> list[Row]:
        """Send in order until stopped and drained; returns the first row of each key that was refused."""
        sending: deque[_Sending] = deque()
        failed: dict[Key, tuple[Row, BaseException]] = {}
        while True:
            self._wake.clear()
            in_flight = [row["position"] for batch in sending for row in batch.rows]
            rows = [] if failed else await _next_rows(connection, in_flight)
            if rows:
                sending.append(await self._send(producer, rows))
            if sending and (not rows or len(sending) >= _DEPTH):
                await self._settle(connection, sending.popleft(), failed)
            elif not rows:
                if failed:
                    return _refused(failed)
                await self._prune(connection)
                if self._stopping:
                    return []
                await self._nap()

    async def _send(self, producer: AIOKafkaProducer, rows: list[Row]) -> _Sending:
        batch = _Sending(rows)
        refused: set[Key] = set()
        for row in rows:
            key = (row["topic"], row["key"])
            promise: Future[RecordMetadata]
            if key in refused:
                promise = _broken(RecordTooLargeError("a record before it was refused"))
            else:
                try:
                    promise = await _hand_over(producer, row)
                except _REFUSED as error:
                    refused.add(key)
                    promise = _broken(error)
            batch.promises.append(promise)
        return batch

    async def _settle(
        self,
        connection: Connection,
        batch: _Sending,
        failed: dict[Key, tuple[Row, BaseException]],
    ) -> None:
        """Wait for the broker's answers and mark what it has, but nothing that follows a failed row of its key."""
        answers = await asyncio.gather(*batch.promises, return_exceptions=True)
        sent: list[tuple[Row, RecordMetadata]] = []
        for row, answer in zip(batch.rows, answers, strict=True):
            key = (row["topic"], row["key"])
            if isinstance(answer, BaseException):
                failed.setdefault(key, (row, answer))
            elif key not in failed:
                sent.append((row, answer))
        await _mark_sent(connection, sent)
        for row, _ in sent:
            metrics.EVENTS_SENT.labels(row["type"]).inc()

    async def _send_alone(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Send the first unsent row of each suspicious key by itself, so that the guilty ones are known."""
        producer = new_producer(self._kafka)
        try:
            await producer.start()
            for row in rows:
                try:
                    answer = await (await _hand_over(producer, row))
                except _REFUSED as error:
                    await _stop_key(connection, row, error)
                    _log.error(
                        "the broker refuses a record: its key stands still",
                        event_id=str(row["event_id"]),
                        topic=row["topic"],
                        key=row["key"],
                        error=repr(error),
                    )
                else:
                    await _mark_sent(connection, [(row, answer)])
        finally:
            await producer.stop()

    async def _prune(self, connection: Connection) -> None:
        now: datetime = await connection.fetchval("select now()")
        await outbox.prune(connection, now - self._retention)

    def _woken(self, *_: object) -> None:
        self._wake.set()

    async def _nap(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), _POLL_S)
        except TimeoutError:
            return


def _refused(failed: dict[Key, tuple[Row, BaseException]]) -> list[Row]:
    """The rows to try alone. Raises the failure if it was the broker's or the network's: then all is repeated."""
    for _, error in failed.values():
        if not isinstance(error, _REFUSED):
            raise error
    return [row for row, _ in sorted(failed.values(), key=lambda f: f[0]["position"])]


async def _hand_over(producer: AIOKafkaProducer, row: Row) -> "Future[RecordMetadata]":
    spec = by_type(row["type"])
    if spec is None:
        raise PolicyViolationError(f"{row['type']} is not registered")
    envelope = Envelope(
        id=row["event_id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        dataschema=spec.dataschema,
        key=row["key"],
        sequence=row["sequence"],
        correlationid=row["correlation_id"],
        causationid=row["causation_id"],
        traceparent=row["traceparent"],
        dataclassification=spec.classification,
    )
    return await producer.send(
        row["topic"],
        value=row["data"].encode(),
        key=row["key"].encode(),
        headers=envelope.headers(),
        timestamp_ms=int(row["time"].timestamp() * 1000),
    )


def _broken(error: BaseException) -> "Future[RecordMetadata]":
    promise: Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    promise.set_exception(error)
    return promise


# SQL ------------------------------------------------------------------------------------------------------------


async def _next_rows(connection: Connection, in_flight: list[int]) -> list[Row]:
    """The next unsent rows in order, leaving out those in flight and the keys that stand still.

    Not "after the last position read": a row with a lower position may be committed later than one with a higher.
    """
    return await connection.fetch(
        """
        select position, event_id, type, source, subject, topic, key, sequence, time, correlation_id,
               causation_id, traceparent, data
        from outbox o
        where sent_at is null and position <> all ($1::bigint[])
          and not exists (
              select from relay_stops s where s.topic = o.topic and s.key = o.key and s.retry_at > now()
          )
        order by position limit $2""",
        in_flight,
        BATCH_ROWS,
    )


async def _mark_sent(connection: Connection, sent: Sequence[tuple[Row, RecordMetadata]]) -> None:
    if not sent:
        return
    async with connection.transaction():
        await connection.execute(
            """
            update outbox o set sent_at = now(), partition = s.partition, broker_offset = s.broker_offset
            from unnest($1::bigint[], $2::int[], $3::bigint[]) as s (position, partition, broker_offset)
            where o.position = s.position""",
            [row["position"] for row, _ in sent],
            [metadata.partition for _, metadata in sent],
            [metadata.offset for _, metadata in sent],
        )
        await connection.execute(
            "delete from relay_stops where event_id = any($1::uuid[])", [row["event_id"] for row, _ in sent]
        )


async def _stop_key(connection: Connection, row: Row, error: BaseException) -> None:
    event_id: UUID = row["event_id"]
    await connection.execute(
        """
        insert into relay_stops as s (topic, key, event_id, error, retry_at) values ($1, $2, $3, $4, now() + $5)
        on conflict (topic, key) do update
        set event_id = excluded.event_id, error = excluded.error, attempts = s.attempts + 1,
            retry_at = excluded.retry_at""",
        row["topic"],
        row["key"],
        event_id,
        repr(error),
        _RETRY_REFUSED,
    )
