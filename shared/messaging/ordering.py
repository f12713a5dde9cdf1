"""Which events may be applied now: the rules of positions, gaps, parking and conflicts, free of any I/O.

A position is the last sequence accepted from a stream. An event at or below it is a duplicate; the next one is
applied; one beyond is held until the missing one has come. The same number under another id is a conflict: a
producer gave a number out twice.

A stream is parked at an event that cannot be applied: that one and all that follow are held. When it goes on, what
is held is applied in order, in portions, and what comes meanwhile is held behind it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.messaging.records import Event, Stream


class Position(NamedTuple):
    """The last event accepted from a stream."""

    last_sequence: int
    last_event_id: UUID
    #: First sequence accepted, where retention had taken the beginning of the log; None if it began at 1.
    baseline: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream stands before a batch."""

    #: None if no event of it was ever accepted.
    position: Position | None = None
    #: First number that waits, if the stream is parked.
    parked_at: int | None = None
    #: True if any event of it is held.
    holds: bool = False

    @property
    def last(self) -> int:
        """The last number that is done with."""
        if self.position is not None:
            return self.position.last_sequence
        return 0 if self.parked_at is None else self.parked_at - 1


@dataclass(frozen=True, slots=True)
class Held:
    """What was read of the events held for a stream: not all of them, for there may be very many."""

    #: Of the numbers that came in, those that are held, with the ids they are held under.
    ids: Mapping[int, UUID] = field(default_factory=dict[int, UUID])
    #: The first that are held, in order: those that may be applied now.
    first: Collection[Event] = ()
    #: False if there may be more beyond these.
    all: bool = True


class Reason(StrEnum):
    """Why a stream is parked."""

    FAILED = "failed"
    BREAKS_CONTRACT = "breaks_contract"
    CONFLICT = "conflict"
    #: Nothing is wrong: more waits than is applied in one go.
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True)
class Parking:
    """A stream that stands still from now on."""

    reason: Reason
    #: Partition its events lie in.
    partition: int
    #: First number that waits.
    sequence: int
    #: What stands in the way; None for a backlog.
    event: Event | None


@dataclass(slots=True)
class Plan:
    """What to do with the events of a batch."""

    #: To apply, in this order.
    accepted: list[Event] = field(default_factory=list[Event])
    #: Applied or held before: dropped.
    duplicates: list[Event] = field(default_factory=list[Event])
    #: The same number as one accepted or held, under another id.
    conflicts: list[Event] = field(default_factory=list[Event])
    #: Breaks its contract, but its number is done with, so nothing waits for it.
    broken: list[Event] = field(default_factory=list[Event])
    #: To hold: one before them is missing, or their stream is parked.
    to_hold: list[Event] = field(default_factory=list[Event])
    #: Accepted now, and held before.
    released: list[Event] = field(default_factory=list[Event])
    #: New position of every stream that moved.
    positions: dict[Stream, Position] = field(default_factory=dict[Stream, Position])
    #: Streams that stand still from now on.
    parked: dict[Stream, Parking] = field(default_factory=dict[Stream, Parking])


_NOTHING_HELD = Held()


def plan(
    incoming: Iterable[Event],
    standings: Mapping[Stream, Standing],
    held: Mapping[Stream, Held],
    *,
    truncated: Collection[tuple[str, int]] = (),
    failing: Mapping[Stream, int] | None = None,
    discarded: Collection[bytes] = (),
    going_on: Iterable[Stream] = (),
) -> Plan:
    """Sort incoming events, in the order they arrived, into what is applied, dropped, held and parked.

    ``standings`` has every stream concerned. ``truncated`` names the (topic, partition) pairs whose log no longer
    begins at offset 0: only there may a stream that was never seen begin above 1. ``failing`` names the number of a
    stream that is known not to be applicable now. ``discarded`` are digests of records that an operator has decided
    to pass over. ``going_on`` are parked streams of which what is held is applied.
    """
    result = Plan()
    lines = {
        stream: _Line(stream, standing, held.get(stream, _NOTHING_HELD), (failing or {}).get(stream), result)
        for stream, standing in standings.items()
    }
    for stream in going_on:
        lines[stream].go_on()
    for event in incoming:
        lines[event.stream].take(event, truncated, discarded)
    result.positions = {stream: line.position() for stream, line in lines.items() if line.moved}
    result.to_hold = [event for line in lines.values() for event in line.to_hold.values()]
    return result


class _Line:
    """One stream while the plan is made."""

    __slots__ = (
        "_baseline",
        "_beyond",
        "_failing",
        "_held",
        "_ids",
        "_last",
        "_last_id",
        "_parked",
        "_partition",
        "_plan",
        "_stream",
        "moved",
        "to_hold",
    )

    def __init__(self, stream: Stream, standing: Standing, held: Held, failing: int | None, result: Plan) -> None:
        self._stream = stream
        self._plan = result
        before = standing.position
        self._last = standing.last
        #: Id of the last event accepted; None if none ever was.
        self._last_id = None if before is None else before.last_event_id
        self._baseline = None if before is None else before.baseline
        #: True once an event was accepted now.
        self.moved = False
        self._parked = standing.parked_at is not None
        self._failing = failing
        self._partition = 0
        self._ids = dict(held.ids)
        self._held = {event.envelope.sequence: event for event in held.first}
        #: What is held beyond this number was not read; None if all was.
        self._beyond = None if held.all else max(self._held, default=self._last)
        if not standing.holds:
            self._beyond = None
        #: Held from now on, by number.
        self.to_hold: dict[int, Event] = {}

    def position(self) -> Position:
        """Where the stream stands, of which an event was accepted."""
        assert self._last_id is not None
        return Position(self._last, self._last_id, self._baseline)

    def go_on(self) -> None:
        self._parked = False
        self._follow()

    def take(self, event: Event, truncated: Collection[tuple[str, int]], discarded: Collection[bytes]) -> None:
        sequence, event_id = event.envelope.sequence, event.envelope.id
        held_id = self._held_id(sequence)
        if sequence <= self._last:
            other = self._last_id is not None and sequence == self._last and event_id != self._last_id
            if not (other or event.broken) or (discarded and event.record.digest in discarded):
                self._plan.duplicates.append(event)
            elif other:
                self._conflict(event)
            else:
                self._plan.broken.append(event)
        elif held_id is not None:
            if held_id == event_id or (discarded and event.record.digest in discarded):
                self._plan.duplicates.append(event)
            else:
                self._conflict(event)
        elif not self._parked and (sequence == self._last + 1 or self._may_begin_at(event, truncated)):
            self._try(event, was_held=False)
            self._follow()
        else:
            self.to_hold[sequence] = event

    def _held_id(self, sequence: int) -> UUID | None:
        event = self.to_hold.get(sequence) or self._held.get(sequence)
        return event.envelope.id if event is not None else self._ids.get(sequence)

    def _may_begin_at(self, event: Event, truncated: Collection[tuple[str, int]]) -> bool:
        # Not where events are held: what comes before those is known to be missing, and may yet come.
        return (
            self._last_id is None
            and not (self.to_hold or self._held or self._ids or self._beyond is not None)
            and (self._stream.topic, event.record.partition) in truncated
        )

    def _follow(self) -> None:
        """Apply what waits and is next now."""
        while not self._parked:
            following = self._last + 1
            if (event := self.to_hold.pop(following, None)) is not None:
                self._try(event, was_held=False)
            elif (event := self._held.pop(following, None)) is not None:
                self._try(event, was_held=True)
            else:
                if self._beyond is not None and self._last >= self._beyond:
                    self._park(Reason.BACKLOG, following, None)
                return

    def _try(self, event: Event, *, was_held: bool) -> None:
        sequence, self._partition = event.envelope.sequence, event.record.partition
        if event.broken is not None or self._failing == sequence:
            reason = Reason.FAILED if event.broken is None else Reason.BREAKS_CONTRACT
            self._park(reason, sequence, event)
            (self._held if was_held else self.to_hold)[sequence] = event
            return
        self._plan.accepted.append(event)
        if was_held:
            self._plan.released.append(event)
        if self._last_id is None and sequence > 1:
            self._baseline = sequence
        self._last, self._last_id, self.moved = sequence, event.envelope.id, True

    def _conflict(self, event: Event) -> None:
        self._plan.conflicts.append(event)
        self._partition = event.record.partition
        if not self._parked:
            self._park(Reason.CONFLICT, self._last + 1, event)

    def _park(self, reason: Reason, sequence: int, event: Event | None) -> None:
        self._parked = True
        self._plan.parked[self._stream] = Parking(reason, self._partition, sequence, event)
