# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The relay's work while it leads: reading rows, sending them in order, and marking what the broker has.

The next rows are read while these are made into records, on the one connection that holds the relay's lock: there
reading and marking take turns. With a connection each, one could be lost and the other go on: then a relay that has
lost its lock would still mark, beside the one that leads now. On one, losing the lock ends both.
"""

import asyncio
import time
from asyncio import Future
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
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

from shared.messaging.loops import Loop
from shared.messaging.offsets import Partition
from shared.messaging.pacing import Pace
from shared.messaging.relaying import relay_rows
from shared.messaging.relaying.outgoing_records import Lot, RecordMaker
from shared.messaging.relaying.relay_rows import Row
from shared.observability import metrics
from shared.persistence.pool import Connection

_log = structlog.get_logger("relay")

#: Rows read, sent and marked together, at most.
BATCH_ROWS = 1_000

#: Batches sent and not yet marked, while the next is read.
_DEPTH = 3

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
class Session:
    """What a leader holds: the connection with the lock, and what it knows of the cluster."""

    connection: Connection
    cluster_id: str = ""
    #: Whoever uses the connection has the turn.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Since when we wait for what the broker is to do, by the monotonic clock, for each thing we wait for.
    waits: list[float] = field(default_factory=list[float])

    @property
    def unanswered_since(self) -> float | None:
        """Since when we have waited for the broker, if we do."""
        return min(self.waits, default=None)

    async def meanwhile(self, work: Awaitable[T]) -> T:
        """Wait for the broker, which may take long, and keep the lease of the lock meanwhile."""
        task, since = asyncio.ensure_future(work), time.monotonic()
        self.waits.append(since)
        try:
            while not (await asyncio.wait({task}, timeout=relay_rows.RENEW_S))[0]:
                async with self.turn:
                    await relay_rows.renew(self.connection)
            return task.result()
        finally:
            self.waits.remove(since)
            task.cancel()


@dataclass(slots=True)
class _Sending:
    """Rows on their way: lots handed to the producer, and its promises."""

    stretches: list[relay_rows.Stretch]
    lots: list[Lot] = field(default_factory=list[Lot])
    promises: "list[Future[RecordMetadata]]" = field(default_factory=list[Any])


class Pump:
    """Sends the rows of one session's database."""

    def __init__(
        self,
        session: Session,
        *,
        maker: RecordMaker,
        wake: asyncio.Event,
        loop: Loop,
        rest: Callable[[], Awaitable[object]],
    ) -> None:
        """``rest`` is awaited when there is nothing to send; ``wake`` is cleared before it is looked again."""
        self._session = session
        self._maker = maker
        self._wake = wake
        self._loop = loop
        self._rest = rest
        self._pace = Pace(BATCH_ROWS)

    async def run(self, producer: AIOKafkaProducer) -> list[Lot]:
        """Send in order until stopped and drained; returns the first lot of each partition that was refused."""
        pending: deque[_Sending] = deque()
        failed: dict[Partition, tuple[Lot, BaseException]] = {}
        ahead: asyncio.Task[list[Row]] | None = None
        # True if there may be rows that no look has found yet.
        more = True
        try:
            while True:
                rows: list[Row] = []
                more = more or self._wake.is_set() or self._loop.stopping.is_set()
                if ahead is not None or (more and not failed):
                    await self._pace.wait()
                    rows = await (ahead or self._read(pending))
                    ahead, more = None, len(rows) == BATCH_ROWS
                if failed:
                    # Nothing more is sent: what follows a lot that failed, in its partition, must not overtake it.
                    rows = []
                if rows:
                    self._pace.began(len(rows))
                    pending.append(_Sending(relay_rows.stretches(rows)))
                    if len(rows) == BATCH_ROWS:
                        # There is more: the database reads it while these rows are made into records.
                        ahead = asyncio.create_task(self._read(pending))
                    if await self._send(producer, rows, pending[-1]) and ahead is not None:
                        # A key was stopped, and what was read ahead may hold more of it.
                        await ahead
                        ahead = None
                if pending and (not rows or len(pending) >= _DEPTH):
                    await self._settle(pending[0], failed)
                    pending.popleft()
                elif not rows:
                    if failed:
                        return _refused(failed)
                    self._loop.works()
                    if self._loop.stopping.is_set():
                        return []
                    await self._rest()
                    more = True
        finally:
            if ahead is not None:
                ahead.cancel()
            for sending in pending:
                for promise in sending.promises:
                    promise.cancel()

    async def _read(self, pending: Iterable[_Sending]) -> list[Row]:
        in_flight = [stretch for sending in pending for stretch in sending.stretches]
        async with self._session.turn:
            self._wake.clear()
            return await relay_rows.next_rows(self._session.connection, in_flight, BATCH_ROWS)

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[Row], sending: _Sending) -> bool:
        """Hand rows to the producer, in order, but nothing that follows a row of its key that is no event.

        Returns True if there was such a row: its key was stopped.
        """
        lots, unfit = await self._lots(producer, rows)
        for round_ in _rounds(lots):
            for lot, promise in zip(round_, await self._hand_over(producer, round_), strict=True):
                sending.lots.append(lot)
                sending.promises.append(promise)
        for row, error in unfit:
            await self._stop_key(row, error)
        return bool(unfit)

    async def _lots(
        self, producer: AIOKafkaProducer, rows: Sequence[Row]
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
                partitions[topic] = len(await self._session.meanwhile(producer.partitions_for(topic)))
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

    async def _hand_over(self, producer: AIOKafkaProducer, lots: Sequence[Lot]) -> "list[Future[RecordMetadata]]":
        """Hand over lots of different partitions at once, so that they go to the broker in one request."""
        handing_over = (producer.send_batch(lot.builder, lot.partition[0], partition=lot.partition[1]) for lot in lots)
        return await self._session.meanwhile(asyncio.gather(*handing_over))

    async def _settle(self, sending: _Sending, failed: dict[Partition, tuple[Lot, BaseException]]) -> None:
        """Wait for the broker's answers and mark what it has, but nothing that follows a failed lot."""
        answers = await self._answers(sending.promises)
        sent: list[tuple[Lot, RecordMetadata]] = []
        for lot, answer in zip(sending.lots, answers, strict=True):
            if lot.partition in failed:
                continue
            if isinstance(answer, BaseException):
                failed[lot.partition] = (lot, answer)
            else:
                sent.append((lot, answer))
        await self._mark_sent(sent)

    async def send_alone(self, producer: AIOKafkaProducer, lot: Lot) -> None:
        """Send the rows of a refused lot one by one, up to the guilty one, whose key is stopped.

        What follows it would find a hole in the producer's numbers: it is left to the next producer.
        """
        for row in lot.rows:
            lots, _ = await self._lots(producer, [row])
            (answer,) = await self._answers(await self._hand_over(producer, lots))
            if isinstance(answer, _REFUSED):
                await self._stop_key(row, answer)
                return
            if isinstance(answer, BaseException):
                raise answer
            await self._mark_sent([(lots[0], answer)])

    async def _stop_key(self, row: Row, error: BaseException) -> None:
        async with self._session.turn:
            await relay_rows.stop_key(self._session.connection, row, error, _RETRY_REFUSED)
        _log.error(
            "the broker refuses a record: its key stands still",
            event_id=row["event_id"].decode(),
            topic=row["topic"],
            key=row["key"],
            error=repr(error),
        )

    async def _answers(self, promises: "Sequence[Future[RecordMetadata]]") -> list[RecordMetadata | BaseException]:
        return await self._session.meanwhile(asyncio.gather(*promises, return_exceptions=True))

    async def _mark_sent(self, sent: Sequence[tuple[Lot, RecordMetadata]]) -> None:
        if not sent:
            return
        rows = [row for lot, _ in sent for row in lot.rows]
        # Of a batch that it had already, from before it lost our connection, a broker may not know the offset.
        acknowledged = {lot.partition: answer.offset + len(lot.rows) for lot, answer in sent if answer.offset >= 0}
        async with self._session.turn:
            await relay_rows.mark_sent(self._session.connection, rows, self._session.cluster_id, acknowledged)
        self._loop.works()
        for event_type, count in Counter(row["type"] for row in rows).items():
            metrics.EVENTS_SENT.labels(event_type).inc(count)


def _rounds(lots: Sequence[Lot]) -> list[list[Lot]]:
    """Lots in rounds, the first of each partition, then the second, and so on: none overtakes one of its partition."""
    rounds: list[list[Lot]] = []
    handed_over: Counter[Partition] = Counter()
    for lot in lots:
        number = handed_over[lot.partition]
        handed_over[lot.partition] += 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(lot)
    return rounds


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
