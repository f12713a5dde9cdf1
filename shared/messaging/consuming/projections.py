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
from typing import Any, NamedTuple

from shared.contracts.envelope import Envelope
from shared.contracts.fields import EventData
from shared.messaging.consuming.handlers import Handlers, Received, W
from shared.persistence.pool import Connection


class Told(NamedTuple):
    """An event that a service accepted, and the instant of its record."""

    envelope: Envelope
    data: EventData
    at: datetime


class Projection(Handlers[W, datetime]):
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
        super().__init__()
        self._load = load
        self._save = save
        self._finish = finish

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
