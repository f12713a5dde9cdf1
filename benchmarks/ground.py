# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The Kafka client is untyped.
"""What a benchmark runs on: a stack of its own, with durable databases and a broker as in production."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import shared.messaging
import shared.persistence
from deploy.local import paths, ports
from deploy.local.stack import Options, Stack
from shared.contracts.registry import PARTITIONS
from shared.messaging.broker import KafkaSettings
from shared.messaging.topics import TOPIC_CONFIG
from shared.persistence import migrations

_SERVICES = Path(__file__).parents[1] / "services"


@dataclass(frozen=True)
class Ground:
    """A running stack and what the measurements need of it."""

    stack: Stack
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def is_apache(self) -> bool:
        """Whether the broker is genuine Apache Kafka."""
        return self.stack.broker.kind != "embedded"

    def kafka(self, client_id: str) -> KafkaSettings:
        """How the services of this stack reach its broker."""
        environment = self.stack.broker.client_environment
        return KafkaSettings(
            bootstrap=self.stack.bootstrap,
            client_id=client_id,
            idempotence=environment.get("QC_KAFKA_IDEMPOTENCE", "true") == "true",
            fetch_max_wait_ms=int(environment.get("QC_KAFKA_FETCH_MAX_WAIT_MS", 500)),
            session_timeout_ms=int(environment.get("QC_KAFKA_SESSION_TIMEOUT_MS", 10_000)),
        )

    def superuser_dsn(self, database: str = "postgres") -> str:
        """URL of a database, as the server's superuser."""
        own = self.stack.options.ports
        return f"postgresql://postgres:{self.stack.secrets.postgres}@{ports.LOOPBACK}:{own.postgres}/{database}"

    @contextlib.asynccontextmanager
    async def database(self, service: str | None = None) -> AsyncIterator[str]:
        """A new database with the tables of delivery, and of a service if one is named; its URL. Dropped at the end."""
        name = f"bench_{next(self._numbers)}"
        server = await asyncpg.connect(self.superuser_dsn())
        try:
            await server.execute(f"create database {name}")
            connection = await asyncpg.connect(self.superuser_dsn(name))
            try:
                await _migrate(connection, service)
            finally:
                await connection.close()
            yield self.superuser_dsn(name)
            await server.execute(f"drop database {name} with (force)")
        finally:
            await server.close()

    async def make_topic(self, name: str) -> None:
        """A topic beside those of the system, made like them."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=TOPIC_CONFIG)])
        finally:
            await admin.close()


async def _migrate(connection: asyncpg.Connection[asyncpg.Record], service: str | None) -> None:
    folders = {
        "persistence": Path(shared.persistence.__file__).parent / "migrations",
        "messaging": Path(shared.messaging.__file__).parent / "migrations",
    }
    if service is not None:
        folders[service] = _SERVICES / service / "migrations"
    for scope, folder in folders.items():
        await migrations.migrate(connection, scope, folder)


@contextlib.contextmanager
def running(kafka: str, *services: str) -> Iterator[Ground]:
    """Start a stack with these services for one benchmark; it is stopped, and all it kept removed, at the end.

    Raises what ``Stack.start`` raises.
    """
    folder = paths.data_dir() / "benchmark"
    _remove(folder)
    options = Options(kafka=kafka, data_dir=folder, services=services, die_with_parent=True)
    try:
        with Stack(options) as stack:
            yield Ground(stack)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    # PostgreSQL's data lie elsewhere if its account could not reach this folder.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree((folder / "postgres").resolve(strict=True))
    shutil.rmtree(folder, ignore_errors=True)
