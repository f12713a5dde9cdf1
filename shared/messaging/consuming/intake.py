"""The intake: hands records to the inbox until all are applied or set aside, whatever one of them does.

An event that cannot be applied parks its stream, and the rest of the batch goes on without it. Records during which
the process has ended twice are taken one by one, each attempt counted before it is made.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import structlog

from shared.messaging.consuming import attempts, reporting
from shared.messaging.consuming.failing import failure, is_no_events_fault, stream_of
from shared.messaging.consuming.inbox import PORTION, Applied, Failure, Inbox, OffsetsWentBack
from shared.messaging.consuming.parking import RetryPolicy
from shared.messaging.consuming.placing import Placing
from shared.messaging.consuming.reactions import ReactionFailed
from shared.messaging.loops import Loop
from shared.messaging.offsets import Partition
from shared.messaging.records import Event, Record, Stream, decode
from shared.observability import metrics
from shared.persistence.pool import Pool

_log = structlog.get_logger("consumer")


@dataclass(slots=True)
class _Trial:
    """How the next records are tried."""

    #: How many at once.
    size: int
    #: How many held events with them.
    portion: int = PORTION
    failures: dict[Stream, Failure] = field(default_factory=dict[Stream, Failure])
    #: Failures in a row that were no event's fault.
    waits: int = 0


class Intake:
    """Takes records in, in order."""

    def __init__(
        self,
        *,
        pool: Pool,
        inbox: Inbox,
        placing: Placing,
        loop: Loop,
        policy: RetryPolicy,
        batch_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._inbox = inbox
        self._placing = placing
        self._loop = loop
        self._policy = policy
        self._batch_size = batch_size
        self._clock = clock
        #: Partitions whose last holder ended without letting go, perhaps because of the records that come first now,
        #: and how many of these it may have had in hand.
        self._suspected: dict[Partition, int] = {}
        #: Of partitions in which that has happened twice: the last offset that is to be taken alone.
        self._alone_up_to: dict[Partition, int] = {}
        #: What stands in the way of everything, in words.
        self.blocked_by: str | None = None

    def be_careful(self, partitions: Collection[Partition]) -> None:
        """A process ended while it held these: if it does so again, what it was applying is taken one by one."""
        self._suspected |= dict.fromkeys(partitions, self._batch_size)

    async def take_in(
        self,
        records: Sequence[Record],
        ours: Callable[[], set[Partition]],
        advanced: Callable[[Mapping[Partition, int]], None],
    ) -> None:
        """Apply records or set them aside, unless their partitions go to another member meanwhile, or we stop.

        ``ours`` tells which partitions we hold; ``advanced`` hears of what was committed. Raises OffsetsWentBack.
        """
        suspects = await self._suspects(records) if self._suspected else []
        rest = await self._take_those_alone(records, ours, advanced) if self._alone_up_to else records
        await self._take(rest, _Trial(len(rest)), ours, advanced, attempted=suspects)

    async def _take_those_alone(
        self,
        records: Sequence[Record],
        ours: Callable[[], set[Partition]],
        advanced: Callable[[Mapping[Partition, int]], None],
    ) -> list[Record]:
        """Take one by one what is to be taken alone; returns the rest."""
        rest: list[Record] = []
        for record in records:
            partition = (record.topic, record.partition)
            if record.offset <= self._alone_up_to.get(partition, -1):
                await self._take_alone(record, ours, advanced)
            else:
                self._alone_up_to.pop(partition, None)
                rest.append(record)
        return rest

    async def _suspects(self, records: Sequence[Record]) -> list[Record]:
        """Of suspected partitions the first record of a portion that is noted before it is tried.

        Where one was noted before, the process has ended twice there: its records are taken alone from now on.
        """
        firsts: dict[Partition, Record] = {}
        ends: dict[Partition, int] = {}
        for record in records:
            partition = (record.topic, record.partition)
            if partition in self._suspected:
                firsts.setdefault(partition, record)
                ends[partition] = record.offset
        # The holder's last batch may have held more of a partition than this one does.
        left = Counter({partition: self._suspected[partition] for partition in firsts})
        left.subtract((record.topic, record.partition) for record in records)
        if not firsts:
            return []
        async with self._pool.acquire() as connection:
            again = await attempts.unfinished(connection, list(firsts.values()))
            noted = [first for partition, first in firsts.items() if partition not in again]
            await attempts.begin_portions(connection, noted, ends)
        self._alone_up_to |= again
        for partition in firsts:
            if left[partition] > 0:
                self._suspected[partition] = left[partition]
            else:
                del self._suspected[partition]
        return noted

    def unblock(self) -> None:
        """Nothing stands in the way any more, or it is no longer ours."""
        if self.blocked_by is not None:
            _log.info("consumer goes on", blocked_by=self.blocked_by)
        self.blocked_by = None
        metrics.CONSUMER_STOPPED.set(0)

    async def _take_alone(
        self,
        record: Record,
        ours: Callable[[], set[Partition]],
        advanced: Callable[[Mapping[Partition, int]], None],
    ) -> None:
        async with self._pool.acquire() as connection:
            count = await attempts.count(connection, record)
        trial, open_value = _Trial(1, portion=0), True
        if count > attempts.LIMIT:
            _log.error(
                "the process ended each time this record was applied: it is set aside",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
            )
            open_value = False
            if isinstance(event := decode(record, open_value=False), Event):
                error = ProcessEnded(f"the process ended {attempts.LIMIT} times while this event was applied")
                known = failure(event.envelope.sequence, error, attempts.LIMIT, self._policy, self._clock())
                trial.failures[event.stream] = known
        await self._take([record], trial, ours, advanced, open_values=open_value, attempted=[record])

    async def _take(
        self,
        records: Sequence[Record],
        trial: _Trial,
        ours: Callable[[], set[Partition]],
        advanced: Callable[[Mapping[Partition, int]], None],
        *,
        open_values: bool = True,
        attempted: Sequence[Record] = (),
    ) -> None:
        remaining = list(records)
        while remaining and not self._loop.stopping.is_set():
            held_by_us = ours()
            remaining = [r for r in remaining if (r.topic, r.partition) in held_by_us]
            batch = remaining[: trial.size]
            if not batch:
                break
            try:
                applied = await self._apply(batch, trial, open_values=open_values, attempted=attempted)
            except OffsetsWentBack:
                raise
            except Exception as error:
                await self._adapt(trial, batch, error)
                continue
            self.unblock()
            remaining = remaining[len(batch) :]
            # Smaller batches were tried to find an event; from now on they grow again.
            trial = _Trial(max(trial.size * 2, 1))
            advanced(applied.next_offsets)
        if not remaining or not self._loop.stopping.is_set():
            self.unblock()

    async def _apply(
        self, batch: Sequence[Record], trial: _Trial, *, open_values: bool, attempted: Sequence[Record]
    ) -> Applied:
        placing = self._placing
        expected = {partition: placing.expected[partition] for partition in {(r.topic, r.partition) for r in batch}}
        started = time.perf_counter()
        applied = await self._inbox.apply(
            batch,
            self._clock(),
            expected,
            placing.truncated,
            failures=trial.failures,
            portion=trial.portion,
            open_values=open_values,
            attempted=attempted,
        )
        metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
        metrics.BATCH_SIZE.observe(len(batch))
        placing.expected.update(applied.next_offsets)
        reporting.report(applied, self._clock())
        return applied

    async def _adapt(self, trial: _Trial, batch: Sequence[Record], error: Exception) -> None:
        """Decide how to try again: without the event that failed, with fewer, or just later."""
        if is_no_events_fault(error):
            await self._wait(trial, batch, error)
            return
        metrics.BATCH_FAILURES.labels("event").inc()
        trial.waits = 0
        if isinstance(error, ReactionFailed):
            stream, sequence = stream_of(error.envelope), error.envelope.sequence
            trial.failures[stream] = failure(sequence, error, 1, self._policy, self._clock())
            # What comes before it is applied now, with it set aside; what follows then knows its stream as parked.
            at = next((n for n, r in enumerate(batch) if _is(r, stream, sequence)), len(batch) - 1)
            trial.size = at + 1
        elif len(batch) > 1:
            # It does not say which event it was: the smaller the batch, the fewer are suspected.
            trial.size = len(batch) // 2
        elif trial.portion:
            # One record, and what was held behind it: that is applied later, by itself.
            trial.portion = 0
        elif isinstance(event := decode(batch[0]), Event) and event.stream not in trial.failures:
            trial.failures[event.stream] = failure(event.envelope.sequence, error, 1, self._policy, self._clock())
        else:
            trial.waits += 1
            self._block(f"the record at {batch[0].topic}/{batch[0].partition}@{batch[0].offset}", error)
            await self._loop.pause(trial.waits)

    async def _wait(self, trial: _Trial, batch: Sequence[Record], error: Exception) -> None:
        trial.waits += 1
        metrics.BATCH_FAILURES.labels("passing").inc()
        if isinstance(error, asyncpg.SyntaxOrAccessError):
            self._block("a statement that the database refuses", error)
        else:
            _log.warning("batch rolled back; repeating it", records=len(batch), error=repr(error))
        if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
            # Too much for one statement's time, perhaps: a batch that never fits must not stay.
            if len(batch) == 1:
                trial.portion //= 2
            trial.size = max(len(batch) // 2, 1)
        await self._loop.pause(trial.waits)

    def _block(self, what: str, error: Exception) -> None:
        metrics.CONSUMER_STOPPED.set(1)
        if self.blocked_by != what:
            _log.error("consumer stopped: it tries again with backoff", blocked_by=what, exc_info=error)
        self.blocked_by = what


class ProcessEnded(RuntimeError):
    """A record was being applied when the process ended, again and again."""


def _is(record: Record, stream: Stream, sequence: int) -> bool:
    decoded = decode(record, open_value=False)
    return isinstance(decoded, Event) and decoded.stream == stream and decoded.envelope.sequence == sequence
