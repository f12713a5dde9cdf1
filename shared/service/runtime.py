"""A running service: database, delivery and workers behind an HTTP application.

HTTP is up at once; the database and the broker are waited for in the background, and readiness tells when they
are there. What is lost later is waited for again: a service never ends by itself.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from fastapi import APIRouter

import shared.messaging
import shared.persistence
from shared.messaging import status
from shared.messaging.consuming.consumer import Consumer
from shared.messaging.consuming.reactions import AnyReactions
from shared.messaging.relaying.relay import FLUSH_S, Relay
from shared.persistence import answers, migrations
from shared.persistence.failures import is_passing
from shared.persistence.migrations import MigrationError
from shared.persistence.pool import Connection, Pool, open_pool
from shared.service import schedule
from shared.service.schedule import Job
from shared.service.settings import ServiceSettings

_log = structlog.get_logger("service")

#: How often gauges are read from the database, in seconds.
_SAMPLE_S = 2.0

#: How long the answer to a command with an Idempotency-Key is kept.
_KEEP_ANSWERS = timedelta(days=7)

#: How long the consumer and the workers may take to finish what is in hand when the service stops, in seconds.
_FINISH_S = 3.5

#: How long the relay may take after that to send what is left, in seconds: what it allows itself, and letting go.
_FLUSH_S = FLUSH_S + 0.7

#: How long the database may take to let our connections go, in seconds.
_CLOSE_S = 0.5

_NOT_REACHED = "not reached yet"


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker gets: it runs until ``stopping`` is set."""

    pool: Pool
    #: CloudEvents source of the service.
    source: str
    settings: ServiceSettings
    stopping: asyncio.Event

    @property
    def is_stopping(self) -> bool:
        """True once the service takes no new work."""
        return self.stopping.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the service stops."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return


Worker = Callable[[WorkerContext], Awaitable[None]]
Sampler = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What a stage adds to what every service is."""

    name: str
    description: str
    routers: Sequence[APIRouter]
    #: Folder of the stage's own migrations.
    migrations: Path
    reactions: AnyReactions
    #: Tasks that run as long as the service, such as sending e-mail.
    workers: Sequence[Worker] = ()
    #: What is done by the clock, such as noting that a due date has passed.
    jobs: Sequence[Job] = ()
    #: Reads the stage's own gauges, such as open concerns.
    samplers: Sequence[Sampler] = ()
    #: What the paths begin with whose bodies are files and may be larger than others.
    uploads: Sequence[str] = ()
    #: Routes where each request stands for a person: how many there were is in no metric.
    of_people: Sequence[str] = ()


class Service:
    """One running service."""

    def __init__(self, spec: ServiceSpec, settings: ServiceSettings, *, deliver: bool = True) -> None:
        """``deliver=False`` leaves relay, consumer and workers out, for tests of HTTP alone."""
        self.spec = spec
        self.settings = settings
        self.source = f"/{settings.office}/{spec.name}"
        self.pool: Pool | None = None
        self._deliver = deliver
        self._relay: Relay | None = None
        self._consumer: Consumer | None = None
        self._stopping = asyncio.Event()
        #: Until when consumer and workers may finish, by the monotonic clock, once the service stops.
        self._finish_by = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._relay_task: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        #: Why the database is not there yet; what was logged of it.
        self._database_trouble = _NOT_REACHED

    async def start(self) -> None:
        """Begin to start, in the background."""
        self._starting = asyncio.create_task(self._start(), name="start")

    async def started(self) -> None:
        """Wait until the database is there and migrated."""
        if self._starting is not None:
            await asyncio.shield(self._starting)

    def cease(self) -> None:
        """Take no new work from now on, and finish what is in hand; ``stop`` waits for that."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._finish_by = time.monotonic() + _FINISH_S
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
        if self._consumer is not None:
            self._consumer.stop()

    async def stop(self) -> None:
        """Take no new work, finish what is in hand, send what is saved, let go of everything.

        It ends within 10 s of ``cease``, whatever does not answer: what was cut off is repeated at the next start.
        """
        self.cease()
        await _end(self._tasks, within=max(self._finish_by - time.monotonic(), 0))
        if self._relay is not None and self._relay_task is not None:
            self._relay.stop()
            await _end([self._relay_task], within=_FLUSH_S)
        if self.pool is not None:
            try:
                await asyncio.wait_for(self.pool.close(), _CLOSE_S)
            except TimeoutError:
                self.pool.terminate()
        _log.info("stopped")

    # Start ------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        pool = await self._reach_database()
        if pool is None:
            return
        settings, spec = self.settings, self.spec
        context = WorkerContext(pool, self.source, settings, self._stopping)
        if self._deliver:
            self._relay = Relay(
                dsn=settings.database_url.get_secret_value(),
                kafka=settings.kafka(spec.name),
                name=spec.name,
                source=self.source,
                retention=settings.outbox_retention,
            )
            self._consumer = Consumer(
                pool=pool,
                kafka=settings.kafka(spec.name),
                group=f"{settings.office}.{spec.name}",
                source=self.source,
                reactions=spec.reactions,
                batch_size=settings.batch_size,
                policy=settings.retry_policy,
                instance_id=settings.instance_id,
            )
            self._relay_task = asyncio.create_task(self._relay.run(), name="relay")
            self._tasks.append(asyncio.create_task(self._consumer.run(), name="consumer"))
            workers = [*spec.workers, schedule.worker(spec.jobs)] if spec.jobs else spec.workers
            self._tasks += [asyncio.create_task(self._supervise(worker, context)) for worker in workers]
            self._tasks.append(asyncio.create_task(self._supervise(self._sample, context), name="sampler"))
        self.pool = pool
        _log.info("database ready")

    async def _reach_database(self) -> Pool | None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                pool = await open_pool(self.settings.database_url.get_secret_value(), name=self.spec.name)
                try:
                    await self._migrate(pool)
                except BaseException:
                    pool.terminate()
                    raise
                return pool
            except Exception as error:
                attempt += 1
                self._tell_of_database(error)
                await asyncio.sleep(random.uniform(0.5, 1) * min(0.2 * 2**attempt, 5))
        return None

    def _tell_of_database(self, error: Exception) -> None:
        """Log why the database cannot be used yet, and once if only a person can mend it. Readiness says it too."""
        if is_passing(error):
            # A server that is starting refuses in many ways; a wrong password stays wrong, and the log says so.
            self._database_trouble = _NOT_REACHED
            _log.warning("waiting for the database", error=f"{type(error).__name__}: {error}")
            return
        trouble = str(error) if isinstance(error, MigrationError) else f"{type(error).__name__}; see the log"
        trouble = f"cannot be opened and migrated: {trouble}"
        if trouble != self._database_trouble:
            self._database_trouble = trouble
            _log.error("the database cannot be used; trying again until it is mended", exc_info=error)

    async def _migrate(self, pool: Pool) -> None:
        async with pool.acquire() as connection:
            for scope, folder in (
                ("persistence", _folder(shared.persistence)),
                ("messaging", _folder(shared.messaging)),
                (self.spec.name, self.spec.migrations),
            ):
                for name in await migrations.migrate(connection, scope, folder):
                    _log.info("migrated", scope=scope, file=name)

    # Background -------------------------------------------------------------------------------------------------

    async def _supervise(self, worker: Worker, context: WorkerContext) -> None:
        """Run a worker for as long as the service runs: what it fails of is logged, and it begins anew."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await worker(context)
                failures = 0
            except Exception as error:
                failures = min(failures + 1, 6)
                name = getattr(worker, "__name__", "worker")
                if is_passing(error):
                    _log.warning("worker lost its database or network", worker=name, error=repr(error))
                else:
                    _log.exception("worker failed; starting it anew", worker=name)
            # Also after a worker that just returned, or one that has nothing to do would keep the process busy.
            await context.pause(random.uniform(0.5, 1) * 0.2 * 2**failures)

    async def _sample(self, context: WorkerContext) -> None:
        while not self._stopping.is_set():
            async with context.pool.acquire() as connection:
                status.observe(await status.read(connection))
                for sampler in self.spec.samplers:
                    await sampler(connection)
                await answers.prune(connection, datetime.now(UTC) - _KEEP_ANSWERS)
            await context.pause(_SAMPLE_S)

    # Health -----------------------------------------------------------------------------------------------------

    async def problems(self) -> dict[str, str | None]:
        """Each part's problem, or None where there is none."""
        checks: dict[str, str | None] = {"database": await self._database_problem()}
        if self._deliver:
            checks["consumer"] = self._consumer.problem if self._consumer else "not started"
            checks["relay"] = self._relay.problem if self._relay else "not started"
        return checks

    async def _database_problem(self) -> str | None:
        if self.pool is None:
            return self._database_trouble
        try:
            async with asyncio.timeout(2):
                await self.pool.fetchval("select 1")
        except Exception as error:
            return f"does not answer: {type(error).__name__}"
        return None


async def _end(tasks: Sequence[asyncio.Task[None]], *, within: float) -> None:
    """Wait for tasks to end; cancel those that do not, and leave behind what does not even heed that."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=within)
    for task in late:
        _log.warning("cut off", task=task.get_name())
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=_CLOSE_S)


def _folder(package: object) -> Path:
    return Path(str(getattr(package, "__file__", ""))).parent / "migrations"
