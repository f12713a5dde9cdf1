"""Which events may be applied now: the rules of positions, duplicates, gaps and conflicts, free of any I/O.

A position is the last sequence accepted from a stream. An event at or below it is a duplicate; the next one is
applied; one beyond is held until the missing one has come. The same number under another id is a conflict: a
producer gave a number out twice.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from shared.messaging.records import Event, Stream


@dataclass(frozen=True, slots=True)
class Position:
    """The last event accepted from a stream."""

    last_sequence: int
    last_event_id: UUID
    #: First sequence accepted, where retention had taken the beginning of the log; None if it began at 1.
    baseline: int | None = None


@dataclass(slots=True)
class Plan:
    """What to do with the events of a batch."""

    #: To apply, in this order.
    accepted: list[Event] = field(default_factory=list[Event])
    #: Applied before: dropped.
    duplicates: list[Event] = field(default_factory=list[Event])
    #: The same number as one accepted or held, under another id.
    conflicts: list[Event] = field(default_factory=list[Event])
    #: To hold, because one before them is missing.
    to_hold: list[Event] = field(default_factory=list[Event])
    #: Accepted now, under a number that was held before: nothing is to be held under it any more.
    released: list[Event] = field(default_factory=list[Event])
    #: New position of every stream that moved.
    positions: dict[Stream, Position] = field(default_factory=dict[Stream, Position])


def plan(
    incoming: Iterable[Event],
    positions: Mapping[Stream, Position],
    held: Iterable[Event],
    truncated: Collection[tuple[str, int]],
) -> Plan:
    """Sort incoming events, in the order they arrived, into what is applied, dropped and held.

    ``held`` are all events held for the streams concerned. ``truncated`` names the (topic, partition) pairs whose
    log no longer begins at offset 0: only there may a stream that was never seen begin above 1.
    """
    result = Plan()
    current = dict(positions)
    waiting: dict[Stream, dict[int, Event]] = {}
    held_before = list(held)
    for event in held_before:
        waiting.setdefault(event.stream, {})[event.envelope.sequence] = event
    # By stream and number, not by id: an id that a producer gives out twice must not make us forget an event.
    was_held = {_place(event) for event in held_before}

    def accept(event: Event, baseline: int | None) -> None:
        result.accepted.append(event)
        if _place(event) in was_held:
            result.released.append(event)
        moved = Position(event.envelope.sequence, event.envelope.id, baseline)
        current[event.stream] = result.positions[event.stream] = moved

    for event in incoming:
        stream, sequence, event_id = event.stream, event.envelope.sequence, event.envelope.id
        position = current.get(stream)
        last = position.last_sequence if position else 0
        ahead = waiting.setdefault(stream, {})
        # Not where events are held: what comes before those is known to be missing, and may yet come.
        may_begin_here = position is None and not ahead and (stream.topic, event.record.partition) in truncated
        if sequence <= last:
            conflicting = position is not None and sequence == last and event_id != position.last_event_id
            (result.conflicts if conflicting else result.duplicates).append(event)
        elif sequence == last + 1 or may_begin_here:
            other = ahead.pop(sequence, None)
            if other is not None and other.envelope.id != event_id:
                result.conflicts.append(other)
            accept(
                event,
                sequence if may_begin_here and sequence > 1 else position.baseline if position else None,
            )
            while (successor := ahead.pop(current[stream].last_sequence + 1, None)) is not None:
                accept(successor, current[stream].baseline)
        elif sequence in ahead:
            same = ahead[sequence].envelope.id == event_id
            (result.duplicates if same else result.conflicts).append(event)
        else:
            ahead[sequence] = event

    result.to_hold = [
        event for events in waiting.values() for event in events.values() if _place(event) not in was_held
    ]
    return result


def _place(event: Event) -> tuple[Stream, int]:
    return event.stream, event.envelope.sequence
