"""Runs a service with one guard of delivery taken out, and with moments at which it can be struck.

    python -m tests.chaos.unguarded visits fence

Production code has no switch for any of this: functions are replaced before the service is started. A guard of
``none`` takes nothing out, and shows that it is the guard that makes the difference.
"""

import functools
import importlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from shared.messaging import offsets, ordering, outbox, positions, wake
from shared.messaging.consuming import inbox
from shared.messaging.offsets import Partition
from shared.messaging.ordering import Held, Parking, Plan, Position, Reason, Standing
from shared.messaging.outbox import NewEvent
from shared.messaging.records import Event, Stream
from shared.messaging.relaying import relay_rows
from shared.persistence.pool import Connection
from shared.service.application import main

#: Names the file by which a process is told to strike itself at the next moment of its guard.
MOMENT_FILE = "CHAOS_MOMENT_FILE"


# Moments --------------------------------------------------------------------------------------------------------


def strike_after(module: Any, name: str, number: signal.Signals) -> None:
    """Let the process send itself a signal right after a function of a module, whenever it is told to.

    From outside nobody can hit the moment between two statements of a transaction. A process that was frozen there
    commits once it is thawed, and dies before it hears that others have its partitions now.
    """
    usual: Callable[..., Awaitable[Any]] = getattr(module, name)
    told = Path(os.environ[MOMENT_FILE])

    @functools.wraps(usual)
    async def struck(connection: Connection, subject: Any, *rest: Any) -> Any:
        result = await usual(connection, subject, *rest)
        has_work = bool(rest[0] if rest else subject)
        if has_work and _is_told(told):
            os.kill(os.getpid(), number)
            # Only a process that was frozen comes here.
            die_after_commit()
        return result

    setattr(module, name, struck)


def die_after_commit() -> None:
    """Let the process end as soon as the batch in hand has committed."""

    def die(source: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    wake.up = die


def _is_told(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


# Guards ---------------------------------------------------------------------------------------------------------


def without_positions() -> None:
    """Every event is applied as it arrives: no duplicates, no gaps."""

    def plan(
        incoming: Iterable[Event],
        standings: Mapping[Stream, Standing],
        held: Mapping[Stream, Held],
        *,
        failing: Mapping[Stream, int] | None = None,
        **_: Any,
    ) -> Plan:
        result = Plan()
        waiting = [event for one in held.values() for event in one.first]
        for event in (*waiting, *incoming):
            stream, sequence = event.stream, event.envelope.sequence
            if event.broken is not None:
                result.broken.append(event)
            elif stream in result.parked or (failing or {}).get(stream) == sequence:
                parking = Parking(Reason.FAILED, event.record.partition, sequence, event)
                result.parked.setdefault(stream, parking)
                if event not in waiting:
                    result.to_hold.append(event)
            else:
                result.accepted.append(event)
                result.released += [event] if event in waiting else []
                result.positions[stream] = Position(sequence, event.envelope.id)
        return result

    ordering.plan = plan


def without_fence() -> None:
    """The rows of partitions are not locked, and what they say of the next offset is not looked at."""

    async def lock(connection: Connection, partitions: Collection[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def check_not_behind(*_: Any) -> None:
        return

    offsets.lock = lock
    inbox._check_not_behind = check_not_behind


def without_sequence_lock() -> None:
    """A number is given in a transaction of its own: others get theirs at once, and a rollback gives none back."""

    async def save(connection: Connection, source: str, events: Sequence[NewEvent]) -> None:
        if not events:
            return
        apart = await _apart()
        try:
            numbers = [
                await apart.fetchval(
                    """
                    insert into outbox_counters as c (topic, key, last_sequence) values ($1, $2, 1)
                    on conflict (topic, key) do update set last_sequence = c.last_sequence + 1
                    returning last_sequence""",
                    event.spec.topic.value,
                    event.key,
                )
                for event in events
            ]
        finally:
            await apart.close()
        for event, number in zip(events, numbers, strict=True):
            await connection.execute(
                """
                with saved as (
                    insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id,
                                        causation_id, traceparent, data)
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning position
                )
                insert into outbox_unsent select position from saved""",
                event.id,
                event.spec.type,
                source,
                event.subject,
                event.spec.topic.value,
                event.key,
                number,
                event.time,
                event.correlation_id,
                event.causation_id,
                event.traceparent,
                event.data.model_dump_json(),
            )

    outbox.save = save


def without_one_transaction() -> None:
    """Positions are saved in a transaction of their own, before the state that they stand for."""
    usual_save, usual_advance = positions.save, offsets.advance

    async def save(connection: Connection, moved: Mapping[Stream, Position]) -> None:
        apart = await _apart()
        try:
            await usual_save(apart, moved)
        finally:
            await apart.close()

    async def advance(connection: Connection, last_records: Any, moved: Mapping[Stream, Position]) -> None:
        await save(connection, moved)
        await usual_advance(connection, last_records, {})

    positions.save = save
    offsets.advance = advance


def without_relay_order() -> None:
    """The relay sends what waits in any order."""
    usual_rows, usual_stretches = relay_rows.next_rows, relay_rows.stretches

    async def next_rows(connection: Connection, in_flight: Any, limit: int) -> list[Any]:
        rows = await usual_rows(connection, in_flight, limit)
        random.shuffle(rows)
        return rows

    def stretches(rows: Sequence[Any]) -> Any:
        return usual_stretches(sorted(rows, key=lambda row: row["position"]))

    relay_rows.next_rows, relay_rows.stretches = next_rows, stretches


async def _apart() -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(os.environ["QC_DATABASE_URL"])


GUARDS: dict[str, Callable[[], None]] = {
    "positions": without_positions,
    "fence": without_fence,
    "sequence": without_sequence_lock,
    "transaction": without_one_transaction,
    "relay-order": without_relay_order,
    "none": lambda: None,
}

#: When the process can be struck, and by what, in the schedule of each guard.
MOMENTS: dict[str, tuple[Any, str, signal.Signals]] = {
    # What was accepted before is known, and nothing is written yet.
    "fence": (positions, "load", signal.SIGSTOP),
    # Numbers are given, and the transaction has not committed.
    "sequence": (outbox, "save", signal.SIGKILL),
    # Positions have moved, and the transaction has not committed.
    "transaction": (offsets, "advance", signal.SIGKILL),
}


def start(service: str, guard: str, moments_of: str) -> None:
    """Take a guard out, prepare for the moments of one, and run the service."""
    GUARDS[guard]()
    if moments_of in MOMENTS:
        strike_after(*MOMENTS[moments_of])
    app = importlib.import_module(f"services.{service}.app")
    main(app.SPEC, app.Settings)


if __name__ == "__main__":
    start(*sys.argv[1:4])
