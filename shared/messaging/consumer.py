# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The consumer: takes records from Kafka in batches and hands each batch to the inbox until it is applied.

The database says where to read on, not Kafka: offsets are committed to Kafka only for the eyes of lag monitors.
An event that cannot be applied stops the consumer, with backoff, until it can be; nothing is skipped.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import LogicSubscriber

from shared.messaging import offsets, raw_records, reporting
from shared.messaging.broker import KafkaSettings, cluster_id, new_broker
from shared.messaging.inbox import Applied, Inbox, OffsetsWentBack
from shared.messaging.offsets import Partition
from shared.messaging.reactions import AnyReactions, ReactionFailed
from shared.messaging.records import Record
from shared.observability import metrics
from shared.persistence.failures import is_passing
from shared.persistence.pool import Pool

_log = structlog.get_logger("consumer")

#: How long one poll waits for records, in milliseconds. It returns as soon as there are any.
_POLL_MS = 500

#: A consumer that has not polled for this long, in seconds, is not ready.
POLL_AGE_LIMIT_S = 30.0

#: A consumer that has partitions to which the broker has not answered for this long, in seconds, is not ready.
ANSWER_AGE_LIMIT_S = 10.0

#: How long ``stop`` waits for the batch in hand, in seconds; what is cut off is taken in again at the next start.
FINISH_S = 2.5

#: How long leaving the group may take, in seconds; after that the others wait for the session to time out.
_LEAVE_S = 1.0

#: What the client library raises for a record that it cannot decode; it fails again whenever it meets that record.
_UNDECODABLE = (UnicodeDecodeError, CorruptRecordException, UnsupportedCodecError)

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 30.0


class Consumer(ConsumerRebalanceListener):
    """Feeds one service's inbox from the topics of its reactions, as one member of its consumer group."""

    def __init__(
        self,
        *,
        pool: Pool,
        kafka: KafkaSettings,
        group: str,
        source: str,
        reactions: AnyReactions,
        batch_size: int,
        instance_id: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._kafka = kafka
        self._group = group
        self._topics = [topic.value for topic in reactions.topics]
        self._batch_size = batch_size
        self._instance_id = instance_id
        self._clock = clock
        self._inbox = Inbox(pool, source, reactions)
        self._stopping = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._failures = 0
        #: Assigned partitions that still have to be put at the offset the database says.
        self._unplaced: set[TopicPartition] = set()
        #: Counts rebalances: placing asks the broker and the database, and another one may come meanwhile.
        self._rebalances = 0
        #: Next offset the database had for each partition we hold.
        self._expected: dict[Partition, int] = {}
        #: Next offset the client reads of each partition; it goes back only if the log begins anew.
        self._next_read: dict[TopicPartition, int] = {}
        #: Partitions whose log was found to begin anew below what was read of it.
        self._begun_anew: set[TopicPartition] = set()
        self._truncated: set[Partition] = set()
        self._uncommitted: dict[Partition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        self._placed_once = False
        self._last_poll = self._last_answer = time.monotonic()
        self._oldest_answer_ms = 0
        #: What stands in the way: an event's id, or where the record lies if it has none.
        self._blocked_by: str | None = None
        self._trouble: str | None = "not started"

    # What readiness asks ----------------------------------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Why this consumer does not take events in, or None while it does."""
        if self._blocked_by is not None:
            return f"event {self._blocked_by} cannot be applied; see the log"
        if self._trouble is not None:
            return self._trouble
        if not self._placed_once or self._unplaced:
            return "waiting for partitions to be assigned"
        if (age := time.monotonic() - self._last_poll) > POLL_AGE_LIMIT_S:
            return f"has not polled for {age:.0f} s"
        limit = max(ANSWER_AGE_LIMIT_S, 3 * self._kafka.fetch_max_wait_ms / 1000)
        if self._expected and (age := time.monotonic() - self._last_answer) > limit:
            return f"the broker has not answered for {age:.0f} s"
        return None

    # Rebalance --------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride] the client awaits it
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Called by the client library before partitions go to another member."""
        self._rebalances += 1
        for partition in revoked:
            self._unplaced.discard(partition)
            self._expected.pop((partition.topic, partition.partition), None)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride] the client awaits it
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """Called by the client library after a rebalance. Placing waits for the loop, where failures are handled."""
        self._rebalances += 1
        self._unplaced = set(assigned)
        self._placed_once = self._placed_once or not self._unplaced

    # Life -------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take no new work; the batch in hand is finished, unless it takes longer than FINISH_S seconds."""
        self._stopping.set()
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + FINISH_S)

    async def run(self) -> None:
        """Consume until stopped. A lost broker or database is waited for, without end."""
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._run()
        except TimeoutError:
            _log.warning("stopped in the middle of a batch; it is taken in again at the next start")
        finally:
            self._limit = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._session()
            except Exception as error:
                if not (is_passing(error) or isinstance(error, KafkaError | OffsetsWentBack)):
                    _log.exception("consumer failed; starting it anew")
                else:
                    _log.warning("consumer lost its broker or database", error=repr(error))
                self._trouble = f"reconnecting after {type(error).__name__}"
                self._failures += 1
                await self._pause(self._failures)

    async def _session(self) -> None:
        if not self._topics:
            self._trouble, self._placed_once = None, True
            await self._stopping.wait()
            return
        broker = new_broker(self._kafka)
        subscriber = broker.subscriber(
            *self._topics,
            group_id=self._group,
            group_instance_id=self._instance_id,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            fetch_max_wait_ms=self._kafka.fetch_max_wait_ms,
            session_timeout_ms=self._kafka.session_timeout_ms,
            heartbeat_interval_ms=self._kafka.session_timeout_ms // 4,
            max_poll_interval_ms=10 * 60 * 1000,
            listener=self,
        )
        self._unplaced.clear()
        self._expected.clear()
        self._placed_once = False
        try:
            await broker.start()
            consumer = _client(subscriber)
            self._trouble = None
            while not self._stopping.is_set():
                await self._poll(consumer)
                self._failures = 0
        finally:
            self._unblock()
            await self._leave(broker)

    async def _leave(self, broker: KafkaBroker) -> None:
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=_LEAVE_S)
            self._committing.cancel()
        self._uncommitted.clear()
        try:
            # Only when the service ends is there a hurry; otherwise a member left half-way would haunt the group.
            async with asyncio.timeout(_LEAVE_S if self._stopping.is_set() else None):
                await broker.stop()
        except TimeoutError:
            _log.warning("left without the broker's answer")

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        if self._unplaced:
            await self._place(consumer)
        try:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._batch_size)
        except _UNDECODABLE as error:
            await self._read_raw(consumer, error)
            return
        self._last_poll = time.monotonic()
        self._note_answers(consumer, bool(fetched))
        for tp, raws in fetched.items():
            self._note_read(tp, raws[0].offset, raws[-1].offset)
        # A rebalance may have come while we waited: what was fetched before placing is read again after it.
        records = [Record.of(raw) for tp, raws in fetched.items() if tp not in self._unplaced for raw in raws]
        if records:
            await self._take_in(consumer, records)
        self._observe_lag(consumer)

    async def _read_raw(self, consumer: AIOKafkaConsumer, error: Exception) -> None:
        """Get past a record that the client library cannot decode, by decoding what lies there ourselves."""
        # Not its text: it repeats the bytes that it stumbled over.
        _log.error("the client cannot decode what it fetched; reading it raw", error=type(error).__name__)
        placed = consumer.assignment() - self._unplaced
        for tp in placed:
            if tp in self._next_read:
                records = await raw_records.read(self._kafka, tp.topic, tp.partition, self._next_read[tp])
                await self._take_in(consumer, records[: self._batch_size])
        # The client threw away what it had fetched beside that record: all is placed where the database says.
        self._unplaced |= placed & consumer.assignment()
        self._last_poll = time.monotonic()

    def _note_read(self, tp: TopicPartition, first: int, last: int) -> None:
        """Notice a log that begins anew: the broker lost its end or all of it, and the client went to its beginning.

        What it holds now was never read, although its offsets were: positions know what was applied already.
        """
        if tp in self._unplaced:
            return
        if first < self._next_read.get(tp, 0):
            _log.error("the log begins anew below what was read of it", topic=tp.topic, partition=tp.partition)
            self._begun_anew.add(tp)
            self._unplaced.add(tp)
        else:
            self._next_read[tp] = last + 1

    def _note_answers(self, consumer: AIOKafkaConsumer, fetched: bool) -> None:
        answers = [consumer.last_poll_timestamp(tp) or 0 for tp in consumer.assignment()]
        oldest = min(answers, default=0)
        # While records come in, the client asks for more only where it has none left; then they are the answer.
        if fetched or not answers or oldest != self._oldest_answer_ms:
            self._oldest_answer_ms = oldest
            self._last_answer = time.monotonic()

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        wanted, rebalances = set(self._unplaced), self._rebalances
        # Asked for every time: another cluster may answer at the same address while this process lives.
        cluster = await cluster_id(self._kafka)
        beginnings = await consumer.beginning_offsets(wanted)
        ends = await consumer.end_offsets(wanted)
        # A log that began anew is shorter than what was read of it, even if it has grown past that since.
        lengths = {(tp.topic, tp.partition): -1 if tp in self._begun_anew else end for tp, end in ends.items()}
        async with self._pool.acquire() as connection:
            placed = await offsets.place(connection, cluster, lengths)
        if rebalances != self._rebalances:
            # The client has put what it was assigned since where Kafka says: all of it is still to be placed.
            return
        for tp in wanted & consumer.assignment():
            partition = (tp.topic, tp.partition)
            self._next_read[tp] = max(placed[partition], beginnings[tp])
            consumer.seek(tp, self._next_read[tp])
            self._expected[partition] = placed[partition]
            if beginnings[tp] > 0:
                self._truncated.add(partition)
            else:
                self._truncated.discard(partition)
        self._begun_anew -= wanted
        self._unplaced -= wanted
        self._placed_once = True
        self._last_answer = time.monotonic()
        _log.info("partitions assigned", count=len(wanted), group=self._group)

    # Work -------------------------------------------------------------------------------------------------------

    async def _take_in(self, consumer: AIOKafkaConsumer, records: Sequence[Record]) -> None:
        """Apply records, repeating until it succeeds, unless the partitions have gone to another member."""
        attempt = 0
        portion_size = len(records)
        remaining = list(records)
        while remaining and not self._stopping.is_set():
            held_by_us = {(tp.topic, tp.partition) for tp in consumer.assignment() - self._unplaced}
            remaining = [r for r in remaining if (r.topic, r.partition) in held_by_us & self._expected.keys()]
            portion = remaining[:portion_size]
            if not portion:
                self._unblock()
                return
            try:
                applied = await self._apply(portion)
            except OffsetsWentBack:
                self._unplaced |= consumer.assignment()
                raise
            except Exception as error:
                attempt += 1
                if is_passing(error):
                    metrics.BATCH_FAILURES.labels("passing").inc()
                    _log.warning("batch rolled back; repeating it", records=len(portion), error=repr(error))
                    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
                        # Too much for one statement's time, perhaps: a batch that never fits must not stay.
                        portion_size = max(len(portion) // 2, 1)
                elif len(portion) > 1:
                    # Alone, every record before the failing one goes through, and that one is known for certain.
                    portion_size, attempt = 1, 0
                    continue
                else:
                    self._block(portion[0], error)
                await self._pause(attempt)
                continue
            attempt = 0
            self._unblock()
            remaining = remaining[len(portion) :]
            self._commit(consumer, applied.next_offsets)

    async def _apply(self, portion: Sequence[Record]) -> Applied:
        expected = {partition: self._expected[partition] for partition in {(r.topic, r.partition) for r in portion}}
        started = time.perf_counter()
        applied = await self._inbox.apply(portion, self._clock(), expected, self._truncated)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
        metrics.BATCH_SIZE.observe(len(portion))
        self._expected.update(applied.next_offsets)
        reporting.report(applied, self._clock())
        return applied

    def _block(self, record: Record, error: Exception) -> None:
        metrics.BATCH_FAILURES.labels("event").inc()
        metrics.CONSUMER_STOPPED.set(1)
        event_id = error.envelope.id if isinstance(error, ReactionFailed) else _id_of(record)
        self._blocked_by = str(event_id or f"at {record.topic}/{record.partition}@{record.offset}")
        _log.error(
            "consumer stopped: an event cannot be applied; it is tried again with backoff",
            event_id=self._blocked_by,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            exc_info=error,
        )

    def _unblock(self) -> None:
        if self._blocked_by is not None:
            _log.info("consumer goes on", event_id=self._blocked_by)
        self._blocked_by = None
        metrics.CONSUMER_STOPPED.set(0)

    def _commit(self, consumer: AIOKafkaConsumer, next_offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka how far we are, beside the work: the database has the truth, and nothing waits for this."""
        self._uncommitted.update(next_offsets)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(consumer), name="commit offsets")

    async def _commit_all(self, consumer: AIOKafkaConsumer) -> None:
        while self._uncommitted:
            newest = {TopicPartition(*partition): offset for partition, offset in self._uncommitted.items()}
            self._uncommitted.clear()
            assigned = consumer.assignment()
            try:
                await consumer.commit({tp: offset for tp, offset in newest.items() if tp in assigned})
            except KafkaError as error:
                # After a rebalance the group may refuse; lag monitors see the next one.
                _log.info("offsets not committed to Kafka", error=repr(error))

    async def _pause(self, attempt: int) -> None:
        ceiling = min(_BACKOFF_FIRST_S * 2 ** min(attempt, 10), _BACKOFF_MAX_S)
        try:
            await asyncio.wait_for(self._stopping.wait(), random.uniform(ceiling / 2, ceiling))
        except TimeoutError:
            return

    def _observe_lag(self, consumer: AIOKafkaConsumer) -> None:
        lag = dict.fromkeys(self._topics, 0)
        for tp in consumer.assignment():
            end = consumer.highwater(tp)
            if end is not None and (tp.topic, tp.partition) in self._expected:
                lag[tp.topic] += max(end - self._expected[tp.topic, tp.partition], 0)
        for topic, records in lag.items():
            metrics.CONSUMER_LAG.labels(topic).set(records)


def _client(subscriber: LogicSubscriber[Any]) -> AIOKafkaConsumer:
    """The client library's consumer, which the framework builds, secures, starts and stops."""
    if subscriber.consumer is None:
        raise RuntimeError("the subscriber has no consumer although its broker was started")
    return subscriber.consumer


def _id_of(record: Record) -> UUID | None:
    for name, value in record.headers:
        if name == "ce_id":
            try:
                return UUID(value.decode())
            except (ValueError, AttributeError):  # not an id, or a header without a value
                return None
    return None
