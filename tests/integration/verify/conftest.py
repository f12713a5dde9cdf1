"""A cycle that was played to its end by the real services, whose databases each test may break in copies of them."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.demo.api import Api
from deploy.demo.cycle import Cycle
from deploy.demo.observer import Observer
from deploy.local import ports
from deploy.local.stack import SERVICES, Options, Stack
from deploy.verify import Report, verify
from shared.security.roles import Role
from tests.fixtures.infrastructure import free_port_base


@dataclass(frozen=True)
class Played:
    """What is left of a cycle when its services have stopped: four databases, a cluster and a mail sink."""

    bootstrap: str
    fetch_max_wait_ms: int
    mail_url: str
    postgres_port: int
    superuser_password: str

    def dsn(self, database: str) -> str:
        """A database as superuser, who may break what no service may."""
        return f"postgresql://postgres:{self.superuser_password}@{ports.LOOPBACK}:{self.postgres_port}/{database}"

    @property
    def databases(self) -> dict[str, str]:
        """The databases as the cycle left them, for those who only look."""
        return {name: self.dsn(f"qc_{name}") for name in SERVICES}

    async def verify(self, databases: dict[str, str], **options: Any) -> Report:
        return await verify(databases, self.bootstrap, fetch_max_wait_ms=self.fetch_max_wait_ms, **options)


async def _play(stack: Stack) -> None:
    api = Api(stack.urls, stack.secrets.jwt, lambda line: None)
    observer = Observer(stack.bootstrap, 50, datetime.now(UTC), lambda seen: None)
    watching = asyncio.create_task(observer.run())
    try:
        cycle = Cycle(api, observer, lambda line: None, date.today())
        await cycle.import_registers()
        concern = await cycle.play()
        path, body = f"/concerns/{concern['id']}/reopening", {"rationale": "It is back."}
        await api.post("intelligence", path, body, role=Role.QUALITY_LEAD, version=concern["version"])
        databases = {name: stack.dsn(name) for name in SERVICES}
        report = await verify(databases, stack.bootstrap, wait_s=60, mail_url=stack.mail_url)
        assert report.clean, json.dumps(report.as_dict(), indent=1)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await api.close()


@pytest.fixture(scope="package")
def played() -> Iterator[Played]:
    """A whole cycle on a stack of its own, verified clean while it ran; then its services were stopped."""
    folder = Path(tempfile.mkdtemp(prefix="quality-cycle-verify-"))
    folder.chmod(0o711)
    options = Options(
        data_dir=folder / "data", ports=ports.Ports(free_port_base()), durable=False, die_with_parent=True
    )
    try:
        with Stack(options) as stack:
            # In a thread: the tests' own event loop runs in this one.
            with ThreadPoolExecutor(1) as others:
                others.submit(lambda: asyncio.run(_play(stack))).result()
            for name in SERVICES:
                stack.terminate(name)
            wait_ms = int(stack.broker.client_environment.get("QC_KAFKA_FETCH_MAX_WAIT_MS", "500"))
            own = stack.options.ports
            yield Played(stack.bootstrap, wait_ms, stack.mail_url, own.postgres, stack.secrets.postgres)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def copy(played: Played) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Copies the database of a service; ``await copy("visits")`` gives the copy's DSN, of this test alone."""
    made: list[str] = []
    connection = await asyncpg.connect(played.dsn("postgres"))

    async def make(service: str) -> str:
        name = f"qc_{service}_{uuid.uuid4().hex[:8]}"
        await connection.execute(f"create database {name} template qc_{service}")
        made.append(name)
        return played.dsn(name)

    try:
        yield make
        for name in made:
            await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


@pytest.fixture
async def copies(copy: Callable[[str], Awaitable[str]]) -> dict[str, str]:
    """Copies of all four databases."""
    return {name: await copy(name) for name in SERVICES}


async def break_(dsn: str, sql: str) -> str:
    """Break a database as superuser, past triggers and foreign keys; returns the first value of the last statement.

    Statements are divided by two semicolons.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        *first, last = sql.split(";;")
        for statement in first:
            await connection.execute(statement)
        return str(await connection.fetchval(last))
    finally:
        await connection.close()
