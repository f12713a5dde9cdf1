"""A transaction that saves state, history and events together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from shared.contracts.fields import EventData
from shared.contracts.registry import by_model
from shared.messaging import outbox, wake
from shared.messaging.event_ids import derived
from shared.messaging.outbox import NewEvent
from shared.observability import tracing
from shared.persistence.pool import Connection, Pool
from shared.reference.office_day import office_day


class UnitOfWork:
    """One transaction: its connection, its instant, and the events it will save at its end."""

    def __init__(self, connection: Connection, source: str, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.source = source
        self._events: list[NewEvent] = []

    def emit(
        self,
        data: EventData,
        *,
        key: str,
        correlation_id: UUID,
        causation_id: UUID | None = None,
        repeat: int | None = None,
    ) -> UUID:
        """Add an event about the provider ``key``; returns the event's id. It is saved when the work ends.

        ``correlation_id`` is the concern that started the cycle, or the aggregate itself if none did;
        ``causation_id`` is the event that this one follows from, if there is one. A worker that would bring it about
        again by itself, were the database restored to the past, gives its number among such events of that cause as
        ``repeat``: then it gets the same id again.
        """
        spec = by_model(type(data))
        subject = str(getattr(data, spec.subject_field))
        event = NewEvent(
            id=uuid7()
            if causation_id is None or repeat is None
            else derived(causation_id, self.source, spec.type, subject, repeat),
            data=data,
            key=key,
            time=self.now,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=tracing.child_of(tracing.current()),
        )
        self._events.append(event)
        return event.id

    @property
    def emitted(self) -> bool:
        """True if there is an event among what it saves."""
        return bool(self._events)

    @property
    def today(self) -> date:
        """The day of the work, in England."""
        return office_day(self.now)

    async def flush(self) -> None:
        """Save the events. Called once, last, so that the counters are locked as briefly as can be."""
        await outbox.save(self.connection, self.source, self._events)


@asynccontextmanager
async def unit_of_work(pool: Pool, source: str, now: datetime) -> AsyncGenerator[UnitOfWork]:
    """Do a command's work in one transaction; all of it is saved, with its events, or nothing."""
    async with pool.acquire() as connection:
        async with connection.transaction():
            work = UnitOfWork(connection, source, now)
            yield work
            await work.flush()
        if work.emitted:
            wake.up(source)
