"""Jobs that a service does by the clock: each by one process at a time, in one transaction, whatever is restarted.

When a job is due stands in the database, and its row is locked while it runs: so of several processes one runs it, and
nothing is forgotten or done twice when one is killed. What a run did, the events it emits and the note that it ran
commit together. A job looks for what is due in the state itself, not for what became due since its last run: a run
that comes late, or once more, does the right thing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from shared.messaging.unit_of_work import UnitOfWork, unit_of_work
from shared.observability import metrics
from shared.persistence import schedule
from shared.persistence.failures import is_passing
from shared.persistence.pool import Pool

_log = structlog.get_logger("schedule")

#: How often it is looked at what is due, in seconds.
_LOOK_S = 5.0

#: How long a job that failed waits: long enough not to fill the log, short enough for what was mended.
_PUT_OFF = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done again and again."""

    #: Unique in its service, and never given to another job: the database keeps its due time under it.
    name: str
    every: timedelta
    #: Does a part that fits one transaction; True if there is more to do at once.
    run: Callable[[UnitOfWork], Awaitable[bool]]


class Clockwork(Protocol):
    """What the schedule needs of the service it runs in."""

    @property
    def pool(self) -> Pool:
        """The service's pool."""
        ...

    @property
    def source(self) -> str:
        """CloudEvents source of the service."""
        ...

    @property
    def is_stopping(self) -> bool:
        """True once the service takes no new work."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the service stops."""
        ...


def worker(jobs: Sequence[Job]) -> Callable[[Clockwork], Awaitable[None]]:
    """A worker that runs jobs when they are due, as long as the service runs.

    Raises ValueError for two jobs of one name.
    """
    by_name = {job.name: job for job in jobs}
    if len(by_name) < len(jobs):
        raise ValueError(f"two jobs have one name among {', '.join(job.name for job in jobs)}; name them apart")

    async def schedule_jobs(context: Clockwork) -> None:
        for name in by_name:
            # There from the start, or the first failure would not be a rise.
            metrics.SCHEDULED_RUNS.labels(name, "failed")
        async with context.pool.acquire() as connection:
            await schedule.know(connection, by_name.keys(), datetime.now(UTC))
        while not context.is_stopping:
            more = await run_due(context.pool, context.source, by_name, datetime.now(UTC))
            if not more:
                await context.pause(_LOOK_S)

    return schedule_jobs


async def run_due(pool: Pool, source: str, jobs: Mapping[str, Job], now: datetime) -> bool:
    """Run each job that is due at this instant once; True if one of them has more to do.

    A job that fails is put off and the others go on; raises only what is the database's or the network's fault.
    """
    async with pool.acquire() as connection:
        names = await schedule.due(connection, jobs.keys(), now)
    more = False
    for name in names:
        more |= await _run(pool, source, jobs[name], now)
    return more


async def _run(pool: Pool, source: str, job: Job, now: datetime) -> bool:
    try:
        async with unit_of_work(pool, source, now) as work:
            if not await schedule.claim(work.connection, job.name, now):
                return False
            more = await job.run(work)
            await schedule.succeeded(work.connection, job.name, now, now if more else now + job.every)
    except Exception as error:
        if is_passing(error):
            raise
        metrics.SCHEDULED_RUNS.labels(job.name, "failed").inc()
        _log.exception("job failed; trying it again in a while", job=job.name)
        async with pool.acquire() as connection:
            await schedule.put_off(connection, job.name, now, now + _PUT_OFF)
        return False
    metrics.SCHEDULED_RUNS.labels(job.name, "done").inc()
    return more
