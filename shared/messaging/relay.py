# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The relay: sends what the outbox holds, in order, and marks it sent once the broker has it.

One relay per service works at a time: it holds an advisory lock on a connection of its own, and reads and marks
through that same connection, so losing the lock and losing the ability to mark are one thing. What was sent and
not marked is sent again: positions drop the repeat.
"""

import asyncio
import random
import time
from asyncio import Future
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

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
from pydantic import ValidationError

from shared.contracts.envelope import Envelope, describe
from shared.contracts.registry import by_type
from shared.messaging import outbox, relay_rows
from shared.messaging.broker import KafkaSettings, new_producer
from shared.messaging.relay_rows import Row
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

#: How often rows sent long ago are deleted, in seconds.
_PRUNE_S = 10.0

#: How long ``stop`` lets the relay go on sending what is saved, in seconds. The rest is sent at the next start.
FLUSH_S = 4.0

#: How long the broker may take to let a producer go, in seconds.
_CLOSE_S = 0.5

#: A relay whose records are not acknowledged for this long, in seconds, is not ready.
ACKNOWLEDGE_LIMIT_S = 10.0

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 12.8

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

Key = tuple[str, str]


@dataclass(slots=True)
class _Sending:
    """Rows handed to the producer, and its promises."""

    rows: list[Row] = field(default_factory=list[Row])
    promises: "list[Future[RecordMetadata]]" = field(default_factory=list[Any])


class Relay:
    """Sends one service's outbox to Kafka."""

    def __init__(self, *, dsn: str, kafka: KafkaSettings, name: str, retention: timedelta) -> None:
        self._dsn = dsn
        self._kafka = kafka
        self._name = f"{name} relay"
        self._retention = retention
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._failures = 0
        self._pruned_at = 0.0
        self._trouble: str | None = "not started"
        #: Since when we have waited for the broker's answer, if we do.
        self._unanswered_since: float | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing would be sent now, or None while this relay works or another process does."""
        if self._trouble is not None:
            return self._trouble
        if self._unanswered_since is not None:
            age = time.monotonic() - self._unanswered_since
            if age > ACKNOWLEDGE_LIMIT_S:
                return f"the broker has not acknowledged a record for {age:.0f} s"
        return None

    def stop(self) -> None:
        """Send what is saved, for up to FLUSH_S seconds, then end."""
        self._stopping.set()
        self._wake.set()
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + FLUSH_S)

    async def run(self) -> None:
        """Send until stopped. A lost broker or database is waited for, without end."""
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._run()
        except TimeoutError:
            _log.warning("stopped with events unsent; they are sent at the next start")
        finally:
            self._limit = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._session()
            except Exception as error:
                if not (is_passing(error) or isinstance(error, KafkaError)):
                    _log.exception("relay failed; starting it anew")
                else:
                    _log.warning("relay lost its broker or database", error=repr(error))
                self._trouble = f"reconnecting after {type(error).__name__}"
                metrics.RELAY_FAILURES.inc()
                await self._back_off()
            finally:
                self._unanswered_since = None
                metrics.RELAY_LEADER.set(0)

    async def _back_off(self) -> None:
        ceiling = min(_BACKOFF_FIRST_S * 2 ** min(self._failures, 10), _BACKOFF_MAX_S)
        self._failures += 1
        try:
            await asyncio.wait_for(self._stopping.wait(), random.uniform(ceiling / 2, ceiling))
        except TimeoutError:
            return

    async def _session(self) -> None:
        connection = await connect(self._dsn, name=self._name)
        try:
            if not await self._become_leader(connection):
                return
            await connection.add_listener(outbox.WAKE_CHANNEL, self._woken)
            # A mark that a crash of the server undoes is a record sent twice, which positions drop.
            await connection.execute("set synchronous_commit = off")
            while True:
                async with self._producing() as producer:
                    refused = await self._pump(connection, producer)
                if not refused:
                    return
                async with self._producing() as producer:
                    await self._send_alone(connection, producer, refused)
        finally:
            connection.terminate()

    @asynccontextmanager
    async def _producing(self) -> AsyncGenerator[AIOKafkaProducer]:
        producer = new_producer(self._kafka)
        try:
            await producer.start()
            self._trouble = None
            metrics.RELAY_LEADER.set(1)
            yield producer
        finally:
            await _abandon(producer)

    async def _become_leader(self, connection: Connection) -> bool:
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            # Another process sends, so nothing is wrong here.
            self._trouble, self._failures = None, 0
            self._wake.clear()
            await self._nap()
            if self._stopping.is_set():
                return False
        _log.info("relay leads")
        return True

    # The pump ---------------------------------------------------------------------------------------------------

    async def _pump(self, connection: Connection, producer: AIOKafkaProducer) -> list[Row]:
        """Send in order until stopped and drained; returns the first row of each key that was refused."""
        sending: deque[_Sending] = deque()
        failed: dict[Key, tuple[Row, BaseException]] = {}
        try:
            while True:
                self._wake.clear()
                in_flight = [row["position"] for batch in sending for row in batch.rows]
                # Once a record has failed nothing more is read: what follows it of its key must not overtake it.
                rows = [] if failed else await relay_rows.next_rows(connection, in_flight, BATCH_ROWS)
                if rows:
                    sending.append(_Sending())
                    await self._send(producer, rows, sending[-1], failed)
                if sending and (not rows or len(sending) >= _DEPTH):
                    await self._settle(connection, sending[0], failed)
                    sending.popleft()
                elif not rows:
                    if failed:
                        return _refused(failed)
                    self._failures = 0
                    if self._stopping.is_set():
                        return []
                    await self._prune(connection)
                    await self._nap()
        finally:
            for batch in sending:
                for promise in batch.promises:
                    promise.cancel()

    async def _send(
        self,
        producer: AIOKafkaProducer,
        rows: Sequence[Row],
        batch: _Sending,
        failed: dict[Key, tuple[Row, BaseException]],
    ) -> None:
        """Hand rows to the producer, in order, but nothing that follows a row of its key that it will not take."""
        for row in rows:
            key = (row["topic"], row["key"])
            if key in failed:
                continue
            try:
                promise = await _hand_over(producer, row)
            except _REFUSED as error:
                failed[key] = (row, error)
            else:
                batch.rows.append(row)
                batch.promises.append(promise)

    async def _settle(
        self,
        connection: Connection,
        batch: _Sending,
        failed: dict[Key, tuple[Row, BaseException]],
    ) -> None:
        """Wait for the broker's answers and mark what it has, but nothing that follows a failed row of its key."""
        answers = await self._answers(batch.promises)
        sent: list[tuple[Row, RecordMetadata]] = []
        for row, answer in zip(batch.rows, answers, strict=True):
            key = (row["topic"], row["key"])
            if isinstance(answer, BaseException):
                # Of its key's rows, one that was refused at once may come later than this one.
                if key not in failed or row["position"] < failed[key][0]["position"]:
                    failed[key] = (row, answer)
            elif key not in failed or row["position"] < failed[key][0]["position"]:
                sent.append((row, answer))
        await self._mark_sent(connection, sent)

    async def _send_alone(self, connection: Connection, producer: AIOKafkaProducer, rows: Sequence[Row]) -> None:
        """Send the first unsent row of each suspicious key by itself, so that the guilty ones are known."""
        for row in rows:
            try:
                (answer,) = await self._answers([await _hand_over(producer, row)])
                if isinstance(answer, BaseException):
                    raise answer
            except _REFUSED as error:
                await relay_rows.stop_key(connection, row, error, _RETRY_REFUSED)
                _log.error(
                    "the broker refuses a record: its key stands still",
                    event_id=str(row["event_id"]),
                    topic=row["topic"],
                    key=row["key"],
                    error=repr(error),
                )
            else:
                await self._mark_sent(connection, [(row, answer)])

    async def _answers(self, promises: "Sequence[Future[RecordMetadata]]") -> list[RecordMetadata | BaseException]:
        self._unanswered_since = time.monotonic()
        answers = await asyncio.gather(*promises, return_exceptions=True)
        self._unanswered_since = None
        return answers

    async def _mark_sent(self, connection: Connection, sent: Sequence[tuple[Row, RecordMetadata]]) -> None:
        if not sent:
            return
        await relay_rows.mark_sent(connection, sent)
        self._failures = 0
        for row, _ in sent:
            metrics.EVENTS_SENT.labels(row["type"]).inc()

    async def _prune(self, connection: Connection) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_S:
            return
        self._pruned_at = time.monotonic()
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
    """The rows to try alone. Raises the failure if none was refused: then it was the broker's or the network's.

    Beside a refused record others fail for other reasons, such as a hole in the producer's own numbers that the
    refused one left: those are simply sent again.
    """
    rows = [row for row, error in failed.values() if isinstance(error, _REFUSED)]
    if not rows:
        _, error = next(iter(failed.values()))
        # A promise that the producer cancelled must not end the relay's own task.
        raise error if isinstance(error, Exception) else KafkaError(repr(error))
    return sorted(rows, key=lambda row: row["position"])


async def _hand_over(producer: AIOKafkaProducer, row: Row) -> "Future[RecordMetadata]":
    spec = by_type(row["type"])
    if spec is None:
        raise PolicyViolationError(f"{row['type']} is not registered")
    try:
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
    except ValidationError as error:
        # No consumer could read it: a fault of this row, not of the broker.
        raise PolicyViolationError(describe(error)) from error
    return await producer.send(
        row["topic"],
        value=row["data"].encode(),
        key=row["key"].encode(),
        headers=envelope.headers(),
        timestamp_ms=int(row["time"].timestamp() * 1000),
    )


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Let go of a producer at once. Whatever it has not delivered is in the outbox and will be sent again.

    Its own ``stop`` waits for its records to be delivered, and without a broker an idempotent producer waits for
    ever; so its sending is ended first. There is no public way to do that.
    """
    if (sending := producer._sender.sender_task) is not None:  # pyright: ignore[reportPrivateUsage]
        sending.cancel()
    try:
        async with asyncio.timeout(_CLOSE_S):
            await producer.stop()
    except TimeoutError:
        await producer.client.close()
    finally:
        abandoned = KafkaError("abandoned: it will be sent again")
        producer._message_accumulator.fail_all(abandoned)  # pyright: ignore[reportPrivateUsage]
