"""The table of deliveries. Instants that decide who sends what and when are the database's: there is one clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from services.notify.domain.redaction import JsonObject
from services.notify.domain.stakeholders import EventName, StakeholderKind
from shared.persistence.pool import Connection


class State(StrEnum):
    """Where a delivery stands. A mail server that is down leaves it queued."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """An e-mail to be sent: about which event, to whom, by which template."""

    id: UUID
    event_id: UUID
    stakeholder_id: UUID
    template: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it stands, without the address it goes to."""

    id: UUID
    position: int
    event_id: UUID
    name: EventName
    provider_code: str
    stakeholder_id: UUID
    stakeholder_kind: StakeholderKind
    organisation: str
    template: str
    state: State
    attempts: int
    next_attempt_at: datetime
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process, and no other, is sending now."""

    id: UUID
    template: str
    #: How many times it was tried, this time included; tells this claim from a later one.
    attempts: int
    version: int
    claimed_by: str
    stakeholder_id: UUID
    stakeholder_kind: StakeholderKind
    #: Personal data: for the mail server's eyes alone.
    email: str = field(repr=False)
    event_id: UUID
    name: EventName
    type: str
    time: datetime
    correlation_id: UUID
    traceparent: str | None
    data: JsonObject
    #: True if this service has told that it was sent: its database was restored to before that.
    was_sent: bool


_SELECT = """
    select d.id, d.position, d.event_id, f.name, f.key as provider_code, d.stakeholder_id, s.kind as stakeholder_kind,
           s.organisation, d.template, d.state, d.attempts, d.next_attempt_at, d.last_error, d.created_at,
           d.finished_at, d.version
    from deliveries d join feed f using (event_id) join stakeholders s on s.id = d.stakeholder_id"""

#: An inactive stakeholder's wait. All do while the service may not emit: it could not tell of them, and its database
#: may have forgotten what was sent.
_MAY_BE_SENT = """
    from deliveries d join stakeholders s on s.id = d.stakeholder_id
    where s.active and not exists (select from outbox_fence)"""

#: Due: its time has come, or the process that was sending it is silent for too long. Asked for one by one, because each
#: has an index of its own, in which only what waits is, and in this order.
_QUEUED = f"{_MAY_BE_SENT} and d.state = 'queued' and d.next_attempt_at <= now()"
_SILENT = f"{_MAY_BE_SENT} and d.state = 'sending' and d.claimed_until <= now()"


async def queue(connection: Connection, new: Sequence[NewDelivery]) -> None:
    """Queue e-mails, in this order, to be sent at once."""
    if not new:
        return
    await connection.execute(
        """
        insert into deliveries (id, event_id, stakeholder_id, template, created_at)
        select id, event_id, stakeholder_id, template, created_at
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[])
            with ordinality as i (id, event_id, stakeholder_id, template, created_at, place)
        order by place""",
        [delivery.id for delivery in new],
        [delivery.event_id for delivery in new],
        [delivery.stakeholder_id for delivery in new],
        [delivery.template for delivery in new],
        [delivery.created_at for delivery in new],
    )


# What is read ------------------------------------------------------------------------------------------------------


async def load(connection: Connection, delivery_id: UUID, *, for_update: bool = False) -> Delivery | None:
    """One delivery; None if there is none."""
    row = await connection.fetchrow(
        f"{_SELECT} where d.id = $1" + (" for update of d" if for_update else ""), delivery_id
    )
    return _delivery(row) if row else None


async def page(
    connection: Connection,
    *,
    state: State | None,
    event_id: UUID | None,
    stakeholder_id: UUID | None,
    after: int | None,
    limit: int,
) -> list[Delivery]:
    """Deliveries after a position, in the order they were queued."""
    rows = await connection.fetch(
        f"""{_SELECT}
        where d.position > $1 and ($2::text is null or d.state = $2) and ($3::uuid is null or d.event_id = $3)
          and ($4::uuid is null or d.stakeholder_id = $4)
        order by d.position limit $5""",
        after or 0,
        state.value if state else None,
        event_id,
        stakeholder_id,
        limit,
    )
    return [_delivery(row) for row in rows]


async def count_unsent(connection: Connection) -> dict[State, int]:
    """How many are in each state but sent, of which there may be very many."""
    row = await connection.fetchrow(
        """
        select (select count(*) from deliveries where state = 'queued') as queued,
               (select count(*) from deliveries where state = 'sending') as sending,
               (select count(*) from deliveries where state = 'failed') as failed"""
    )
    assert row is not None  # a select without a table has one row
    return {State(name): count for name, count in row.items()}


async def oldest_undelivered_s(connection: Connection) -> float:
    """Age of the oldest delivery to an active stakeholder that is still to be sent, in seconds; 0 if there is none."""
    return await connection.fetchval(
        """
        select coalesce(extract(epoch from now() - min(d.created_at)), 0)::float8
        from deliveries d join stakeholders s on s.id = d.stakeholder_id
        where s.active and (d.state = 'queued' or d.state = 'sending')"""
    )


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        **{
            **row,
            "name": EventName(row["name"]),
            "stakeholder_kind": StakeholderKind(row["stakeholder_kind"]),
            "state": State(row["state"]),
        }
    )


# What the sending of mail does -------------------------------------------------------------------------------------


async def is_any_due(connection: Connection) -> bool:
    """True if there is a delivery to be sent now."""
    return await connection.fetchval(f"select exists (select {_QUEUED}) or exists (select {_SILENT})")


async def take_back(connection: Connection, claimant: str) -> None:
    """Queue again what this process was sending when it was killed: nobody else would before the lease ends."""
    await connection.execute(
        """
        update deliveries set state = 'queued', claimed_by = null, claimed_until = null
        where state = 'sending' and claimed_by = $1""",
        claimant,
    )


async def claim(connection: Connection, claimant: str, lease_s: float) -> Claimed | None:
    """Claim the delivery that is due longest, for so many seconds; None if none is due. Counts as an attempt.

    What another process has let lie comes first: it was due before.
    """
    row = await connection.fetchrow(
        f"""
        with claimed as (
            update deliveries
            set state = 'sending', claimed_by = $1, claimed_until = now() + make_interval(secs => $2),
                attempts = attempts + 1
            where id = coalesce(
                (select d.id {_SILENT} order by d.claimed_until limit 1 for update of d skip locked),
                (select d.id {_QUEUED} order by d.next_attempt_at, d.position limit 1 for update of d skip locked)
            )
            returning *
        )
        select c.id, c.template, c.attempts, c.version, c.claimed_by, c.stakeholder_id, s.kind as stakeholder_kind,
               a.email, c.event_id, f.name, f.type, f.time, f.correlation_id, f.traceparent, f.data,
               exists (select from outbox o where o.subject = c.id::text
                       and o.type = 'uk.nhs.quality.notification.delivered.v1') as was_sent
        from claimed c join feed f using (event_id) join stakeholders s on s.id = c.stakeholder_id
            join stakeholder_addresses a on a.stakeholder_id = c.stakeholder_id""",  # noqa: S608 the condition is a constant
        claimant,
        lease_s,
    )
    if row is None:
        return None
    return Claimed(
        **{**row, "name": EventName(row["name"]), "stakeholder_kind": StakeholderKind(row["stakeholder_kind"])}
    )


async def postpone(connection: Connection, claimed: Claimed, *, delay_s: float, error: str) -> bool:
    """Queue a claimed delivery again, for later. False if the claim was lost."""
    return await _end(connection, claimed, State.QUEUED, delay_s=delay_s, error=error)


async def mark_sent(connection: Connection, claimed: Claimed, at: datetime) -> bool:
    """The mail server has the message. False if the claim was lost."""
    return await _end(connection, claimed, State.SENT, finished_at=at)


async def mark_failed(connection: Connection, claimed: Claimed, at: datetime, error: str) -> bool:
    """It will never be delivered as it is. False if the claim was lost."""
    return await _end(connection, claimed, State.FAILED, finished_at=at, error=error)


async def queue_again(connection: Connection, delivery_id: UUID) -> None:
    """Queue a failed delivery again, to be sent at once."""
    await connection.execute(
        """
        update deliveries set state = 'queued', next_attempt_at = now(), finished_at = null, version = version + 1
        where id = $1""",
        delivery_id,
    )


async def _end(
    connection: Connection,
    claimed: Claimed,
    state: State,
    *,
    delay_s: float = 0,
    error: str | None = None,
    finished_at: datetime | None = None,
) -> bool:
    """End a claim, if it is still ours: after the lease another process may have taken the delivery over."""
    ended = await connection.fetchval(
        """
        update deliveries
        set state = $4, claimed_by = null, claimed_until = null, next_attempt_at = now() + make_interval(secs => $5),
            last_error = $6, finished_at = $7, version = version + case when $4 = 'queued' then 0 else 1 end
        where id = $1 and state = 'sending' and claimed_by = $2 and attempts = $3
        returning true""",
        claimed.id,
        claimed.claimed_by,
        claimed.attempts,
        state.value,
        delay_s,
        error,
        finished_at,
    )
    return ended is True
