"""Publishing annual volumes: each release has to fit to all that were published before."""

import asyncio
from datetime import date, datetime

from services.intelligence.domain import volumes as domain
from services.intelligence.domain.volumes import Release
from services.intelligence.store import volumes
from shared.persistence.pool import Connection


async def published(connection: Connection, now: datetime, today: date) -> tuple[Release, datetime] | None:
    """The volumes of all years that are over, and when they were released; None while there is no concern.

    Whoever asks first after the register has changed makes the release. Call it in a transaction.
    """
    await volumes.lock(connection)
    lives = await volumes.lives(connection)
    if not lives:
        return None
    first_day = min(life.raised_on for life in lives)
    listed = domain.counts(first_day, today)
    counted = domain.sizes(lives, listed)
    before = await volumes.last(connection)
    if before is not None and before.counted == counted:
        return before.release, before.at
    # Over decades of years it takes seconds, in which other requests are to be answered.
    release = await asyncio.to_thread(
        domain.release,
        counted,
        listed,
        domain.nothing_before(first_day, listed),
        before.release if before else None,
        await volumes.ever_shown(connection),
    )
    if before is not None and before.release.shown == release.shown:
        await volumes.found_unchanged(connection, release, counted)
        return release, before.at
    await volumes.add(connection, release, counted, now)
    return release, now
