"""Sending again what was sent: after a broker lost it, the producers' databases still hold it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shared.messaging import operator_actions, outbox
from shared.messaging.operator_actions import Operator
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Republished:
    """What is sent again."""

    dry_run: bool
    #: Events saved at this instant or later were asked for; None: all that are kept.
    since: datetime | None
    #: How many events the relay sends again, by topic. Those still unsent are not among them.
    events: dict[str, int]
    #: When the oldest event that is still kept was saved; None if none is kept.
    oldest_kept: datetime | None
    #: Topics and keys of which earlier events are not kept any more. Whoever has them is whole; a reader that never
    #: saw such a key waits for its first event.
    begin_later: list[tuple[str, str]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def republish(
    connection: Connection, since: datetime | None, operator: Operator, *, dry_run: bool = False
) -> Republished:
    """Let the relay send again, in order, what was saved since an instant; consumers drop what they have.

    With ``dry_run`` nothing is changed. Raises EmissionRefused while the service may not emit.
    """
    if (reason := await outbox.fence(connection)) is not None:
        raise outbox.EmissionRefused(reason)
    transaction = connection.transaction()
    await transaction.start()
    try:
        rows = await connection.fetch(
            """
            with again as (
                insert into outbox_unsent select position from outbox where $1::timestamptz is null or saved_at >= $1
                on conflict do nothing returning position
            )
            select topic, key, count(*) as events, min(sequence) as first from outbox join again using (position)
            group by topic, key""",
            since,
        )
        kept = await connection.fetch(
            "select topic, key, min(sequence) as first, min(saved_at) as oldest from outbox group by topic, key"
        )
        events: dict[str, int] = {}
        for row in rows:
            events[row["topic"]] = events.get(row["topic"], 0) + row["events"]
        done = Republished(
            dry_run=dry_run,
            since=since,
            events=events,
            oldest_kept=min((row["oldest"] for row in kept), default=None),
            begin_later=sorted((row["topic"], row["key"]) for row in kept if row["first"] > 1),
        )
        detail = {"since": since.isoformat() if since else None, "events": events}
        await operator_actions.record(connection, operator, "outbox.republished", "outbox", detail)
        await connection.execute("select pg_notify($1, '')", outbox.WAKE_CHANNEL)
    except BaseException:
        await transaction.rollback()
        raise
    if dry_run:
        await transaction.rollback()
    else:
        await transaction.commit()
    return done
