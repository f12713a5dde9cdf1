"""How a service reacts to events: it loads what a batch touches, decides one event after the other, saves all.

    reactions = Reactions(load=store.load_for, save=store.save)

    @reactions.on(ConcernRated)
    def concern_rated(work: Workspace, event: Received[ConcernRated], reacting: Reacting) -> None:
        ...

Handlers are plain functions on what was loaded: no I/O, so a batch costs one statement per table and a failing
event is known by name.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any
from uuid import UUID, uuid5

from shared.contracts.envelope import Envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import by_model
from shared.messaging import event_ids
from shared.messaging.consuming.handlers import Handlers, Received, W
from shared.messaging.outbox import NewEvent
from shared.observability import tracing
from shared.persistence.pool import Connection


@dataclass(slots=True)
class Reacting:
    """What a handler may use of its surroundings: the batch's instant, ids that a repeat gives again, events out."""

    now: datetime
    cause: Envelope
    #: CloudEvents source of what is emitted.
    source: str
    #: Events emitted so far, those of earlier causes of the same batch first.
    events: list[NewEvent] = field(default_factory=list[NewEvent])

    def new_id(self, purpose: str) -> UUID:
        """An id for something this event brings about: the same event and purpose give the same id."""
        return uuid5(self.cause.id, purpose)

    def emit(self, data: EventData, *, correlation_id: UUID | None = None) -> UUID:
        """Add an event about the same provider, caused by this one; returns its id, which a repeat gives again."""
        spec = by_model(type(data))
        subject = str(getattr(data, spec.subject_field))
        before = sum(1 for event in self._own_events() if (event.spec, event.subject) == (spec, subject))
        event = NewEvent(
            id=event_ids.derived(self.cause.id, self.source, spec.type, subject, before),
            data=data,
            key=self.cause.key,
            time=self.now,
            correlation_id=correlation_id or self.cause.correlationid,
            causation_id=self.cause.id,
            traceparent=tracing.child_of(self.cause.traceparent),
        )
        self.events.append(event)
        return event.id

    def _own_events(self) -> Iterator[NewEvent]:
        """What this cause brought about so far: the last events."""
        return takewhile(lambda event: event.causation_id == self.cause.id, reversed(self.events))


class Reactions(Handlers[W, Reacting]):
    """The events a service reacts to, and how it loads and saves what the reactions work on."""

    def __init__(
        self,
        *,
        load: Callable[[Connection, Sequence[Received[EventData]]], Awaitable[W]],
        save: Callable[[Connection, W], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._load = load
        self._save = save

    async def apply(
        self, connection: Connection, events: Sequence[tuple[Envelope, EventData]], now: datetime, source: str
    ) -> list[NewEvent]:
        """Apply events, in order, in the caller's transaction; returns the events they bring about.

        ``source`` is the CloudEvents source of what they emit.

        Raises ReactionFailed, which names the event, if a handler fails.
        """
        received = [Received(envelope, data) for envelope, data in events]
        work = await self._load(connection, received)
        emitted: list[NewEvent] = []
        for event in received:
            reacting = Reacting(now, event.envelope, source, emitted)
            try:
                self._handlers[type(event.data)](work, event, reacting)
            except Exception as error:
                raise ReactionFailed(event.envelope) from error
        await self._save(connection, work)
        return emitted


class ReactionFailed(Exception):
    """A handler could not apply an event. The cause is chained."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(f"event {envelope.id} of type {envelope.type} cannot be applied")
        self.envelope = envelope


AnyReactions = Reactions[Any]
