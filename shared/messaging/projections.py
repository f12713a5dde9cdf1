"""What a service knows from events alone, and how it is learnt again.

    projection = Projection(load=store.load_known, save=store.put_right)

    @projection.on(ConcernRated)
    def concern_rated(work: Known, event: Received[ConcernRated], at: datetime) -> None:
        ...

A handler of a projection gets nothing to emit with and nothing to make ids with: replaying tells nobody anything.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from shared.contracts.envelope import Envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import Topic, by_model
from shared.messaging.reactions import D, Received
from shared.persistence.pool import Connection

W = TypeVar("W")


class Told(NamedTuple):
    """An event that a service accepted, and the instant of its record."""

    envelope: Envelope
    data: EventData
    at: datetime


class Projection(Generic[W]):
    """The events that a service's knowledge rests on, and how that knowledge is loaded and put right."""

    def __init__(
        self,
        *,
        load: Callable[[Connection, Sequence[Received[EventData]]], Awaitable[W]],
        save: Callable[[Connection, W], Awaitable[Mapping[str, int]]],
        finish: Callable[[Connection, Sequence[W]], Awaitable[Mapping[str, int]]] | None = None,
    ) -> None:
        """``save`` writes what differs, and returns how many rows of which table did.

        ``finish``, if it is given, does what needs all partitions: it gets every work, as ``save`` left it, at the end.
        """
        self._load = load
        self._save = save
        self._finish = finish
        self._handlers: dict[type[EventData], Callable[[W, Received[Any], datetime], None]] = {}

    def on(
        self, model: type[D]
    ) -> Callable[[Callable[[W, Received[D], datetime], None]], Callable[[W, Received[D], datetime], None]]:
        """Register the handler of one event type. Raises ValueError if it has one already."""

        def register(
            handler: Callable[[W, Received[D], datetime], None],
        ) -> Callable[[W, Received[D], datetime], None]:
            if model in self._handlers:
                raise ValueError(f"{model.__name__} has a handler already")
            self._handlers[model] = handler
            return handler

        return register

    @property
    def topics(self) -> list[Topic]:
        """Topics that hold an event the projection rests on, in a fixed order."""
        return sorted({by_model(model).topic for model in self._handlers})

    def handles(self, data: EventData) -> bool:
        """True if the projection rests on this event."""
        return type(data) in self._handlers

    async def rebuild(self, connection: Connection, events: Sequence[Told], done: list[W]) -> Counter[str]:
        """Learn events again, in order, in the caller's transaction; returns how many rows of each table were wrong.

        What ``finish`` needs is added to ``done``.
        """
        received = [Received(envelope, data) for envelope, data, _ in events]
        work = await self._load(connection, received)
        for event, told in zip(received, events, strict=True):
            self._handlers[type(event.data)](work, event, told.at)
        wrong = await self._save(connection, work)
        if self._finish is not None:
            done.append(work)
        return _counted(wrong)

    async def finish(self, connection: Connection, done: Sequence[W]) -> Counter[str]:
        """Do what is left after all partitions, in the caller's transaction; returns how many rows were wrong."""
        return _counted({} if self._finish is None else await self._finish(connection, done))


def _counted(rows: Mapping[str, int]) -> Counter[str]:
    return Counter({table: count for table, count in rows.items() if count})


AnyProjection = Projection[Any]
