# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The Kafka client is untyped.
"""How fast the consumer takes events in, beside one transaction per event and beside what no consumer can beat.

The consumer is the one the services run, with the visits service's reactions and the batch size it has by default, on
a database that is empty in every round. The floor fetches the same records with the same client in batches as large,
and COPYs their bytes into one table without looking at them, a transaction a batch. An event in binary mode is its
headers and its value, so the floor keeps both; beside it stands what it reaches if it drops the headers, which are half
of the bytes. All clocks start once the first batch is in, and stop when the last is committed.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import asyncpg

from benchmarks import material, plain_subscriber
from benchmarks.figures import Bar, Figure, median_ratio
from benchmarks.ground import Ground
from benchmarks.waiting import until
from services.visits.reactions import reactions
from shared.contracts.registry import Topic
from shared.messaging.consuming.consumer import Consumer
from shared.observability import metrics
from shared.persistence.pool import open_pool
from shared.service.settings import ServiceSettings

_TOPIC = Topic.CONCERNS.value
_BATCH: int = ServiceSettings.model_fields["batch_size"].default

#: Seconds between two looks at how far the consumer is.
_LOOK_S = 0.01
_LIMIT_S = 180.0

_groups = (f"benchmark-{number}" for number in itertools.count())


async def measure(ground: Ground, bars: dict[str, Bar], quick: bool) -> list[Figure]:
    """Measure consumer, floor and plain subscriber in turns."""
    events, plain_events, rounds = (8_000, 400, 2) if quick else (40_000, 1_500, 5)
    kafka = ground.kafka("benchmark")
    numbering = material.Numbering()
    for first in range(0, events, 10_000):
        happened = (material.raised(n) for n in range(first, min(first + 10_000, events)))
        await material.produce(kafka, _TOPIC, numbering.messages(happened))
    ours: list[float] = []
    floor: list[float] = []
    no_headers: list[float] = []
    plain: list[float] = []
    await _consumer_round(ground, events)
    for number in range(rounds):
        consumer_first = number % 2 == 0
        if consumer_first:
            ours.append(await _consumer_round(ground, events))
        floor.append(await _floor_round(ground, events))
        no_headers.append(await _floor_round(ground, events, headers=False))
        if not consumer_first:
            ours.append(await _consumer_round(ground, events))
        async with ground.database("visits") as dsn:
            plain.append(await plain_subscriber.consume(ground, dsn, _TOPIC, next(_groups), plain_events))
    rates = {"consumer_per_s": [round(r) for r in ours], "batch_size": _BATCH}
    return [
        Figure(
            "consume_ratio",
            median_ratio(ours, plain),
            bars["consume_ratio"],
            {**rates, "one_transaction_per_event_per_s": [round(r) for r in plain]},
        ),
        Figure(
            "consume_floor_ratio",
            median_ratio(ours, floor),
            bars["consume_floor_ratio"],
            {
                **rates,
                "fetch_and_copy_per_s": [round(r) for r in floor],
                "without_headers_per_s": [round(r) for r in no_headers],
                "ratio_without_headers": round(median_ratio(ours, no_headers), 3),
                "events_a_round": events,
            },
        ),
    ]


async def _consumer_round(ground: Ground, events: int) -> float:
    async with ground.database("visits") as dsn:
        return await consume(ground, dsn, events)


async def consume(
    ground: Ground,
    dsn: str,
    events: int,
    *,
    source: str = f"/{material.OFFICE}/visits",
    also: Callable[[], Awaitable[bool]] | None = None,
) -> float:
    """Let the consumer of visits take in events that its topics hold and its database has not seen.

    Events per second, until all are taken in and what is ``also`` asked for is true.
    """
    pool = await open_pool(dsn, name="benchmark")
    consumer = Consumer(
        pool=pool,
        kafka=ground.kafka("benchmark"),
        group=next(_groups),
        source=source,
        reactions=reactions,
        batch_size=_BATCH,
    )
    before = _applied()
    running = asyncio.create_task(consumer.run())
    # (instant, events taken in) at each look that saw progress.
    seen: list[tuple[float, int]] = []

    async def all_taken() -> bool:
        taken = _applied() - before
        if taken > (seen[-1][1] if seen else 0):
            seen.append((time.perf_counter(), taken))
        if taken < events or (also is not None and not await also()):
            return False
        seen.append((time.perf_counter(), taken))
        return True

    try:
        await until(all_taken, look_s=_LOOK_S, limit_s=_LIMIT_S, what="the consumer has taken all in")
    finally:
        consumer.stop()
        await running
        await pool.close()
    (first, already), (last, taken) = seen[0], seen[-1]
    return (taken - already) / (last - first)


def _applied() -> int:
    """Events that consumers of this process have applied and committed. To ask the database would take its time."""
    samples = (sample for metric in metrics.EVENTS_CONSUMED.collect() for sample in metric.samples)
    return int(sum(s.value for s in samples if s.name.endswith("_total") and s.labels["result"] == "applied"))


async def _floor_round(ground: Ground, events: int, *, headers: bool = True) -> float:
    """The rate of a loop that only fetches batches and copies the bytes of their records into a table."""
    async with ground.database() as dsn, material.reader(ground.kafka("benchmark"), _TOPIC) as consumer:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("create table floor (key bytea, value bytea, headers bytea)")
            taken = already = 0
            began = 0.0
            while taken < events:
                fetched = await consumer.getmany(timeout_ms=1_000, max_records=_BATCH)
                records = [
                    (record.key, record.value, b"".join([value for _, value in record.headers]) if headers else None)
                    for part in fetched.values()
                    for record in part
                ]
                await connection.copy_records_to_table("floor", records=records)
                taken += len(records)
                if not already and taken:
                    already, began = taken, time.perf_counter()
            return (taken - already) / (time.perf_counter() - began)
        finally:
            await connection.close()
