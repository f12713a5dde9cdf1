# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The relay: sends what the outbox holds, in order, and marks it sent once the broker has it.

One relay per service works at a time: it holds an advisory lock on a connection of its own, and reads and marks
through that same connection, so losing the lock and losing the ability to mark are one thing. What was sent and
not marked is sent again: positions drop the repeat.
"""

import asyncio
import time
from asyncio import Future
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

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

from shared.messaging import outbox, recovery, relay_rows, wake
from shared.messaging.broker import KafkaSettings, new_producer
from shared.messaging.log_reading import LogNotReadable
from shared.messaging.loops import Loop
from shared.messaging.offsets import Partition
from shared.messaging.outgoing_records import Lot, RecordMaker
from shared.messaging.relay_rows import Row
from shared.observability import metrics
from shared.persistence.failures import is_passing
from shared.persistence.pool import Connection, connect

_log = structlog.get_logger("relay")

#: Any number, but the same in every process: who holds it is the relay of this database.
_LOCK = 6_112_027

#: Rows read, sent and marked together, at most.
BATCH_ROWS = 1_000

#: Batches sent and not yet marked, while the next is read.
_DEPTH = 3

#: How often the relay looks by itself, in seconds; notifications only make it look sooner.
_POLL_S = 0.5

#: How often rows saved long ago are deleted, in seconds.
_PRUNE_S = 10.0

#: How long ``stop`` lets the relay go on sending what is saved, in seconds. The rest is sent at the next start.
FLUSH_S = 4.0

#: How long the broker may take to let a producer go, in seconds.
_CLOSE_S = 0.5

#: A relay whose records are not acknowledged for this long, in seconds, is not ready.
ACKNOWLEDGE_LIMIT_S = 10.0

#: Longest pause between two attempts to reach the broker or the database, in seconds.
_LONGEST_PAUSE_S = 12.8

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

T = TypeVar("T")


@dataclass(slots=True)
class _Sending:
    """Rows on their way: lots handed to the producer, and its promises."""

    stretches: list[relay_rows.Stretch]
    lots: list[Lot] = field(default_factory=list[Lot])
    promises: "list[Future[RecordMetadata]]" = field(default_factory=list[Any])


@dataclass(slots=True)
class _Session:
    """What a leader holds: the connection with the lock, and what it knows of the cluster."""

    connection: Connection
    cluster_id: str = ""
    #: Reading ahead and all else take turns on the connection.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Relay:
    """Sends one service's outbox to Kafka."""

    def __init__(self, *, dsn: str, kafka: KafkaSettings, name: str, source: str, retention: timedelta) -> None:
        """``source`` is the CloudEvents source of the service; ``retention`` how long saved rows are kept."""
        self._dsn = dsn
        self._kafka = kafka
        self._name = f"{name} relay"
        self._source = source
        self._retention = retention
        self._maker = RecordMaker()
        self._wake = asyncio.Event()
        self._loop = Loop(finish_s=FLUSH_S, longest_pause_s=_LONGEST_PAUSE_S)
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
        self._loop.stop()
        self._wake.set()

    async def run(self) -> None:
        """Send until stopped. A lost broker or database is waited for, without end."""
        with wake.listening(self._source, self._wake):
            if not await self._loop.run(self._session, self._failed):
                _log.warning("stopped with events unsent; they are sent at the next start")

    def _failed(self, error: Exception) -> None:
        if not (is_passing(error) or isinstance(error, KafkaError | LogNotReadable)):
            _log.exception("relay failed; starting it anew", exc_info=error)
        else:
            _log.warning("relay lost its broker or database", error=repr(error))
        self._trouble = f"reconnecting after {type(error).__name__}"
        metrics.RELAY_FAILURES.inc()

    async def _session(self) -> None:
        connection = await connect(self._dsn, name=self._name)
        try:
            await relay_rows.prepare(connection)
            if not await self._become_leader(connection):
                return
            await connection.add_listener(outbox.WAKE_CHANNEL, self._woken)
            session = _Session(connection)
            checked = await self._meanwhile(session, self._check())
            if checked.reason is not None:
                await self._wait_for_recovery(session, checked.reason)
                return
            session.cluster_id = checked.cluster_id
            while True:
                async with self._producing(session) as producer:
                    refused = await self._pump(session, producer)
                if not refused:
                    return
                async with self._producing(session) as producer:
                    for lot in refused:
                        await self._send_alone(session, producer, lot)
        finally:
            self._unanswered_since = None
            metrics.RELAY_LEADER.set(0)
            connection.terminate()

    async def _become_leader(self, connection: Connection) -> bool:
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            # Another process sends, so nothing is wrong here, unless none may.
            self._trouble = _fenced(await outbox.fence(connection))
            self._loop.works()
            if await self._nap():
                # Something was committed here; however often, the leader hears of it once.
                self._wake.clear()
                await connection.execute("select pg_notify($1, '')", outbox.WAKE_CHANNEL)
            if self._loop.stopping.is_set():
                return False
        _log.info("relay leads")
        return True

    async def _check(self) -> recovery.Checked:
        """Compare the database with what was published, on a connection beside the one that holds the lock."""
        connection = await connect(self._dsn, name=self._name)
        try:
            return await recovery.check(connection, self._kafka, self._source)
        finally:
            connection.terminate()

    async def _wait_for_recovery(self, session: _Session, reason: str) -> None:
        self._trouble = _fenced(reason)
        self._loop.works()
        while await outbox.fence(session.connection) is not None and not self._loop.stopping.is_set():
            self._wake.clear()
            await self._nap()

    @asynccontextmanager
    async def _producing(self, session: _Session) -> AsyncGenerator[AIOKafkaProducer]:
        producer = new_producer(self._kafka)
        try:
            await self._meanwhile(session, producer.start())
            self._trouble = None
            metrics.RELAY_LEADER.set(1)
            yield producer
        finally:
            await _abandon(producer)

    async def _meanwhile(self, session: _Session, work: Awaitable[T]) -> T:
        """Wait for something that may take long, and keep the lease of the lock meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=relay_rows.RENEW_S))[0]:
                async with session.turn:
                    await relay_rows.renew(session.connection)
            return task.result()
        finally:
            task.cancel()

    # The pump ---------------------------------------------------------------------------------------------------

    async def _pump(self, session: _Session, producer: AIOKafkaProducer) -> list[Lot]:
        """Send in order until stopped and drained; returns the first lot of each partition that was refused."""
        pending: deque[_Sending] = deque()
        failed: dict[Partition, tuple[Lot, BaseException]] = {}
        ahead: asyncio.Task[list[Row]] | None = None
        try:
            while True:
                # Once a lot has failed nothing more is sent: what follows it in its partition must not overtake it.
                rows = [] if failed else await (ahead or self._read(session, pending))
                ahead = None
                if rows:
                    pending.append(_Sending(relay_rows.stretches(rows)))
                    if len(rows) == BATCH_ROWS:
                        # There is more: the database reads it while these rows are made into records.
                        ahead = asyncio.create_task(self._read(session, pending))
                    if await self._send(session, producer, rows, pending[-1]) and ahead is not None:
                        # A key was stopped, and what was read ahead may hold more of it.
                        await ahead
                        ahead = None
                if pending and (not rows or len(pending) >= _DEPTH):
                    await self._settle(session, pending[0], failed)
                    pending.popleft()
                elif not rows:
                    if failed:
                        return _refused(failed)
                    self._loop.works()
                    if self._loop.stopping.is_set():
                        return []
                    await self._prune(session)
                    await self._nap()
        finally:
            if ahead is not None:
                ahead.cancel()
            for sending in pending:
                for promise in sending.promises:
                    promise.cancel()

    async def _read(self, session: _Session, pending: Iterable[_Sending]) -> list[Row]:
        in_flight = [stretch for sending in pending for stretch in sending.stretches]
        async with session.turn:
            self._wake.clear()
            return await relay_rows.next_rows(session.connection, in_flight, BATCH_ROWS)

    async def _send(
        self, session: _Session, producer: AIOKafkaProducer, rows: Sequence[Row], sending: _Sending
    ) -> bool:
        """Hand rows to the producer, in order, but nothing that follows a row of its key that is no event.

        Returns True if there was such a row: its key was stopped.
        """
        lots, unfit = await self._lots(session, producer, rows)
        for lot in lots:
            promise = await self._hand_over(session, producer, lot)
            sending.lots.append(lot)
            sending.promises.append(promise)
        for row, error in unfit:
            await self._stop_key(session, row, error)
        return bool(unfit)

    async def _lots(
        self, session: _Session, producer: AIOKafkaProducer, rows: Sequence[Row]
    ) -> tuple[list[Lot], list[tuple[Row, PolicyViolationError]]]:
        """Gather rows by partition; rows that are no events are given beside, one for each key."""
        lots: list[Lot] = []
        open_lots: dict[Partition, Lot] = {}
        unfit: dict[tuple[str, str], tuple[Row, PolicyViolationError]] = {}
        partitions: dict[str, int] = {}
        for row in rows:
            topic: str = row["topic"]
            if unfit and (topic, row["key"]) in unfit:
                continue
            try:
                headers = self._maker.headers(row)
            except PolicyViolationError as error:
                unfit[topic, row["key"]] = (row, error)
                continue
            if topic not in partitions:
                partitions[topic] = len(await self._meanwhile(session, producer.partitions_for(topic)))
            key: bytes = row["key_bytes"]
            partition = (topic, self._maker.place(key, partitions[topic]))
            lot = open_lots.get(partition)
            record: dict[str, Any] = {
                "timestamp": row["time_ms"],
                "key": key,
                "value": row["data"],
                "headers": headers,
            }
            if lot is None or lot.builder.append(**record) is None:
                lot = open_lots[partition] = Lot(partition, producer.create_batch())
                lots.append(lot)
                # A batch takes its first record whatever its size; if it is too large the broker says so.
                lot.builder.append(**record)
            lot.rows.append(row)
        return lots, list(unfit.values())

    async def _hand_over(self, session: _Session, producer: AIOKafkaProducer, lot: Lot) -> "Future[RecordMetadata]":
        topic, number = lot.partition
        return await self._meanwhile(session, producer.send_batch(lot.builder, topic, partition=number))

    async def _settle(
        self, session: _Session, sending: _Sending, failed: dict[Partition, tuple[Lot, BaseException]]
    ) -> None:
        """Wait for the broker's answers and mark what it has, but nothing that follows a failed lot."""
        answers = await self._answers(session, sending.promises)
        sent: list[tuple[Lot, RecordMetadata]] = []
        for lot, answer in zip(sending.lots, answers, strict=True):
            if lot.partition in failed:
                continue
            if isinstance(answer, BaseException):
                failed[lot.partition] = (lot, answer)
            else:
                sent.append((lot, answer))
        await self._mark_sent(session, sent)

    async def _send_alone(self, session: _Session, producer: AIOKafkaProducer, lot: Lot) -> None:
        """Send the rows of a refused lot one by one, so that the guilty ones are known."""
        stopped: set[str] = set()
        for row in lot.rows:
            if row["key"] in stopped:
                continue
            lots, _ = await self._lots(session, producer, [row])
            promise = await self._hand_over(session, producer, lots[0])
            (answer,) = await self._answers(session, [promise])
            if isinstance(answer, _REFUSED):
                stopped.add(row["key"])
                await self._stop_key(session, row, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                await self._mark_sent(session, [(lots[0], answer)])

    async def _stop_key(self, session: _Session, row: Row, error: BaseException) -> None:
        async with session.turn:
            await relay_rows.stop_key(session.connection, row, error, _RETRY_REFUSED)
        _log.error(
            "the broker refuses a record: its key stands still",
            event_id=row["event_id"].decode(),
            topic=row["topic"],
            key=row["key"],
            error=repr(error),
        )

    async def _answers(
        self, session: _Session, promises: "Sequence[Future[RecordMetadata]]"
    ) -> list[RecordMetadata | BaseException]:
        self._unanswered_since = time.monotonic()
        answers = await self._meanwhile(session, asyncio.gather(*promises, return_exceptions=True))
        self._unanswered_since = None
        return answers

    async def _mark_sent(self, session: _Session, sent: Sequence[tuple[Lot, RecordMetadata]]) -> None:
        if not sent:
            return
        rows = [row for lot, _ in sent for row in lot.rows]
        # Of a batch that it had already, from before it lost our connection, a broker may not know the offset.
        acknowledged = {lot.partition: answer.offset + len(lot.rows) for lot, answer in sent if answer.offset >= 0}
        async with session.turn:
            await relay_rows.mark_sent(session.connection, rows, session.cluster_id, acknowledged)
        self._loop.works()
        for event_type, count in Counter(row["type"] for row in rows).items():
            metrics.EVENTS_SENT.labels(event_type).inc(count)

    async def _prune(self, session: _Session) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_S:
            return
        self._pruned_at = time.monotonic()
        async with session.turn:
            now: datetime = await session.connection.fetchval("select now()")
            await outbox.prune(session.connection, now - self._retention)

    def _woken(self, *_: object) -> None:
        self._wake.set()

    async def _nap(self) -> bool:
        """Wait until woken, for _POLL_S seconds at most; returns whether it was."""
        try:
            await asyncio.wait_for(self._wake.wait(), _POLL_S)
        except TimeoutError:
            return False
        return True


def _fenced(reason: str | None) -> str | None:
    return None if reason is None else f"nothing is sent: {reason}; run `qc outbox recover`"


def _refused(failed: dict[Partition, tuple[Lot, BaseException]]) -> list[Lot]:
    """The lots to send row by row. Raises the failure if none was refused: then it was the broker's or the network's.

    Beside a refused lot others fail for other reasons, such as a hole in the producer's own numbers that the
    refused one left: those are simply sent again.
    """
    lots = [lot for lot, error in failed.values() if isinstance(error, _REFUSED)]
    if not lots:
        _, error = next(iter(failed.values()))
        # A promise that the producer cancelled must not end the relay's own task.
        raise error if isinstance(error, Exception) else KafkaError(repr(error))
    return lots


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
