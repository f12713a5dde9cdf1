"""Reading the facts: each database in one snapshot, as the service it belongs to, and the topics from where we were."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from deploy.verify.delivery_checks import Service
from deploy.verify.topic_log import TopicLog
from shared.contracts.registry import Topic
from shared.messaging import delivery_facts
from shared.messaging.broker import KafkaSettings, cluster_id
from shared.messaging.consuming.reactions import AnyReactions
from shared.messaging.log_reading import Span, open_log
from shared.messaging.offsets import Partition
from shared.persistence.pool import prepare

#: Longest a statement may take, in seconds: it reads whole tables.
_STATEMENT_S = 600.0

#: How often progress is told, in records.
_TELL_EVERY = 20_000

Tell = Callable[[str], None]


class NotReadable(RuntimeError):
    """A database or the cluster cannot be read. The message says which, and why."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One service: its side of delivery, and the facts of its own tables."""

    service: Service
    #: CloudEvents types it reacts to.
    types: list[str]
    #: What `services.<name>.store.facts` read.
    facts: Any


async def stage(name: str, dsn: str, office: str) -> Stage:
    """The facts of one service, all of one instant. Changes nothing. Raises NotReadable."""
    facts = importlib.import_module(f"services.{name}.store.facts")
    reactions: AnyReactions = importlib.import_module(f"services.{name}.reactions").reactions
    try:
        connection = await asyncpg.connect(
            dsn, command_timeout=_STATEMENT_S, server_settings={"application_name": "qc verify", "timezone": "UTC"}
        )
        try:
            await prepare(connection)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                delivery = await delivery_facts.read(connection)
                own = await facts.read(connection)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NotReadable(f"the database of {name} cannot be read: {type(error).__name__}: {error}") from error
    service = Service(name, f"/{office}/{name}", [topic.value for topic in reactions.topics], delivery)
    return Stage(service, reactions.event_types, own)


async def stages(databases: Mapping[str, str], office: str) -> dict[str, Stage]:
    """The facts of several services, read at the same time. Raises NotReadable."""
    read = await asyncio.gather(*(stage(name, dsn, office) for name, dsn in databases.items()))
    return dict(zip(databases, read, strict=True))


class Topics:
    """The topics, read once and then on from where reading ended."""

    def __init__(self, kafka: KafkaSettings, tell: Tell) -> None:
        self._kafka = kafka
        self._tell = tell
        self._cluster = ""
        self._next: dict[Partition, int] = {}
        self.log = TopicLog()

    async def read_on(self) -> None:
        """Read up to the present end; from the beginning if it is another cluster or a log became shorter.

        Raises NotReadable.
        """
        try:
            cluster = await cluster_id(self._kafka)
            async with open_log(self._kafka) as reader:
                spans = await reader.spans([topic.value for topic in Topic])
                if cluster != self._cluster or any(spans[p].end < offset for p, offset in self._next.items()):
                    self._cluster, self._next, self.log = cluster, {}, TopicLog()
                wanted = {p: Span(max(span.begin, self._next.get(p, 0)), span.end) for p, span in spans.items()}
                total = sum(max(span.end - span.begin, 0) for span in wanted.values())
                told = self.log.records
                async for records in reader.read(wanted):
                    self.log.take(records)
                    if self.log.records - told >= _TELL_EVERY:
                        told = self.log.records
                        self._tell(f"read {told} of about {total} records")
                self._next = {p: span.end for p, span in wanted.items()}
        except (KafkaError, OSError, RuntimeError, KeyError) as error:
            raise NotReadable(
                f"the topics at {self._kafka.bootstrap} cannot be read: {type(error).__name__}: {error}"
            ) from error
