"""What a service knows from events is learnt again: rows deleted or falsified by hand are right afterwards."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.funding.reactions import projection as funding
from services.intelligence.reactions import projection as intelligence
from services.notify.reactions import projection as notify
from services.visits.reactions import projection as visits
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming.replay import CannotReplay, Replayed, replay
from shared.messaging.operator_actions import Operator
from shared.persistence.pool import connect
from tests.integration.verify.conftest import Played, break_

PROJECTIONS = {"intelligence": intelligence, "visits": visits, "funding": funding, "notify": notify}

#: What must be as it was: the rows of each table that a projection fills. The feed: the same positions are taken, and
#: each stream is in its order. (When an entry was received is told by no event.)
CONTENTS = {
    "intelligence": ["select * from concern_story order by concern_id, event_id"],
    "visits": ["select * from providers order by 1", "select * from concerns order by id"],
    "funding": ["select * from providers order by 1"],
    "notify": [
        "select position from feed order by position",
        "select source, key, event_id, name, type, subject, time, correlation_id, causation_id, traceparent, data "
        "from feed order by source, key, split_part(name, '.', 1), position",
        "select * from concern_categories order by 1",
    ],
}

#: What must not move.
UNTOUCHED = [
    "select count(*), max(position) from outbox",
    "select count(*) from outbox_unsent",
    "select topic, key, last_sequence from outbox_counters order by 1, 2",
    "select topic, source, key, last_sequence, last_event_id from positions order by 1, 2, 3",
    "select topic, partition, next_offset from consumer_offsets order by 1, 2",
    "select count(*) from history",
]

BREAKAGES = {
    "chapters are gone": (
        "intelligence",
        "delete from concern_story where source not like '%/intelligence' returning 1",
    ),
    "a chapter says something else": (
        "intelligence",
        "update concern_story set summary = 'x', occurred_at = now() where type like '%outcome.recorded%' returning 1",
    ),
    "concerns are gone": ("visits", "delete from concerns returning 1"),
    "concerns are falsified": (
        "visits",
        "update concerns set open = not open, category = 4, reference = 'X', programme = null, site_code = 'X' "
        "returning 1",
    ),
    "providers are falsified": ("visits", "update providers set name = 'X', kind = 'other' returning 1"),
    "providers are gone": ("visits", "delete from providers returning 1"),
    "names of providers are wrong in funding": (
        "funding",
        "update providers set name = 'X' returning 1",
    ),
    "names of providers are gone in funding": ("funding", "delete from providers returning 1"),
    # The last one stays: without it nothing tells how far the feed went, and what is put back goes on from there.
    "every third entry of the feed is gone": (
        "notify",
        "delete from feed where position % 3 = 0 and position < (select max(position) from feed) returning 1",
    ),
    "the beginning of the feed is gone": ("notify", "delete from feed where position < 60 returning 1"),
    "entries of the feed are falsified": (
        "notify",
        "update feed set data = '{}', name = 'x', subject = 'y', time = now() where position % 4 = 0 returning 1",
    ),
    "categories are gone": ("notify", "delete from concern_categories returning 1"),
    "categories are falsified": ("notify", "update concern_categories set category = (category + 1) % 5 returning 1"),
    "a category was made up": (
        "notify",
        "insert into concern_categories select subject::uuid, 4 from feed where name = 'concern.raised' "
        "on conflict (concern_id) do update set category = 3 returning 1",
    ),
}

WHO = Operator("ops-1", "rows were changed by hand")


async def rows(dsn: str, queries: list[str]) -> list[list[tuple[Any, ...]]]:
    connection = await connect(dsn, name="test")
    try:
        return [[tuple(row) for row in await connection.fetch(query)] for query in queries]
    finally:
        await connection.close()


async def replayed(played: Played, service: str, dsn: str, **options: Any) -> Replayed:
    kafka = KafkaSettings(played.bootstrap, "test", fetch_max_wait_ms=played.fetch_max_wait_ms)
    connection = await connect(dsn, name="test")
    try:
        return await replay(connection, kafka, PROJECTIONS[service], WHO, **options)
    finally:
        await connection.close()


Copy = Callable[[str], Awaitable[str]]


@pytest.mark.parametrize("what", BREAKAGES)
async def test_what_was_deleted_or_falsified_is_right_again_and_nothing_else_moves(
    played: Played, copy: Copy, what: str
) -> None:
    service, sql = BREAKAGES[what]
    dsn = await copy(service)
    untouched = [*UNTOUCHED, *(["select * from deliveries order by position"] if service == "notify" else [])]
    before, still = await rows(dsn, CONTENTS[service]), await rows(dsn, untouched)
    assert await break_(dsn, sql) == "1"
    assert await rows(dsn, CONTENTS[service]) != before

    tried = await replayed(played, service, dsn, dry_run=True)
    assert await rows(dsn, CONTENTS[service]) != before
    assert await rows(dsn, ["select count(*) from operator_actions"]) == [[(0,)]]

    done = await replayed(played, service, dsn)
    assert done.changed == tried.changed
    assert sum(done.changed.values()) > 0
    assert await rows(dsn, CONTENTS[service]) == before
    assert await rows(dsn, untouched) == still
    kept = await rows(dsn, ["select distinct actor, reason, action from operator_actions"])
    assert kept == [[("ops-1", "rows were changed by hand", "projection.replayed")]]

    again = await replayed(played, service, dsn)
    assert (again.events, again.changed) == (done.events, {})


async def test_a_feed_that_was_emptied_has_every_event_again_in_the_order_of_its_stream(
    played: Played, copy: Copy
) -> None:
    dsn = await copy("notify")
    events = "select event_id from feed order by event_id"
    before = await rows(dsn, [events])
    await break_(dsn, "delete from feed returning 1")
    await replayed(played, "notify", dsn)
    assert await rows(dsn, [events]) == before
    report = await played.verify({**played.databases, "notify": dsn})
    assert not report.of("feed.order")
    assert not report.of("feed.missing")


async def test_newer_knowledge_is_not_put_back_and_nothing_beyond_the_live_position_is_learnt(
    played: Played, copy: Copy
) -> None:
    dsn = await copy("visits")
    # As if the service had taken in the closing of a concern, but not yet its reopening, which is in the topic.
    await break_(
        dsn,
        "update concerns set open = false where id = (select concern_id from requirements where state = 'met');;"
        "update positions set last_sequence = last_sequence - 1 where key = 'FICTHT001' returning 1",
    )
    before = await rows(dsn, CONTENTS["visits"])
    done = await replayed(played, "visits", dsn)
    assert done.changed == {}
    assert await rows(dsn, CONTENTS["visits"]) == before


async def test_what_an_operator_discarded_is_not_learnt(played: Played, copy: Copy) -> None:
    dsn = await copy("notify")
    await break_(
        dsn,
        "insert into dead_letters (topic, partition, broker_offset, broker_time, header_names, header_values, "
        "event_id, reason, error, digest, status) select 'quality.concerns.v1', 0, 1, now(), '{}', '{}', event_id, "
        "'failed', 'x', '', 'discarded' from feed order by position limit 1;;"
        "delete from feed where position = (select min(position) from feed) returning 1",
    )
    assert (await replayed(played, "notify", dsn)).changed == {}


async def test_only_what_happened_since_and_only_keys_of_until_then_are_replayed(played: Played, copy: Copy) -> None:
    dsn = await copy("notify")
    await break_(dsn, "delete from feed returning 1")
    now = datetime.now(UTC)
    assert (await replayed(played, "notify", dsn, since=now)).events == 0
    assert (await replayed(played, "notify", dsn, until=now - timedelta(days=1))).events == 0
    everything = await replayed(played, "notify", dsn, since=now - timedelta(days=1), until=now, dry_run=True)
    assert everything.changed["feed"] == everything.events > 100


async def test_another_cluster_is_refused(played: Played, copy: Copy) -> None:
    dsn = await copy("funding")
    await break_(dsn, "update consumer_offsets set cluster_id = 'another' returning 1")
    with pytest.raises(CannotReplay, match="another"):
        await replayed(played, "funding", dsn)


async def test_replaying_waits_for_the_batch_in_hand(played: Played, copy: Copy) -> None:
    """The running service holds the row of its partition while it applies a batch; it is not read past."""
    dsn = await copy("funding")
    holder = await asyncpg.connect(dsn)
    try:
        async with holder.transaction():
            await holder.execute("select from consumer_offsets for update")
            connection = await asyncpg.connect(dsn, server_settings={"lock_timeout": "500ms"})
            kafka = KafkaSettings(played.bootstrap, "test", fetch_max_wait_ms=played.fetch_max_wait_ms)
            try:
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await replay(connection, kafka, funding, WHO)
            finally:
                await connection.close()
    finally:
        await holder.close()
