"""Where entries belong that the feed has lost: in the places they left, between the others of their stream."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class Missing:
    """Entries of one stream, in order, that are missing between two that are there."""

    events: Sequence[UUID]
    #: Position of the entry before them; 0 if there is none.
    after: int
    #: Position of the entry behind them; None if there is none.
    before: int | None


def places(missing: Iterable[Missing], free: Iterable[int]) -> dict[UUID, int]:
    """A free position for each missing event for which there is one: between its neighbours, and in its order.

    Whoever has the least room is served first, so that whatever could be the old order is found. An event without a
    place goes to the end of the feed.
    """
    waiting = sorted(missing, key=lambda one: one.after)
    served = [0] * len(waiting)
    #: (end of the room, place in ``waiting``) of those whose room has begun.
    open_rooms: list[tuple[float, int]] = []
    begun = 0
    found: dict[UUID, int] = {}
    for position in sorted(free):
        while begun < len(waiting) and waiting[begun].after < position:
            end = waiting[begun].before
            heapq.heappush(open_rooms, (float("inf") if end is None else end, begun))
            begun += 1
        while open_rooms and open_rooms[0][0] <= position:
            heapq.heappop(open_rooms)
        if not open_rooms:
            continue
        _, number = open_rooms[0]
        one = waiting[number]
        found[one.events[served[number]]] = position
        served[number] += 1
        if served[number] == len(one.events):
            heapq.heappop(open_rooms)
    return found
