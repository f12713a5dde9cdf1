# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The Kafka client is untyped.
"""How fast the relay sends, beside a bare producer and beside another outbox library.

Every round saves the same number of events in one transaction, so all of them become visible at once, and takes the
time until the last is sent and marked. The bare producer has the relay's settings (idempotent, ``acks=all``,
pipelined) and sends the records that were read back of the relay: the same keys, values and headers, made before the
clock starts. The peer relays the same rows from a table of its own; it is measured with one worker, by which it keeps
the order, and with as many as make it fastest, by which it does not, and the faster of the two counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any

from benchmarks import material, peer
from benchmarks.figures import Bar, Figure, median_ratio
from benchmarks.ground import Ground
from benchmarks.material import Message
from benchmarks.order import check_order
from benchmarks.waiting import until
from shared.contracts.registry import Topic
from shared.messaging import outbox, wake
from shared.messaging.broker import new_producer
from shared.messaging.relaying.relay import Relay
from shared.persistence.pool import Connection, connect

_TOPIC = Topic.CONCERNS.value
_SOURCE = f"/{material.OFFICE}/intelligence"
_BARE_TOPIC = "benchmark.bare"

#: Seconds between two looks at whether all was sent; the clock is that much too slow at most, against the relay.
_LOOK_S = 0.02

#: Longest a round may take, in seconds.
_LIMIT_S = 120.0


async def measure(ground: Ground, bars: dict[str, Bar], quick: bool) -> list[Figure]:
    """Measure relay, bare producer and peer in turns. Raises OrderBroken if the relay's records are out of order."""
    rows, rounds = (4_000, 2) if quick else (20_000, 5)
    kafka = ground.kafka("benchmark")
    await ground.make_topic(_BARE_TOPIC)
    await ground.make_topic(peer.TOPIC)
    ours: list[float] = []
    bare: list[float] = []
    theirs: list[dict[int, float]] = []
    async with ground.database() as dsn, ground.database() as peers_dsn, relaying(ground, dsn, _SOURCE):
        # What is measured has been warm for a while: code, connections, the broker's memory of the producer.
        await _relay_round(dsn, 2_000)
        await _relay_round(dsn, rows)
        messages = [_message(record) for record in (await material.read_back(kafka, _TOPIC))[-rows:]]
        producer = new_producer(kafka)
        await producer.start()
        try:
            await material.send_all(producer, _BARE_TOPIC, messages[:2_000])
            for number in range(rounds):
                relay_first = number % 2 == 0
                if relay_first:
                    ours.append(await _relay_round(dsn, rows))
                began = time.perf_counter()
                await material.send_all(producer, _BARE_TOPIC, messages)
                bare.append(rows / (time.perf_counter() - began))
                if not relay_first:
                    ours.append(await _relay_round(dsn, rows))
                theirs.append(await _peer_round(ground, peers_dsn, messages))
        finally:
            await producer.stop()
        check_order(await material.read_back(kafka, _TOPIC), 2_000 + rows * (rounds + 1))
    fastest = [max(rates.values()) for rates in theirs]
    rates = {"relay_per_s": [round(r) for r in ours]}
    return [
        Figure(
            "relay_ratio",
            median_ratio(ours, bare),
            bars["relay_ratio"],
            {**rates, "bare_producer_per_s": [round(r) for r in bare], "events_a_round": rows, "order": "proven"},
        ),
        Figure(
            "relay_vs_peer",
            median_ratio(ours, fastest),
            bars["relay_vs_peer"],
            {
                **rates,
                "peer_per_s": {
                    f"{workers} workers": round(median(r[workers] for r in theirs)) for workers in theirs[0]
                },
                "peer_keeps_order": {f"{workers} workers": workers == 1 for workers in theirs[0]},
            },
        ),
    ]


@asynccontextmanager
async def relaying(ground: Ground, dsn: str, source: str) -> AsyncIterator[None]:
    """A relay that is ready, as long as the block runs."""
    kafka = ground.kafka("benchmark")
    relay = Relay(dsn=dsn, kafka=kafka, name="benchmark", source=source, retention=timedelta(days=14))
    running = asyncio.create_task(relay.run())

    async def leads() -> bool:
        return relay.problem is None

    try:
        await until(leads, look_s=0.05, limit_s=_LIMIT_S, what="the relay is ready")
        yield
    finally:
        relay.stop()
        await running


async def is_all_sent(connection: Connection) -> bool:
    """Whether the broker has acknowledged all that the outbox holds, and the relay has marked it."""
    return not await connection.fetchval("select exists (select from outbox_unsent)")


async def _relay_round(dsn: str, rows: int) -> float:
    """Save events in one transaction; how many were sent and marked per second of the time after its commit."""
    connection = await connect(dsn, name="benchmark")

    try:
        now = datetime.now(UTC)
        transaction = connection.transaction()
        await transaction.start()
        for first in range(0, rows, 1_000):
            events = [material.new_event(material.raised(n), now) for n in range(first, min(first + 1_000, rows))]
            await outbox.save(connection, _SOURCE, events)
        began = time.perf_counter()
        await transaction.commit()
        wake.up(_SOURCE)
        await until(partial(is_all_sent, connection), look_s=_LOOK_S, limit_s=_LIMIT_S, what="the relay has sent all")
        took = time.perf_counter() - began
    finally:
        await connection.close()
    return rows / took


async def _peer_round(ground: Ground, dsn: str, messages: Sequence[Message]) -> dict[int, float]:
    rates: dict[int, float] = {}
    for workers in peer.WORKERS:
        # One worker waits for every record's answer: a tenth of the rows takes it long enough.
        part = messages if workers > 1 else messages[: len(messages) // 10]
        rates[workers] = await peer.relay(ground, dsn, part, workers)
    return rates


def _message(record: Any) -> Message:
    return Message(record.key, record.value, list(record.headers), record.timestamp)
