"""Dead letters: records that are not applied, kept as they came, with the reason, until an operator decides.

Some stand at the head of a parked stream, and all that follows waits for the decision. A letter that is redriven
is tried again; one that is discarded is passed over, and what waits behind it goes on, in order.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.messaging import offsets, operator_actions, positions
from shared.messaging.consuming import held_events, parking
from shared.messaging.operator_actions import Operator, OperatorAction
from shared.messaging.ordering import Position
from shared.messaging.records import Defect, Event, Record, Stream, Undeliverable, decode
from shared.persistence.pool import Connection


class LetterNotFound(LookupError):
    """There is no dead letter of this number in this service's database."""


class LetterResolved(RuntimeError):
    """The letter was redriven or discarded before. The message says which."""


class CannotRedrive(RuntimeError):
    """The letter cannot be applied, however often it is tried. The message says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is not applied. Where the envelope could not be read, what stands in it is None."""

    id: int
    topic: str
    partition: int
    offset: int
    #: Of the record, as the broker keeps it.
    time: datetime
    #: Made printable where it is not UTF-8.
    key: str | None
    source: str | None
    sequence: int | None
    event_id: UUID | None
    #: unreadable, breaks_contract, conflict or failed.
    reason: str
    error: str
    attempts: int
    #: dead, redriven or discarded.
    status: str
    dead_at: datetime
    resolved_at: datetime | None
    #: When it was copied to the topic of dead letters.
    published_at: datetime | None
    #: True if a parked stream waits for the decision on it.
    blocks_stream: bool

    @property
    def stream(self) -> Stream | None:
        """The stream it belongs to, if its envelope could be read."""
        if self.key is None or self.source is None:
            return None
        return Stream(self.topic, self.source, self.key)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    """A dead letter with the record as it came, and what operators did with it, oldest first."""

    letter: DeadLetter
    record: Record
    actions: Sequence[OperatorAction]

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Bytes that are not UTF-8 are made printable."""
        return {
            **self.letter.as_dict(),
            "headers": [[_text(name.encode(errors="surrogateescape")), _text(v)] for name, v in self.record.headers],
            "value": _text(self.record.value),
            "actions": [action.as_dict() for action in self.actions],
        }


# What the inbox does --------------------------------------------------------------------------------------------


async def keep(connection: Connection, undeliverable: Sequence[Undeliverable], *, reopen: bool = False) -> list[int]:
    """Keep records with their bytes, headers and error, in the transaction that sets them aside; returns their ids.

    A record that is there already stays as it is, so that a log read again changes nothing; with ``reopen`` it is
    dead again, with the new error, whatever was decided before.
    """
    rows = await connection.fetchmany(
        """
        insert into dead_letters as d (topic, partition, broker_offset, broker_time, key, header_names, header_values,
                                       value, event_id, source, sequence, reason, error, digest, attempts)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        on conflict (topic, partition, broker_offset, digest) do update
        set status = case when $16 then 'dead' else d.status end,
            reason = case when $16 then excluded.reason else d.reason end,
            error = case when $16 then excluded.error else d.error end,
            attempts = case when $16 then excluded.attempts else d.attempts end,
            dead_at = case when $16 then now() else d.dead_at end,
            resolved_at = case when $16 then null else d.resolved_at end,
            published_at = case when $16 then null else d.published_at end
        returning id""",
        [(*_columns(letter), reopen) for letter in undeliverable],
    )
    return [row["id"] for row in rows]


def _columns(letter: Undeliverable) -> tuple[Any, ...]:
    record, envelope = letter.record, letter.envelope
    return (
        record.topic,
        record.partition,
        record.offset,
        record.time,
        record.key,
        [name.encode(errors="surrogateescape") for name, _ in record.headers],
        [value for _, value in record.headers],
        record.value,
        envelope.id if envelope else None,
        envelope.source if envelope else None,
        envelope.sequence if envelope else None,
        letter.defect.value,
        letter.error,
        record.digest,
        letter.attempts,
    )


async def discarded(connection: Connection, digests: Collection[bytes]) -> set[bytes]:
    """Of these digests of records, those of letters that an operator has discarded."""
    rows = await connection.fetch(
        "select distinct digest from dead_letters where digest = any($1::bytea[]) and status = 'discarded'",
        list(digests),
    )
    return {row["digest"] for row in rows}


async def open_conflict(connection: Connection, stream: Stream) -> int | None:
    """Id of the first conflict of a stream on which nobody has decided, or None."""
    return await connection.fetchval(
        """
        select min(id) from dead_letters
        where status = 'dead' and reason = 'conflict' and topic = $1 and source = $2 and key = $3""",
        stream.topic,
        stream.source,
        stream.key.encode(),
    )


# What operators do ----------------------------------------------------------------------------------------------

_SELECT = """
    select d.id, d.topic, d.partition, d.broker_offset as offset, d.broker_time as time, d.key, d.source, d.sequence,
           d.event_id, d.reason, d.error, d.attempts, d.status, d.dead_at, d.resolved_at, d.published_at,
           exists (select from parked_streams p where p.dead_letter_id = d.id) as blocks_stream
    from dead_letters d"""


async def list_letters(connection: Connection, *, status: str | None = "dead", limit: int = 100) -> list[DeadLetter]:
    """The newest letters of a status, or of any, newest first."""
    rows = await connection.fetch(
        f"{_SELECT} where $1::text is null or d.status = $1 order by d.id desc limit $2", status, limit
    )
    return [_letter(row) for row in rows]


async def get(connection: Connection, letter_id: int) -> OpenedLetter:
    """One letter with its record. Raises LetterNotFound."""
    letter = await _find(connection, letter_id)
    actions = await operator_actions.of_target(connection, _target(letter_id))
    return OpenedLetter(letter, await _record(connection, letter_id), actions)


async def redrive(connection: Connection, letter_id: int, operator: Operator) -> DeadLetter:
    """Have a letter tried again by the running service; returns it as it is then.

    One at the head of a parked stream is tried at once, its attempts counted anew. One without a place is read anew
    and, if that succeeds now, takes its place in its stream. Raises LetterNotFound, LetterResolved or CannotRedrive;
    then nothing was changed.
    """
    async with connection.transaction():
        letter = await _lock(connection, letter_id)
        if letter.reason == Defect.CONFLICT:
            raise CannotRedrive(
                f"letter {letter_id} is a conflict: number {letter.sequence} of its stream is that of another event. "
                "Applying it would repeat or contradict that one; compare the two and discard this letter"
            )
        parked = await parking.of_letter(connection, letter_id)
        if parked is not None:
            await parking.try_now(connection, parked.stream)
        else:
            await _take_in(connection, letter, await _record(connection, letter_id))
        await _resolve(connection, letter_id, "redriven", operator, "dead_letter.redriven")
        return await _find(connection, letter_id)


async def discard(connection: Connection, letter_id: int, operator: Operator) -> DeadLetter:
    """Pass over a letter for good; returns it as it is then.

    If a stream is parked at it, the stream goes on behind it, in order. Raises LetterNotFound or LetterResolved;
    then nothing was changed.
    """
    async with connection.transaction():
        letter = await _lock(connection, letter_id)
        parked = await parking.of_letter(connection, letter_id)
        if parked is not None:
            await _pass_over(connection, letter, parked)
        await _resolve(connection, letter_id, "discarded", operator, "dead_letter.discarded")
        return await _find(connection, letter_id)


async def _pass_over(connection: Connection, letter: DeadLetter, parked: parking.ParkedStream) -> None:
    stream, going_on_at = parked.stream, parked.sequence
    if letter.reason != Defect.CONFLICT and letter.event_id is not None:
        # Its number counts as taken: what follows is the next, and the same event is a repeat if it comes again.
        position = (await positions.load(connection, [stream]))[stream].position
        baseline = position.baseline if position else parked.sequence if parked.sequence > 1 else None
        await positions.save(connection, {stream: Position(parked.sequence, letter.event_id, baseline)})
        await held_events.drop(connection, stream, parked.sequence)
        going_on_at += 1
    await parking.go_on(connection, stream, parked.partition, going_on_at)


async def _take_in(connection: Connection, letter: DeadLetter, record: Record) -> None:
    decoded = decode(record)
    if not isinstance(decoded, Event):
        raise CannotRedrive(f"letter {letter.id} still cannot be read: {decoded.error}. Discard it")
    if decoded.broken is not None:
        raise CannotRedrive(f"letter {letter.id} still breaks its contract: {decoded.broken}. Discard it")
    stream, sequence = decoded.stream, decoded.envelope.sequence
    standing = (await positions.load(connection, [stream]))[stream]
    if sequence <= standing.last:
        raise CannotRedrive(
            f"letter {letter.id} is number {sequence} of its stream, which has gone on to {standing.last}. Discard it"
        )
    if await held_events.find(connection, stream, sequence) is not None:
        raise CannotRedrive(f"number {sequence} of the stream of letter {letter.id} waits already. Discard it")
    await held_events.hold(connection, [decoded])
    if sequence == standing.last + 1 and standing.parked_at is None:
        await parking.go_on(connection, stream, record.partition, sequence)


async def _lock(connection: Connection, letter_id: int) -> DeadLetter:
    letter = await _find(connection, letter_id)
    # The fence of its partition, as for a batch: the running service must not move the stream meanwhile.
    await offsets.lock(connection, [(letter.topic, letter.partition)])
    await connection.execute("select from dead_letters where id = $1 for update", letter_id)
    letter = await _find(connection, letter_id)
    if letter.status != "dead":
        raise LetterResolved(f"letter {letter_id} was {letter.status} at {letter.resolved_at}: nothing is left to do")
    return letter


async def _resolve(connection: Connection, letter_id: int, status: str, operator: Operator, action: str) -> None:
    await connection.execute(
        "update dead_letters set status = $2, resolved_at = now() where id = $1", letter_id, status
    )
    await operator_actions.record(connection, operator, action, _target(letter_id))


async def _find(connection: Connection, letter_id: int) -> DeadLetter:
    row = await connection.fetchrow(f"{_SELECT} where d.id = $1", letter_id)
    if row is None:
        raise LetterNotFound(
            f"this service has no dead letter {letter_id}: `qc dead-letters list` shows those there are"
        )
    return _letter(row)


async def _record(connection: Connection, letter_id: int) -> Record:
    row = await connection.fetchrow("select * from dead_letters where id = $1", letter_id)
    assert row is not None  # found before, and letters are never deleted
    return record_of(row)


def record_of(row: Any) -> Record:
    """The record of a row of the table, as it came."""
    return Record(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["broker_offset"],
        time=row["broker_time"],
        key=row["key"],
        headers=tuple(
            (name.decode(errors="surrogateescape"), value)
            for name, value in zip(row["header_names"], row["header_values"], strict=True)
        ),
        value=row["value"],
    )


def _letter(row: Any) -> DeadLetter:
    columns: dict[str, Any] = dict(row)
    columns["key"] = _text(columns["key"])
    return DeadLetter(**columns)


def _target(letter_id: int) -> str:
    return f"dead_letter/{letter_id}"


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")
