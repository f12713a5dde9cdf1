"""The referee, on the databases and topics of a cycle that was really played: each breakage is found and named."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from deploy.verify import NotReadable, compare
from deploy.verify.reading import Stage, Topics, stage, stages
from shared.messaging.broker import KafkaSettings
from shared.messaging.records import Stream
from tests.integration.verify.breakages import BREAKAGES
from tests.integration.verify.conftest import Played, break_


@pytest.fixture(scope="module")
async def whole(played: Played) -> dict[str, Stage]:
    """The facts of all stages as the cycle left them, read once."""
    return await stages(played.databases, "east-midlands")


@pytest.fixture(scope="module")
async def topics(played: Played) -> Topics:
    """The topics as the cycle left them, read once."""
    topics = Topics(KafkaSettings(played.bootstrap, "test", fetch_max_wait_ms=played.fetch_max_wait_ms), lambda _: None)
    await topics.read_on()
    return topics


async def test_a_cycle_played_to_its_end_is_clean(played: Played) -> None:
    report = await played.verify(played.databases, mail_url=played.mail_url)
    assert report.clean, report.as_dict()
    assert report.counts["events"] > 200
    assert report.notes == []


@pytest.mark.parametrize("what", BREAKAGES)
async def test_what_is_broken_in_a_database_is_found_and_named(
    whole: dict[str, Stage], topics: Topics, copy: Callable[[str], Awaitable[str]], what: str
) -> None:
    service, sql, check = BREAKAGES[what]
    dsn = await copy(service)
    named = await break_(dsn, sql)
    assert named != "None", "nothing was broken"
    broken = {**whole, service: await stage(service, dsn, "east-midlands")}
    report = compare(broken, topics.log, None, datetime.now(UTC))
    found = report.of(check)
    assert found, report.as_dict()
    assert any(named in one for finding in found for one in finding.ids), (named, found)
    assert {finding.service for finding in found} <= {service, None}


async def test_a_foreign_event_that_an_operator_passed_over_is_no_loss(
    whole: dict[str, Stage], topics: Topics, copy: Callable[[str], Awaitable[str]]
) -> None:
    dsn, event_id = await copy("funding"), uuid4()
    stream = Stream("quality.outcomes.v1", "/elsewhere/visits", "X1")
    await break_(
        dsn,
        "insert into positions (topic, source, key, last_sequence, last_event_id) "  # noqa: S608
        f"values ('{stream.topic}', '{stream.source}', '{stream.key}', 1, '{event_id}') returning key",
    )
    stages = {**whole, "funding": await stage("funding", dsn, "east-midlands")}
    passed_over = replace(topics.log, broken={(stream, 1): event_id})
    assert compare(stages, passed_over, None, datetime.now(UTC)).clean
    another = replace(topics.log, broken={(stream, 1): uuid4()})
    assert compare(stages, another, None, datetime.now(UTC)).of("positions.ahead")


async def test_a_stage_alone_is_compared_with_the_topics(played: Played) -> None:
    report = await played.verify({"funding": played.databases["funding"]})
    assert report.clean, report.as_dict()
    assert report.notes == ["left out: intelligence, visits, notify"]


async def test_nothing_is_changed_by_looking(played: Played) -> None:
    connection = await asyncpg.connect(played.databases["notify"])
    count = "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables"
    try:
        before = await connection.fetchval(count)
        await played.verify(played.databases)
        await connection.execute("select pg_stat_force_next_flush()")
        assert await connection.fetchval(count) == before
    finally:
        await connection.close()


async def test_waiting_ends_as_soon_as_all_is_clean(played: Played, copies: dict[str, str]) -> None:
    await break_(copies["visits"], BREAKAGES["an event is not sent"][1])
    looked = asyncio.Event()

    async def mend() -> None:
        await looked.wait()
        await break_(copies["visits"], "delete from outbox_unsent")

    mending = asyncio.create_task(mend())
    report = await played.verify(copies, wait_s=30, tell=lambda _: looked.set())
    await mending
    assert report.clean
    assert report.looks == 2


async def test_waiting_gives_up_on_what_stays(played: Played, copies: dict[str, str]) -> None:
    named = await break_(copies["visits"], BREAKAGES["an event is not sent"][1])
    report = await played.verify(copies, wait_s=2)
    assert [finding.ids for finding in report.of("outbox.unsent")] == [(named,)]
    assert report.looks >= 2
    assert report.seconds >= 2


async def test_a_database_that_is_not_there_is_named(played: Played) -> None:
    with pytest.raises(NotReadable, match="database of visits"):
        await played.verify({**played.databases, "visits": played.dsn("nobody_made_this")})
