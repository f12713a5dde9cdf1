"""Parked streams whose time has come are tried again: their head, and then all that waits behind it, in order."""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

import structlog

from shared.messaging.consuming import parking, reporting
from shared.messaging.consuming.failing import failure, is_no_events_fault
from shared.messaging.consuming.inbox import PORTION, Applied, Failure, Inbox
from shared.messaging.consuming.parking import ParkedStream, RetryPolicy
from shared.messaging.consuming.reactions import ReactionFailed
from shared.messaging.offsets import Partition
from shared.messaging.ordering import Reason
from shared.messaging.records import Stream
from shared.observability import metrics
from shared.persistence.pool import Pool

_log = structlog.get_logger("consumer")

#: How often streams that are due are looked for, in seconds.
LOOK_S = 0.5

#: How long retries may keep new records waiting, in seconds.
_TURN_S = 0.25

_AT_ONCE = 20

_ENDED = "the process ended each time this event was applied"


class Retries:
    """Tries parked streams again."""

    def __init__(
        self, *, pool: Pool, inbox: Inbox, policy: RetryPolicy, batch_size: int, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._inbox = inbox
        self._policy = policy
        self._batch_size = batch_size
        self._clock = clock
        self._looked_at = 0.0
        #: Events to be tried one by one, of each stream that may have been tried when its partition's holder ended.
        self._with_care: dict[Stream, int] = {}
        #: Streams whose last attempt failed through no fault of theirs, and so does not count.
        self._uncounted: set[Stream] = set()

    async def be_careful(self, partitions: Collection[Partition]) -> None:
        """A process ended while it held these: what it may have been trying is tried one by one."""
        if partitions:
            async with self._pool.acquire() as connection:
                streams = await parking.in_trial(connection, partitions)
            self._with_care |= dict.fromkeys(streams, self._batch_size)

    async def take_turn(self, partitions: Collection[Partition]) -> bool:
        """Try streams of these partitions that are due, for a moment; returns True if more may be due right away."""
        started = time.monotonic()
        if not partitions or started - self._looked_at < LOOK_S:
            return False
        try:
            async with self._pool.acquire() as connection:
                due = await parking.due(connection, partitions, self._clock(), _AT_ONCE)
            for parked in due:
                if time.monotonic() - started > _TURN_S:
                    break
                await self._try(parked)
        except Exception as error:
            if is_no_events_fault(error):
                _log.warning("parked streams are tried later", error=repr(error))
            else:
                _log.exception("a parked stream can neither be applied nor set aside")
            due = []
        if due:
            # What could be applied may have left a backlog, which is due at once.
            return True
        self._looked_at = started
        return False

    async def _try(self, parked: ParkedStream) -> None:
        stream, now = parked.stream, self._clock()
        again = stream in self._uncounted
        if parked.attempts >= self._policy.attempts and not again:
            # Its last attempt was counted and never answered: the process ended. Its value is not looked at again.
            dead = Failure(parked.sequence, parked.error or _ENDED, parked.attempts, None)
            self._report(await self._inbox.go_on(parked, now, portion=1, failure=dead, open_values=False))
            return
        tried = parked.attempts + (0 if again else 1)
        retry_at = now + self._policy.pause(max(tried, 1))
        async with self._pool.acquire() as connection:
            if not await parking.count_attempt(connection, parked, tried, retry_at):
                return
        self._uncounted.discard(stream)
        try:
            applied = await self._apply(replace(parked, attempts=tried))
        except Exception as error:
            if is_no_events_fault(error):
                self._uncounted.add(stream)
            raise
        if (left := self._with_care.pop(stream, 0)) > 1:
            self._with_care[stream] = left - 1
        self._report(applied)

    def _report(self, applied: Applied | None) -> None:
        if applied is None:
            return
        stands = any(parked.reason != Reason.BACKLOG for parked in applied.parked)
        metrics.RETRIES.labels("failed" if stands else "applied").inc()
        reporting.report(applied, self._clock())

    async def _apply(self, parked: ParkedStream) -> Applied | None:
        """Apply what waits; what cannot be is set aside again, and what lies before it is applied."""
        # After a failure the head goes first, alone: it is known best what happens to it then.
        alone = parked.stream in self._with_care or parked.attempts > 1
        portion, known = 1 if alone else PORTION, None
        while True:
            now = self._clock()
            try:
                return await self._inbox.go_on(parked, now, portion=portion, failure=known)
            except Exception as error:
                if is_no_events_fault(error) or (known is not None and known.sequence == parked.sequence):
                    raise
                if isinstance(error, ReactionFailed):
                    sequence = error.envelope.sequence
                elif portion > 1:
                    # It does not say which event it was: the fewer are tried, the fewer are suspected.
                    portion //= 2
                    continue
                else:
                    sequence = parked.sequence
                tried = parked.attempts if sequence == parked.sequence else 1
                known = failure(sequence, error, tried, self._policy, now)
