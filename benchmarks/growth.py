# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# The Kafka client is untyped.
"""Whether a service gets slower as its tables grow.

Three databases of visits hold 10,000, 100,000 and 1,000,000 rows each in the outbox and its counters, the positions,
the providers, the concerns, the requirements and the history. In every round each takes in the same events, concerns
that are raised and then rated, while its relay sends the visits they call for. The providers these are about lie
anywhere among those there are, in every table and index. The rate is events over the time until all were taken in and
all that followed was sent; the figure is the rate of the largest database over that of the smallest.
"""

from __future__ import annotations

import contextlib
import random
from functools import partial
from statistics import median

import asyncpg

from benchmarks import consuming, material
from benchmarks.figures import Bar, Figure, median_ratio
from benchmarks.ground import Ground
from benchmarks.relaying import is_all_sent, relaying
from shared.contracts.registry import Topic
from shared.persistence.pool import connect

SIZES = (10_000, 100_000, 1_000_000)

_INTELLIGENCE = f"/{material.OFFICE}/intelligence"

#: A provider's code from its number: every number gives another, and neighbours lie far apart in an index.
_KEY = "upper(lpad(to_hex((n * 2654435761) % 4294967296), 8, '0'))"


async def measure(ground: Ground, bars: dict[str, Bar], quick: bool) -> list[Figure]:
    """Fill the databases, then let each take in the same events in turns."""
    sizes = tuple(size // 100 for size in SIZES) if quick else SIZES
    events, rounds = (1_000, 2) if quick else (8_000, 5)
    chance = random.Random(sizes[0])
    numbering = material.Numbering(first=2)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    async with contextlib.AsyncExitStack() as stack:
        dsns = {size: await stack.enter_async_context(ground.database("visits")) for size in sizes}
        keys: list[str] = []
        for size, dsn in dsns.items():
            await fill(dsn, size, _source(size))
            keys = keys or await _keys(dsn)
        # The first round is not counted: it also reads what every run of a relay reads of the topic first.
        for number in range(rounds + 1):
            raised = [material.raised(n, chance.choice(keys)) for n in range(events // 2)]
            happened = [event for one in raised for event in (one, material.rated(one))]
            await material.produce(ground.kafka("benchmark"), Topic.CONCERNS.value, numbering.messages(happened))
            for size in sizes if number % 2 else reversed(sizes):
                rate = await _round(ground, dsns[size], size, events)
                if number:
                    rates[size].append(rate)
    return [
        Figure(
            "growth",
            median_ratio(rates[sizes[-1]], rates[sizes[0]]),
            bars["growth"],
            {
                "median_per_s": {f"{size:,} rows": round(median(found)) for size, found in rates.items()},
                "events_per_s": {f"{size:,} rows": [round(rate) for rate in found] for size, found in rates.items()},
                "events_a_round": events,
            },
        )
    ]


def _source(size: int) -> str:
    """Each database is a service of its own, or its relay would find the others' records under its name."""
    return f"/office-{size}/visits"


async def _round(ground: Ground, dsn: str, size: int, events: int) -> float:
    connection = await connect(dsn, name="benchmark")
    try:
        async with relaying(ground, dsn, _source(size)):
            return await consuming.consume(
                ground, dsn, events, source=_source(size), also=partial(is_all_sent, connection)
            )
    finally:
        await connection.close()


async def _keys(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["ods_code"] for row in await connection.fetch("select ods_code from providers order by 1")]
    finally:
        await connection.close()


async def fill(dsn: str, rows: int, source: str) -> None:
    """Put as many rows into every table that grows, as if that many events had been taken in and answered."""
    connection = await asyncpg.connect(dsn, command_timeout=600)
    try:
        # What is put in fits together: checking every reference would take minutes.
        await connection.execute("set session_replication_role = replica")
        # In an order that has nothing to do with the codes: what lies side by side was not used side by side.
        await connection.execute(
            f"create temporary table filling as "  # noqa: S608 constants of this module
            f"select n, {_KEY} as key, gen_random_uuid() as concern, gen_random_uuid() as requirement, "
            f"uuidv7() as event from generate_series(1, {rows}) as n order by md5(n::text)"
        )
        for statement in _FILLING:
            await connection.execute(statement.replace("$intelligence", _INTELLIGENCE).replace("$visits", source))
        await connection.execute("drop table filling")
        await connection.execute("vacuum (analyze)")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


_FILLING = (
    "insert into providers select key, 'Fenbrook University Hospitals (made up)', 'hospital_trust' from filling",
    """
    insert into concerns (id, reference, provider_code, programme, category, open)
    select concern, 'C-2025-' || lpad(n::text, 7, '0'), key, 'General surgery', 3, true from filling""",
    """
    insert into requirements (id, concern_id, number, provider_code, category, kind, latest_date, policy_version,
                              state, called_for)
    select requirement, concern, 1, key, 3, 'triggered_visit', '2026-04-30', 'visit-policy-1', 'open', true
    from filling""",
    """
    insert into history (aggregate, aggregate_id, version, at, actor, change)
    select 'requirement', requirement::text, 1, now(), 'event:' || event, 'opened' from filling""",
    """
    insert into positions (topic, source, key, last_sequence, last_event_id)
    select 'quality.concerns.v1', '$intelligence', key, 1, event from filling""",
    "insert into outbox_counters (topic, key, last_sequence) select 'quality.visits.v1', key, 1 from filling",
    """
    insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id, causation_id,
                        traceparent, data)
    select uuidv7(), 'uk.nhs.quality.visit.required.v1', '$visits', requirement::text, 'quality.visits.v1', key, 1,
           now(), concern, event, '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
           '{"requirement_id":"' || requirement || '","concern_id":"' || concern || '","filler":"'
               || repeat('x', 250) || '"}'
    from filling""",
)
