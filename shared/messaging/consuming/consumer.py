# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The consumer: takes records from Kafka in batches and hands each batch to the intake until all is taken in.

The database says where to read on, not Kafka: offsets are committed to Kafka only for the eyes of lag monitors.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import LogicSubscriber

from shared.messaging import raw_records
from shared.messaging.broker import KafkaSettings, new_broker
from shared.messaging.consuming.fetching import Fetching
from shared.messaging.consuming.inbox import Inbox, OffsetsWentBack
from shared.messaging.consuming.intake import Intake
from shared.messaging.consuming.parking import RetryPolicy
from shared.messaging.consuming.placing import Placing
from shared.messaging.consuming.reactions import AnyReactions
from shared.messaging.consuming.retries import Retries
from shared.messaging.loops import Loop
from shared.messaging.offsets import Partition
from shared.messaging.pacing import Pace
from shared.messaging.records import Record
from shared.observability import metrics
from shared.persistence.failures import is_passing
from shared.persistence.pool import Pool

_log = structlog.get_logger("consumer")

#: How long one poll waits for records, in milliseconds. It returns as soon as there are any.
_POLL_MS = 500

#: Bytes that one answer of the broker may hold, beyond which a backlog would only wait in memory. Of a partition it
#: holds an eighth of that, or one batch if that is larger.
_FETCH_BYTES = 2 * 1024 * 1024

#: A consumer that has not polled for this long, in seconds, is not ready.
POLL_AGE_LIMIT_S = 30.0

#: A consumer that has partitions to which the broker has not answered for this long, in seconds, is not ready.
ANSWER_AGE_LIMIT_S = 10.0

#: How long ``stop`` waits for the batch in hand, in seconds; what is cut off is taken in again at the next start.
FINISH_S = 2.5

#: Between two commits of offsets to Kafka, in seconds. Only lag monitors read them.
_COMMIT_EVERY_S = 1.0

#: How long leaving the group may take, in seconds; after that the others wait for the session to time out.
_LEAVE_S = 1.0

#: The same when the service goes on, in seconds.
_LEAVE_AT_LEISURE_S = 20.0

#: What the client library raises for a record that it cannot decode; it fails again whenever it meets that record.
_UNDECODABLE = (UnicodeDecodeError, CorruptRecordException, UnsupportedCodecError)

_LONGEST_PAUSE_S = 30.0


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
        policy: RetryPolicy | None = None,
        instance_id: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = [topic.value for topic in reactions.topics]
        self._batch_size = batch_size
        self._instance_id = instance_id
        self._loop = Loop(finish_s=FINISH_S, longest_pause_s=_LONGEST_PAUSE_S)
        self._pace = Pace(batch_size)
        self._placing = Placing(pool, kafka)
        inbox, policy = Inbox(pool, source, reactions), policy or RetryPolicy()
        self._retries = Retries(pool=pool, inbox=inbox, policy=policy, batch_size=batch_size, clock=clock)
        self._intake = Intake(
            pool=pool,
            inbox=inbox,
            placing=self._placing,
            loop=self._loop,
            policy=policy,
            batch_size=batch_size,
            clock=clock,
        )
        self._uncommitted: dict[Partition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        self._last_poll = self._last_answer = time.monotonic()
        self._oldest_answer_ms = 0
        self._trouble: str | None = "not started"

    # What readiness asks ----------------------------------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Why this consumer does not take events in, or None while it does."""
        if self._intake.blocked_by is not None:
            return f"stopped by {self._intake.blocked_by}; see the log"
        if self._trouble is not None:
            return self._trouble
        if not self._placing.placed_once or self._placing.unplaced:
            return "waiting for partitions to be assigned"
        if (age := time.monotonic() - self._last_poll) > POLL_AGE_LIMIT_S:
            return f"has not polled for {age:.0f} s"
        limit = max(ANSWER_AGE_LIMIT_S, 3 * self._kafka.fetch_max_wait_ms / 1000)
        if self._placing.expected and (age := time.monotonic() - self._last_answer) > limit:
            return f"the broker has not answered for {age:.0f} s"
        return None

    # Rebalance --------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride] the client awaits it
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Called by the client library before partitions go to another member."""
        await self._placing.revoked(revoked)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride] the client awaits it
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """Called by the client library after a rebalance. Placing waits for the loop, where failures are handled."""
        self._placing.assigned(assigned)

    # Life -------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take no new work; the batch in hand is finished, unless it takes longer than FINISH_S seconds."""
        self._loop.stop()

    async def run(self) -> None:
        """Consume until stopped. A lost broker or database is waited for, without end."""
        if not await self._loop.run(self._session, self._failed):
            _log.warning("stopped in the middle of a batch; it is taken in again at the next start")

    def _failed(self, error: Exception) -> None:
        if is_passing(error) or isinstance(error, KafkaError | OffsetsWentBack):
            _log.warning("consumer lost its broker or database", error=repr(error))
        else:
            _log.error("consumer failed; starting it anew", exc_info=error)
        self._trouble = f"reconnecting after {type(error).__name__}"

    async def _session(self) -> None:
        if not self._topics:
            self._trouble, self._placing.placed_once = None, True
            await self._loop.stopping.wait()
            return
        broker, fetching = new_broker(self._kafka), None
        subscriber = broker.subscriber(
            *self._topics,
            group_id=self._group,
            group_instance_id=self._instance_id,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            fetch_max_wait_ms=self._kafka.fetch_max_wait_ms,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_BYTES // 8,
            session_timeout_ms=self._kafka.session_timeout_ms,
            heartbeat_interval_ms=self._kafka.session_timeout_ms // 4,
            max_poll_interval_ms=10 * 60 * 1000,
            listener=self,
        )
        self._placing.begin()
        try:
            await broker.start()
            consumer = _client(subscriber)
            fetching = Fetching(consumer, self._batch_size)
            self._trouble = None
            more_is_due = False
            while not self._loop.stopping.is_set():
                await self._poll(consumer, fetching, 0 if more_is_due else _POLL_MS)
                more_is_due = await self._retries.take_turn(self._placing.ours(consumer))
                await self._placing.look_back(consumer)
                self._loop.works()
            await self._placing.let_go()
        finally:
            self._intake.unblock()
            if fetching is not None:
                await fetching.end()
            await self._leave(broker)

    async def _leave(self, broker: KafkaBroker) -> None:
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=_LEAVE_S)
            self._committing.cancel()
        self._uncommitted.clear()
        try:
            # Only when the service ends is there a hurry; otherwise a member left half-way would haunt the group. But
            # the client can miss that it cancelled a task of its own, and then it waits for that task for ever.
            async with asyncio.timeout(_LEAVE_S if self._loop.stopping.is_set() else _LEAVE_AT_LEISURE_S):
                await broker.stop()
        except TimeoutError:
            _log.warning("left without the broker's answer")

    # Work -------------------------------------------------------------------------------------------------------

    async def _poll(self, consumer: AIOKafkaConsumer, fetching: Fetching, timeout_ms: int) -> None:
        if self._placing.unplaced:
            await fetching.forget(lambda: self._placing.unplaced)
            await self._place(consumer)
        await self._pace.wait()
        try:
            fetched = await fetching.next(timeout_ms)
        except _UNDECODABLE as error:
            await self._read_raw(consumer, error)
            return
        self._last_poll = time.monotonic()
        self._note_answers(consumer, bool(fetched))
        records: list[Record] = []
        for tp, read in fetched.items():
            records += self._placing.admit(tp, read)
        if records:
            self._pace.began(len(records))
            fetching.look_ahead(fetched)
            await self._take_in(consumer, records)
        self._observe_lag(consumer)

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        count = len(self._placing.unplaced)
        left = await self._placing.place(consumer)
        self._intake.be_careful(left)
        await self._retries.be_careful(left)
        self._last_answer = time.monotonic()
        _log.info("partitions assigned", count=count, with_care=len(left), group=self._group)

    async def _read_raw(self, consumer: AIOKafkaConsumer, error: Exception) -> None:
        """Get past a record that the client library cannot decode, by decoding what lies there ourselves."""
        # Not its text: it repeats the bytes that it stumbled over.
        _log.error("the client cannot decode what it fetched; reading it raw", error=type(error).__name__)
        placed = consumer.assignment() - self._placing.unplaced
        read_up_to = {tp: offset for tp in placed if (offset := self._placing.next_read.get(tp)) is not None}
        ends = await consumer.end_offsets(list(read_up_to))
        # Only where something lies: a broker would wait for something to come to an idle partition.
        places = {(tp.topic, tp.partition): offset for tp, offset in read_up_to.items() if offset < ends[tp]}
        found = await raw_records.read_all(self._kafka, places) if places else {}
        records: list[Record] = []
        for partition, read in found.items():
            records += self._placing.admit(TopicPartition(*partition), read[: self._batch_size])
        # The client threw away what it had fetched beside that record: it reads on where we are.
        self._placing.read_on(consumer)
        for start in range(0, len(records), self._batch_size):
            await self._take_in(consumer, records[start : start + self._batch_size])
        self._last_poll = time.monotonic()

    async def _take_in(self, consumer: AIOKafkaConsumer, records: Sequence[Record]) -> None:
        def advanced(next_offsets: Mapping[Partition, int]) -> None:
            self._commit(consumer, next_offsets)

        try:
            await self._intake.take_in(records, lambda: self._placing.ours(consumer), advanced)
        except OffsetsWentBack:
            self._placing.unplaced |= consumer.assignment()
            raise

    def _note_answers(self, consumer: AIOKafkaConsumer, fetched: bool) -> None:
        answers = [consumer.last_poll_timestamp(tp) or 0 for tp in consumer.assignment()]
        oldest = min(answers, default=0)
        # While records come in, the client asks for more only where it has none left; then they are the answer.
        if fetched or not answers or oldest != self._oldest_answer_ms:
            self._oldest_answer_ms = oldest
            self._last_answer = time.monotonic()

    def _commit(self, consumer: AIOKafkaConsumer, next_offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka how far we are, beside the work: the database has the truth, and nothing waits for this."""
        self._uncommitted.update(next_offsets)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(consumer), name="commit offsets")

    async def _commit_all(self, consumer: AIOKafkaConsumer) -> None:
        while self._uncommitted:
            newest = {TopicPartition(*partition): offset for partition, offset in self._uncommitted.items()}
            self._uncommitted.clear()
            ours = {tp: offset for tp, offset in newest.items() if tp in consumer.assignment()}
            if not ours:
                continue
            try:
                await consumer.commit(ours)
            except KafkaError as error:
                # After a rebalance the group may refuse; lag monitors see the next one.
                _log.info("offsets not committed to Kafka", error=repr(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._loop.stopping.wait(), _COMMIT_EVERY_S)

    def _observe_lag(self, consumer: AIOKafkaConsumer) -> None:
        lag = dict.fromkeys(self._topics, 0)
        for tp in consumer.assignment():
            end = consumer.highwater(tp)
            if end is not None and (tp.topic, tp.partition) in self._placing.expected:
                lag[tp.topic] += max(end - self._placing.expected[tp.topic, tp.partition], 0)
        for topic, records in lag.items():
            metrics.CONSUMER_LAG.labels(topic).set(records)


def _client(subscriber: LogicSubscriber[Any]) -> AIOKafkaConsumer:
    """The client library's consumer, which the framework builds, secures, starts and stops."""
    if subscriber.consumer is None:
        raise RuntimeError("the subscriber has no consumer although its broker was started")
    return subscriber.consumer
