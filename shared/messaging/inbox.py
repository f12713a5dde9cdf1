"""The inbox: a batch of records applied in one transaction, with offsets, positions and what follows from it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.contracts.envelope import Envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import by_type
from shared.messaging import dead_letters, offsets, ordering, outbox, positions
from shared.messaging.offsets import Partition
from shared.messaging.reactions import AnyReactions
from shared.messaging.records import Defect, Event, Record, Undeliverable, decode, undeliverable
from shared.persistence.pool import Pool


@dataclass(slots=True)
class Applied:
    """What a batch came to."""

    #: (event type or ``unknown``, result) → how many. Results: applied, ignored, duplicate, held, released,
    #: conflict, unreadable, breaks_contract.
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    #: Envelopes of the events that were applied.
    applied: list[Envelope] = field(default_factory=list[Envelope])
    undeliverable: list[Undeliverable] = field(default_factory=list[Undeliverable])
    held: list[Event] = field(default_factory=list[Event])
    #: Offset to read on from, of each partition.
    next_offsets: dict[Partition, int] = field(default_factory=dict[Partition, int])


class OffsetsWentBack(RuntimeError):
    """The database was restored to an earlier state while it was in use: the partitions must be read again."""


class Inbox:
    """Applies records to one service's database."""

    def __init__(self, pool: Pool, source: str, reactions: AnyReactions) -> None:
        self._pool = pool
        self._source = source
        self._reactions = reactions

    async def apply(
        self,
        records: Sequence[Record],
        now: datetime,
        expected: Mapping[Partition, int],
        truncated: Collection[Partition] = (),
    ) -> Applied:
        """Apply records, which must be in the order of their offsets within each partition, and all that follows.

        One transaction: a crash anywhere leaves nothing, and a repeat changes nothing. ``expected`` holds, for
        each partition, the next offset the database had when this member last saw it; ``truncated`` names the
        partitions whose log no longer begins at 0. Raises ReactionFailed with the event that cannot be applied,
        OffsetsWentBack, or what the database raises; then nothing was changed.
        """
        result = Applied()
        async with self._pool.acquire() as connection, connection.transaction():
            stored = await offsets.lock(connection, {(r.topic, r.partition) for r in records})
            _check_not_behind(records, expected, stored)
            fresh = [r for r in records if r.offset >= stored[r.topic, r.partition]]
            result.next_offsets = dict(stored)
            for record in fresh:
                result.next_offsets[record.topic, record.partition] = record.offset + 1

            readable: list[Event] = []
            for record in fresh:
                decoded = decode(record)
                if isinstance(decoded, Event):
                    readable.append(decoded)
                else:
                    result.undeliverable.append(decoded)
            streams = {event.stream for event in readable}
            plan = ordering.plan(
                readable,
                await positions.load(connection, streams),
                await positions.load_held(connection, streams),
                truncated,
            )
            result.undeliverable += [_conflict(event) for event in plan.conflicts]
            to_apply = self._to_apply(plan.accepted)
            emitted = await self._reactions.apply(connection, to_apply, now) if to_apply else []

            await positions.save(connection, plan.positions)
            await positions.release(connection, plan.released)
            if plan.to_hold:
                await positions.hold(connection, plan.to_hold)
            if result.undeliverable:
                await dead_letters.keep(connection, result.undeliverable)
            await offsets.advance(connection, result.next_offsets)
            await outbox.save(connection, self._source, emitted)

        result.applied = [envelope for envelope, _ in to_apply]
        result.held = plan.to_hold
        self._count(result, plan)
        return result

    def _to_apply(self, accepted: Sequence[Event]) -> list[tuple[Envelope, EventData]]:
        return [
            (event.envelope, event.data)
            for event in accepted
            if event.data is not None and self._reactions.handles(event.data)
        ]

    def _count(self, result: Applied, plan: ordering.Plan) -> None:
        for events, name in (
            (plan.duplicates, "duplicate"),
            (plan.to_hold, "held"),
            (plan.released, "released"),
        ):
            result.counts.update((_label(event.envelope), name) for event in events)
        result.counts.update(
            (_label(event.envelope), "applied" if self._reactions.handles(event.data) else "ignored")
            for event in plan.accepted
        )
        result.counts.update((_label(letter.envelope), letter.defect.value) for letter in result.undeliverable)


def _label(envelope: Envelope | None) -> str:
    """Name of an event's type for metrics: only registered types, so that nobody outside can add a label."""
    return envelope.type if envelope is not None and by_type(envelope.type) is not None else "unknown"


def _check_not_behind(
    records: Sequence[Record], expected: Mapping[Partition, int], stored: Mapping[Partition, int]
) -> None:
    for topic, partition in {(r.topic, r.partition) for r in records} - stored.keys():
        raise OffsetsWentBack(f"{topic}/{partition}: the database does not know this partition any more")
    for partition, offset in expected.items():
        if stored.get(partition, 0) < offset:
            raise OffsetsWentBack(
                f"{partition[0]}/{partition[1]}: the database had taken in all before {offset}, "
                f"and now only what lies before {stored.get(partition, 0)}"
            )


def _conflict(event: Event) -> Undeliverable:
    return undeliverable(
        event.record,
        Defect.CONFLICT,
        f"sequence {event.envelope.sequence} of {event.envelope.source} was accepted before under another event id",
        event.envelope,
    )
