# pyright: reportMissingTypeStubs=false, reportMissingImports=false
# What it measures is installed by `make bench` alone.
"""The peer: the library ``faststream-outbox`` relays the same records from its own table, as its manual shows.

A handler returns what the row holds, and FastStream's publisher for Kafka sends it. Rows are claimed and deleted in
large batches, and its producer has the relay's guarantees (``acks=all``, idempotent).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
from faststream.kafka import KafkaBroker, KafkaResponse
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.message import OutboxMessage
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.ground import Ground
from benchmarks.material import Message
from benchmarks.waiting import until

TOPIC = "benchmark.peer"

#: Workers of its subscriber: 1 keeps the order; more send faster and do not.
WORKERS = (1, 32)

_QUEUE = "events"
_TABLE = "peer_outbox"
_LOOK_S = 0.02
_LIMIT_S = 60.0

_quiet = logging.getLogger("benchmark.peer")
_quiet.setLevel(logging.ERROR)


async def relay(ground: Ground, dsn: str, messages: Sequence[Message], workers: int) -> float:
    """Let the peer relay these records from a database of its own; how many per second."""
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=workers + 4)
    metadata = MetaData()
    rows = make_outbox_table(metadata, table_name=_TABLE)
    # Neither decodes nor checks what it only passes on.
    source = OutboxBroker(engine, outbox_table=rows, logger=_quiet, apply_types=False)
    kafka = ground.kafka("peer")
    target = KafkaBroker(
        kafka.bootstrap, client_id=kafka.client_id, acks="all", enable_idempotence=kafka.idempotence, logger=None
    )

    @target.publisher(TOPIC)
    @source.subscriber(
        _QUEUE,
        max_workers=workers,
        fetch_batch_size=1_000,
        terminal_flush_batch_size=100,
        min_fetch_interval=0.01,
        max_fetch_interval=1.0,
        decoder=_as_it_is,
    )
    async def send(message: OutboxMessage) -> KafkaResponse:
        headers: dict[str, Any] = message.headers
        return KafkaResponse(message.body, key=headers["ce_partitionkey"].encode(), headers=headers)

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await target.start()
    try:
        async with source:
            return await _timed(dsn, messages)
    finally:
        await target.stop()
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
        await engine.dispose()


async def _as_it_is(message: OutboxMessage) -> OutboxMessage:
    return message


async def _timed(dsn: str, messages: Sequence[Message]) -> float:
    connection = await asyncpg.connect(dsn)
    try:
        # One row first, so that all its connections are there.
        await _save(connection, messages[:1])
        await _until_empty(connection)
        began = await _save(connection, messages)
        await _until_empty(connection)
        return len(messages) / (time.perf_counter() - began)
    finally:
        await connection.close()


async def _save(connection: asyncpg.Connection[asyncpg.Record], messages: Sequence[Message]) -> float:
    """Save rows as the library would, in one transaction; the instant before its commit."""
    transaction = connection.transaction()
    await transaction.start()
    headers = [json.dumps({name: value.decode() for name, value in message.headers}) for message in messages]
    await connection.execute(
        f"insert into {_TABLE} (queue, payload, headers) "  # noqa: S608 a constant of this module
        "select $1, payload, headers from unnest($2::bytea[], $3::jsonb[]) as m (payload, headers)",
        _QUEUE,
        [message.value for message in messages],
        headers,
    )
    await connection.execute("select pg_notify($1, $2)", f"outbox_{_TABLE}", _QUEUE)
    began = time.perf_counter()
    await transaction.commit()
    return began


async def _until_empty(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async def is_empty() -> bool:
        return not await connection.fetchval(f"select exists (select from {_TABLE})")  # noqa: S608 a constant

    await until(is_empty, look_s=_LOOK_S, limit_s=_LIMIT_S, what="the peer has relayed all")
