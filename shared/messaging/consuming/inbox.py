"""The inbox: a batch of records applied in one transaction, with offsets, positions and what follows from it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.contracts.envelope import Envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import by_type
from shared.messaging import offsets, ordering, outbox, positions, wake
from shared.messaging.consuming import attempts, dead_letters, held_events, parking
from shared.messaging.consuming.parking import ParkedStream
from shared.messaging.consuming.reactions import AnyReactions
from shared.messaging.offsets import Partition
from shared.messaging.ordering import Held, Parking, Plan, Reason, Standing
from shared.messaging.outbox import NewEvent
from shared.messaging.records import Defect, Event, Record, Stream, Undeliverable, decode, undeliverable
from shared.persistence.pool import Connection, Pool

#: Most held events read in one go, for all streams of a batch together. What waits beyond them follows in portions.
PORTION = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of an event that could not be applied, so that it is set aside instead."""

    sequence: int
    #: What went wrong, without any of the event's data.
    error: str
    attempts: int
    #: When it is tried next; None: never by itself, it is a dead letter.
    retry_at: datetime | None


@dataclass(slots=True)
class Applied:
    """What a batch came to."""

    #: (event type or ``unknown``, result) → how many. Results: applied, ignored, duplicate, held, released, parked,
    #: conflict, unreadable, breaks_contract, failed.
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    #: Envelopes of the events that were applied.
    applied: list[Envelope] = field(default_factory=list[Envelope])
    #: What went to the dead letters.
    undeliverable: list[Undeliverable] = field(default_factory=list[Undeliverable])
    #: Events that are held from now on.
    held: list[Event] = field(default_factory=list[Event])
    #: Streams that stand still from now on, or for another reason than before.
    parked: list[ParkedStream] = field(default_factory=list[ParkedStream])
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
        *,
        failures: Mapping[Stream, Failure] | None = None,
        portion: int = PORTION,
        open_values: bool = True,
        attempted: Sequence[Record] = (),
    ) -> Applied:
        """Apply records, which must be in the order of their offsets within each partition, and all that follows.

        One transaction: a crash anywhere leaves nothing, and a repeat changes nothing. ``expected`` holds, for
        each partition, the next offset the database had when this member last saw it; ``truncated`` names the
        partitions whose log no longer begins at 0. ``failures`` are set aside: their streams are parked there.
        At most ``portion`` events that were held are applied with them. ``open_values=False`` leaves values alone,
        for a record that ends the process; ``attempted`` are records whose attempts were counted.

        Raises ReactionFailed with the event that cannot be applied, OffsetsWentBack, or what the database raises;
        then nothing was changed.
        """
        result = Applied()
        async with self._pool.acquire() as connection, connection.transaction():
            stored = await offsets.lock(connection, {(r.topic, r.partition) for r in records})
            _check_not_behind(records, expected, stored)
            fresh = [r for r in records if r.offset >= stored[r.topic, r.partition]]
            last_records = {(record.topic, record.partition): record for record in fresh}

            incoming: list[Event] = []
            for record in fresh:
                decoded = decode(record, open_value=open_values)
                if isinstance(decoded, Event):
                    incoming.append(decoded)
                else:
                    result.undeliverable.append(decoded)
            standings = await positions.load(connection, {event.stream for event in incoming})
            held = await _held(connection, incoming, standings, portion)
            failing = {stream: failure.sequence for stream, failure in (failures or {}).items()}
            plan = ordering.plan(incoming, standings, held, truncated=truncated, failing=failing)
            if suspects := plan.conflicts + plan.broken:
                known = await dead_letters.discarded(connection, [event.record.digest for event in suspects])
                if known:
                    plan = ordering.plan(
                        incoming, standings, held, truncated=truncated, failing=failing, discarded=known
                    )
            emitted = await self._carry_out(connection, plan, result, now, failures or {})
            if last_records:
                await offsets.advance(connection, last_records, plan.positions)
            if attempted:
                await attempts.forget(connection, attempted)
            await outbox.save(connection, self._source, emitted)
        if emitted:
            wake.up(self._source)
        result.next_offsets = stored | {partition: record.offset + 1 for partition, record in last_records.items()}
        return result

    async def go_on(
        self,
        parked: ParkedStream,
        now: datetime,
        *,
        portion: int = PORTION,
        failure: Failure | None = None,
        open_values: bool = True,
    ) -> Applied | None:
        """Apply what a parked stream holds, from its head on, in order, at most ``portion`` events.

        One transaction. The stream stays parked as a backlog if more may be held. With ``failure`` that event is set
        aside again: what lies before it is applied. Returns None if an operator or another member was quicker.
        Raises as ``apply`` does.
        """
        stream, result = parked.stream, Applied()
        async with self._pool.acquire() as connection, connection.transaction():
            await offsets.lock(connection, [(parked.topic, parked.partition)])
            current = await parking.find(connection, stream)
            if current is None or (current.sequence, current.attempts) != (parked.sequence, parked.attempts):
                return None
            if (letter_id := await dead_letters.open_conflict(connection, stream)) is not None:
                await parking.wait_for_decision(connection, stream, Reason.CONFLICT, letter_id)
                return result
            standings = await positions.load(connection, [stream])
            after = {stream: standings[stream].last}
            waiting = await held_events.following(connection, after, portion, open_values=open_values)
            first = waiting.get(stream, [])
            plan = ordering.plan(
                (),
                standings,
                {stream: Held(first=first, all=len(first) < portion)},
                failing={} if failure is None else {stream: failure.sequence},
                going_on=[stream],
            )
            failures = {} if failure is None else {stream: failure}
            emitted = await self._carry_out(connection, plan, result, now, failures)
            await positions.save(connection, plan.positions)
            if stream not in plan.parked:
                await parking.unpark(connection, stream)
            await outbox.save(connection, self._source, emitted)
        if emitted:
            wake.up(self._source)
        return result

    async def _carry_out(
        self, connection: Connection, plan: Plan, result: Applied, now: datetime, failures: Mapping[Stream, Failure]
    ) -> list[NewEvent]:
        """Do what was planned, but for the positions, and note it in the result; returns the events to save last."""
        to_apply = self._to_apply(plan.accepted)
        emitted = await self._reactions.apply(connection, to_apply, now, self._source) if to_apply else []
        if plan.released:
            await held_events.release(connection, plan.released)
        if plan.to_hold:
            await held_events.hold(connection, plan.to_hold)
        result.undeliverable += [_conflict(event) for event in plan.conflicts]
        result.undeliverable += [_broken(event) for event in plan.broken]
        if result.undeliverable:
            await dead_letters.keep(connection, result.undeliverable)
        for stream, parking_ in plan.parked.items():
            result.parked.append(await _park(connection, stream, parking_, now, failures.get(stream), result))
        if result.parked:
            await parking.park(connection, result.parked)
        result.applied = [envelope for envelope, _ in to_apply]
        result.held = plan.to_hold
        self._count(result, plan)
        return emitted

    def _to_apply(self, accepted: Sequence[Event]) -> list[tuple[Envelope, EventData]]:
        return [
            (event.envelope, event.data)
            for event in accepted
            if event.data is not None and self._reactions.handles(event.data)
        ]

    def _count(self, result: Applied, plan: Plan) -> None:
        parked = [parked.event for parked in plan.parked.values() if parked.event is not None]
        ignored: list[Event] = []
        if len(result.applied) < len(plan.accepted):
            ignored = [event for event in plan.accepted if not self._reactions.handles(event.data)]
        for name, envelopes in (
            ("applied", result.applied),
            ("ignored", [event.envelope for event in ignored]),
            ("duplicate", [event.envelope for event in plan.duplicates]),
            ("held", [event.envelope for event in plan.to_hold]),
            ("released", [event.envelope for event in plan.released]),
            ("parked", [event.envelope for event in parked]),
        ):
            for event_type, count in Counter([envelope.type for envelope in envelopes]).items():
                result.counts[_label(event_type), name] += count
        for letter in result.undeliverable:
            event_type = letter.envelope.type if letter.envelope is not None else None
            result.counts[_label(event_type), letter.defect.value] += 1


async def _held(
    connection: Connection, incoming: Sequence[Event], standings: Mapping[Stream, Standing], portion: int
) -> dict[Stream, Held]:
    """What must be known of held events: which of the incoming are, and the first ones of streams that may move."""
    concerned = [event for event in incoming if standings[event.stream].holds]
    if not concerned:
        return {}
    ids = await held_events.known(connection, concerned)
    moving = {
        event.stream: standings[event.stream].last
        for event in concerned
        if standings[event.stream].parked_at is None and event.envelope.sequence == standings[event.stream].last + 1
    }
    limit = portion // max(len(moving), 1)
    first = await held_events.following(connection, moving, limit) if moving and limit else {}
    return {
        event.stream: Held(
            ids.get(event.stream, {}),
            first.get(event.stream, ()),
            all=event.stream in moving and len(first.get(event.stream, ())) < limit,
        )
        for event in concerned
    }


async def _park(
    connection: Connection,
    stream: Stream,
    parked: Parking,
    now: datetime,
    failure: Failure | None,
    result: Applied,
) -> ParkedStream:
    """A stream as it is parked now; if its head is dead, that is kept among the dead letters."""
    event, letter = parked.event, None
    error, tried, retry_at = "", 0, None
    if event is None:
        retry_at = now
    elif parked.reason is Reason.FAILED and failure is not None:
        error, tried, retry_at = failure.error, failure.attempts, failure.retry_at
        if retry_at is None:
            letter = replace(undeliverable(event.record, Defect.FAILED, error, event.envelope), attempts=tried)
    else:
        letter = _conflict(event) if parked.reason is Reason.CONFLICT else _broken(event)
        error, tried = letter.error, 1
    letter_id = None
    if letter is not None:
        conflict = parked.reason is Reason.CONFLICT
        # A conflict is among the result's letters already; here it only gives its number.
        (letter_id,) = await dead_letters.keep(connection, [letter], reopen=not conflict)
        result.undeliverable += [] if conflict else [letter]
    return ParkedStream(
        *stream,
        partition=parked.partition,
        sequence=parked.sequence,
        event_id=event.envelope.id if event else None,
        reason=parked.reason.value,
        error=error,
        attempts=tried,
        parked_at=now,
        retry_at=retry_at,
        dead_letter_id=letter_id,
    )


def _label(event_type: str | None) -> str:
    """Name of an event's type for metrics: only registered types, so that nobody outside can add a label."""
    return event_type if event_type is not None and by_type(event_type) is not None else "unknown"


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


def _broken(event: Event) -> Undeliverable:
    return undeliverable(event.record, Defect.BREAKS_CONTRACT, event.broken or "", event.envelope)


def _conflict(event: Event) -> Undeliverable:
    return undeliverable(
        event.record,
        Defect.CONFLICT,
        f"sequence {event.envelope.sequence} of {event.envelope.source} came before under another event id",
        event.envelope,
    )
