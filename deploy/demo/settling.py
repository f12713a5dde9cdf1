# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
"""When is it quiet: nothing left to send, nothing left to take in, no message left to deliver."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.demo.api import Api, DemoFailed
from deploy.demo.observer import Observer
from deploy.local.stack import SERVICES, Stack
from shared.messaging import offsets, status
from shared.messaging.offsets import Partition
from shared.messaging.status import DeliveryStatus
from shared.security.roles import Role

#: How long it may take until it is quiet, in seconds.
_LIMIT_S = 120.0


@dataclass(frozen=True)
class Quiet:
    """How delivery stood, per service, when it was quiet."""

    services: dict[str, DeliveryStatus]

    @property
    def dead_letters(self) -> int:
        """Records in the dead letters of all services."""
        return sum(one.dead_letters for one in self.services.values())

    @property
    def held(self) -> int:
        """Events that wait for a missing one, in all services."""
        return sum(one.held_events for one in self.services.values())


async def wait_until_quiet(stack: Stack, api: Api, observer: Observer) -> Quiet:
    """Wait until every event was sent and taken in by all, and every message delivered or refused.

    Raises DemoFailed, naming what is still under way, if that takes too long.
    """
    deadline = time.monotonic() + _LIMIT_S
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap, group_id=None)
    await consumer.start()
    try:
        calm = 0
        while True:
            try:
                statuses, busy = await _look(stack, api, observer, consumer)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError) as error:
                statuses, busy = {}, f"{type(error).__name__}: {error}"
            # What one service has just taken in may make it say something: quiet is quiet twice.
            calm = 0 if busy else calm + 1
            if calm == 2:
                return Quiet(statuses)
            if time.monotonic() > deadline:
                raise DemoFailed(f"It has not become quiet within {_LIMIT_S:.0f} s: {busy}.")
            await asyncio.sleep(0.15)
    finally:
        await consumer.stop()


async def _look(
    stack: Stack, api: Api, observer: Observer, consumer: AIOKafkaConsumer
) -> tuple[dict[str, DeliveryStatus], str | None]:
    statuses: dict[str, DeliveryStatus] = {}
    taken: dict[str, dict[Partition, int]] = {}
    for name in SERVICES:
        connection = await asyncpg.connect(stack.dsn(name))
        try:
            statuses[name] = await status.read(connection)
            taken[name] = await offsets.taken_in(connection)
        finally:
            await connection.close()
    wanted = {TopicPartition(*partition) for partitions in taken.values() for partition in partitions}
    ends: dict[TopicPartition, int] = await consumer.end_offsets(wanted) if wanted else {}
    for name in SERVICES:
        if statuses[name].outbox_depth:
            return statuses, f"{name} has {statuses[name].outbox_depth} events to send"
        if not taken[name]:
            return statuses, f"{name} has no partitions yet"
        # The embedded broker can answer with an end that has been passed; what was read there is there.
        lag = sum(
            max(ends[TopicPartition(*partition)], observer.read_to.get(partition, 0)) - offset
            for partition, offset in taken[name].items()
        )
        if lag > 0:
            return statuses, f"{name} has {lag} records to take in"
    for state in ("queued", "sending"):
        if (await api.get("notify", "/deliveries", role=Role.OPERATIONS, state=state, limit=1))["items"]:
            return statuses, f"notify has messages that are {state}"
    return statuses, None
