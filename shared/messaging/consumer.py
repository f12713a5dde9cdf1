# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The consumer: takes records from Kafka in batches and hands each batch to the inbox until it is applied.

The database says where to read on, not Kafka: offsets are committed to Kafka only for the eyes of lag monitors.
An event that cannot be applied stops the consumer, with backoff, until it can be; nothing is skipped.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka.subscriber.usecase import LogicSubscriber

from shared.messaging import offsets
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
        #: Assigned partitions that still have to be put at the offset the database says.
        self._unplaced: set[TopicPartition] = set()
        #: Next offset the database had for each partition we hold.
        self._expected: dict[Partition, int] = {}
        self._truncated: set[Partition] = set()
        self._placed_once = False
        self._last_poll = time.monotonic()
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
        return None

    # Rebalance --------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride] the client awaits it
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Called by the client library before partitions go to another member."""
        for partition in revoked:
            self._unplaced.discard(partition)
            self._expected.pop((partition.topic, partition.partition), None)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride] the client awaits it
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """Called by the client library after a rebalance. Placing waits for the loop, where failures are handled."""
        self._unplaced = set(assigned)
        self._placed_once = self._placed_once or not self._unplaced

    # Life -------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take no new work; the batch in hand is finished."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until stopped. A lost broker or database is waited for, without end."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._session()
                failures = 0
            except Exception as error:
                if not (is_passing(error) or isinstance(error, KafkaError | OffsetsWentBack)):
                    _log.exception("consumer failed; starting it anew")
                else:
                    _log.warning("consumer lost its broker or database", error=repr(error))
                self._trouble = f"reconnecting after {type(error).__name__}"
                failures += 1
                await self._pause(failures)

    async def _session(self) -> None:
        if not self._topics:
            self._trouble, self._placed_once = None, True
            await self._stopping.wait()
            return
        cluster = await cluster_id(self._kafka)
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
        try:
            await broker.start()
            consumer = _client(subscriber)
            self._trouble = None
            while not self._stopping.is_set():
                await self._poll(consumer, cluster)
        finally:
            await broker.stop()

    async def _poll(self, consumer: AIOKafkaConsumer, cluster: str) -> None:
        if self._unplaced:
            await self._place(consumer, cluster)
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._batch_size)
        self._last_poll = time.monotonic()
        # A rebalance may have come while we waited: what was fetched before placing is read again after it.
        records = [Record.of(raw) for tp, raws in fetched.items() if tp not in self._unplaced for raw in raws]
        if records:
            await self._take_in(consumer, records)
        self._observe_lag(consumer)

    async def _place(self, consumer: AIOKafkaConsumer, cluster: str) -> None:
        wanted = set(self._unplaced)
        beginnings = await consumer.beginning_offsets(wanted)
        ends = await consumer.end_offsets(wanted)
        async with self._pool.acquire() as connection:
            placed = await offsets.place(
                connection, cluster, {(tp.topic, tp.partition): end for tp, end in ends.items()}
            )
        for tp in wanted & consumer.assignment():
            partition = (tp.topic, tp.partition)
            consumer.seek(tp, max(placed[partition], beginnings[tp]))
            self._expected[partition] = placed[partition]
            if beginnings[tp] > 0:
                self._truncated.add(partition)
        self._unplaced -= wanted
        self._placed_once = True
        _log.info("partitions assigned", count=len(wanted), group=self._group)

    # Work -------------------------------------------------------------------------------------------------------

    async def _take_in(self, consumer: AIOKafkaConsumer, records: Sequence[Record]) -> None:
        """Apply records, repeating until it succeeds, unless the partitions have gone to another member."""
        attempt = 0
        one_by_one = False
        remaining = list(records)
        while remaining and not self._stopping.is_set():
            held_by_us = {(tp.topic, tp.partition) for tp in consumer.assignment() - self._unplaced}
            remaining = [r for r in remaining if (r.topic, r.partition) in held_by_us & self._expected.keys()]
            portion = remaining[:1] if one_by_one else remaining
            if not portion:
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
                elif len(portion) > 1:
                    # Alone, every record before the failing one goes through, and that one is known for certain.
                    one_by_one, attempt = True, 0
                    continue
                else:
                    self._block(portion[0], error)
                await self._pause(attempt)
                continue
            attempt = 0
            self._unblock()
            remaining = remaining[len(portion) :]
            await self._commit(consumer, applied)

    async def _apply(self, portion: Sequence[Record]) -> Applied:
        expected = {partition: self._expected[partition] for partition in {(r.topic, r.partition) for r in portion}}
        started = time.perf_counter()
        applied = await self._inbox.apply(portion, self._clock(), expected, self._truncated)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
        metrics.BATCH_SIZE.observe(len(portion))
        self._expected.update(applied.next_offsets)
        self._tell(applied)
        return applied

    def _tell(self, applied: Applied) -> None:
        for (event_type, result), count in applied.counts.items():
            metrics.EVENTS_CONSUMED.labels(event_type, result).inc(count)
        now = self._clock()
        for envelope in applied.applied:
            metrics.EVENT_AGE.labels(envelope.type).observe(max((now - envelope.time).total_seconds(), 0))
            _log.debug("event applied", event_id=str(envelope.id), type=envelope.type, trace=envelope.traceparent)
        for letter in applied.undeliverable:
            record = letter.record
            _log.error(
                "record sent to the dead letters",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                reason=letter.defect.value,
                error=letter.error,
            )
        for event in applied.held:
            _log.error(
                "event held: one before it is missing",
                event_id=str(event.envelope.id),
                topic=event.record.topic,
                source=event.envelope.source,
                key=event.envelope.key,
                sequence=event.envelope.sequence,
            )

    def _block(self, record: Record, error: Exception) -> None:
        metrics.BATCH_FAILURES.labels("event").inc()
        metrics.CONSUMER_STOPPED.set(1)
        event_id = error.event_id if isinstance(error, ReactionFailed) else _id_of(record)
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

    async def _commit(self, consumer: AIOKafkaConsumer, applied: Applied) -> None:
        committed = {TopicPartition(*partition): offset for partition, offset in applied.next_offsets.items()}
        try:
            await consumer.commit({tp: o for tp, o in committed.items() if tp in consumer.assignment()})
        except KafkaError as error:
            # The database has the truth; after a rebalance the group may refuse, and a repeat is dropped.
            _log.info("offsets not committed to Kafka", error=repr(error))

    async def _pause(self, attempt: int) -> None:
        ceiling = min(_BACKOFF_FIRST_S * 2**attempt, _BACKOFF_MAX_S)
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
            except ValueError:
                return None
    return None
