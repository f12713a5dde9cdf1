"""A service's end, whatever its database and its broker do."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.persistence import migrations
from shared.persistence.pool import open_pool
from shared.service.runtime import Service, ServiceSpec, Worker, WorkerContext
from shared.service.settings import ServiceSettings
from tests.integration.messaging.delivery import OwnBroker, a_key, emit, eventually, make_reactions

LIMIT_S = 10.0


async def slow_worker(context: WorkerContext) -> None:
    """Does not look at the clock, as one that waits for a mail server."""
    await asyncio.sleep(60)


def service(folder: Path, *, database: str, bootstrap: str, workers: Sequence[Worker] = ()) -> Service:
    if not any(folder.iterdir()):
        # What its reaction writes to: other tests may have left events on the same broker.
        (folder / "0001_effects.sql").write_text(
            "create table effects (n bigint generated always as identity, event_id uuid, key text, sequence bigint);"
        )
    spec = ServiceSpec(
        name="test",
        description="a test",
        routers=[],
        migrations=folder,
        reactions=make_reactions(),
        workers=workers,
    )
    settings = ServiceSettings.model_validate(
        {
            "database_url": database,
            "kafka_bootstrap": bootstrap,
            "kafka_session_timeout_ms": 6_000,
            "http_port": 1,
            "office": "test-office",
            "jwt_secret": "a-secret-of-the-tests-with-40-characters",
            "pseudonym_key": "a-pseudonym-key-of-the-tests-40-characters",
        }
    )
    return Service(spec, settings)


async def seconds_to_stop(running: Service) -> float:
    started = time.monotonic()
    await asyncio.wait_for(running.stop(), 60)
    return time.monotonic() - started


async def is_ready(running: Service) -> None:
    async def check() -> bool:
        problems = await running.problems()
        assert not any(problems.values()), problems
        return True

    await eventually(check)


class Proxy:
    """Stands between a service and its database, and can fall silent without closing anything."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.dsn = ""

    def freeze(self) -> None:
        self._flowing.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.dsn = self._target._replace(netloc=self._target.netloc.rpartition(":")[0] + f":{port}").geturl()
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its_reader, its_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, sink in ((reader, its_writer), (its_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._flowing.wait()
            sink.write(data)
        sink.close()


async def test_a_service_that_never_reached_anything_ends_in_time(tmp_path: Path) -> None:
    running = service(tmp_path, database="postgresql://nobody@127.0.0.1:1/nothing", bootstrap="127.0.0.1:1")
    await running.start()
    await asyncio.sleep(0.5)
    assert (await running.problems())["database"] is not None
    assert await seconds_to_stop(running) < LIMIT_S


@pytest.mark.needs_apache
async def test_a_service_whose_broker_is_killed_ends_in_time_and_keeps_its_events(
    tmp_path: Path, database: str, own_broker: OwnBroker
) -> None:
    running = service(tmp_path, database=database, bootstrap=own_broker.bootstrap)
    await running.start()
    await running.started()
    await is_ready(running)
    await own_broker.kill()
    assert running.pool is not None
    await emit(running.pool, a_key(), 5)
    assert await seconds_to_stop(running) < LIMIT_S
    pool = await open_pool(database, name="test")
    assert await pool.fetchval("select count(*) from outbox_unsent") == 5
    await pool.close()


@pytest.mark.needs_apache
async def test_a_service_whose_database_and_broker_fall_silent_ends_in_time(
    tmp_path: Path, database: str, own_broker: OwnBroker
) -> None:
    async with Proxy(database).running() as proxy:
        running = service(tmp_path, database=proxy.dsn, bootstrap=own_broker.bootstrap, workers=[slow_worker])
        await running.start()
        await running.started()
        await is_ready(running)
        assert running.pool is not None
        await emit(running.pool, a_key(), 5)
        proxy.freeze()
        own_broker.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(0.5)
            assert await seconds_to_stop(running) < LIMIT_S
            assert [task for task in asyncio.all_tasks() if "_supervise" in repr(task.get_coro())] == []
        finally:
            own_broker.signal(signal.SIGCONT)


async def test_a_database_that_cannot_be_migrated_is_told_of_once_and_waited_for(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "0001_one.sql"
    file.write_text("create table one (number int);")
    pool = await open_pool(database, name="test")
    async with pool.acquire() as connection:
        await migrations.migrate(connection, "test", tmp_path)
    await pool.close()
    file.write_text("create table one (number bigint);")
    running = service(tmp_path, database=database, bootstrap="127.0.0.1:1")
    await running.start()
    try:
        await asyncio.sleep(1.5)
        problem = (await running.problems())["database"]
        assert problem is not None and "0001_one.sql was edited after it was applied: restore it" in problem
        told = capsys.readouterr().out
        assert told.count("0001_one.sql was edited after it was applied: restore it") == 1
        assert "[error" in told and "waiting for the database" not in told

        file.write_text("create table one (number int);")
        await asyncio.wait_for(running.started(), 20)
        assert (await running.problems())["database"] is None
    finally:
        await running.stop()


async def test_a_migration_whose_sql_fails_is_told_of_once_and_readiness_repeats_no_data(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0001_one.sql").write_text("select 'Ada Example'::int;")
    running = service(tmp_path, database=database, bootstrap="127.0.0.1:1")
    await running.start()
    try:
        await asyncio.sleep(1.5)
        problem = (await running.problems())["database"]
        assert problem == "cannot be opened and migrated: InvalidTextRepresentationError; see the log"
        assert capsys.readouterr().out.count("the database cannot be used") == 1
    finally:
        await running.stop()


async def test_a_worker_that_returns_does_not_keep_the_process_busy(tmp_path: Path, database: str) -> None:
    calls = 0

    async def nothing_to_do(_: WorkerContext) -> None:
        nonlocal calls
        calls += 1

    running = service(tmp_path, database=database, bootstrap="127.0.0.1:1")
    context = WorkerContext(await open_pool(database, name="test"), "", running.settings, asyncio.Event())
    task = asyncio.create_task(running._supervise(nothing_to_do, context))
    try:
        await asyncio.sleep(0.5)
        assert 1 <= calls <= 10
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await context.pool.close()
