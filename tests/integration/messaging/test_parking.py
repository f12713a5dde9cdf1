"""Parking: an event that cannot be applied holds up its own stream, and nothing else."""

import asyncio
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from shared.messaging import positions
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import held_events, parking
from shared.messaging.consuming.inbox import PORTION, Inbox
from shared.messaging.consuming.parking import HeadIsDead, RetryPolicy
from shared.messaging.records import Record, Stream
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import (
    REFUSED,
    a_key,
    applied,
    concern_of,
    consuming,
    effects,
    eventually,
    held,
    letters,
    parked,
    publish,
    ready,
)
from tests.integration.messaging.member import OPERATOR, POLICY, TOPIC, Member
from tests.unit.messaging.crafted import SOURCE, record

MINUTE = timedelta(minutes=1)


def log(key: str, *numbers: int, first: int = 0) -> list[Record]:
    """Records of one stream, as they lie in partition 0 from an offset on."""
    return [record(n, key=key, offset=first + at) for at, n in enumerate(numbers)]


# Over Kafka


async def test_a_poison_event_leaves_all_other_keys_of_its_partition_going_within_a_second(
    pool: Pool, settings: KafkaSettings
) -> None:
    poisoned, others = a_key(), [a_key() for _ in range(20)]
    async with consuming(pool, settings) as consumer:
        await ready(consumer)
        await publish(settings, record(1, key=poisoned), partition=3)
        await applied(pool, poisoned, [1])
        bad = record(2, key=poisoned)
        REFUSED.add(concern_of(bad))
        await publish(settings, bad, record(3, key=poisoned), *(record(1, key=key) for key in others), partition=3)
        published = time.monotonic()
        for key in others:
            await applied(pool, key, [1], within=1 - (time.monotonic() - published))
        await publish(settings, *(record(2, key=key) for key in others), record(4, key=poisoned), partition=3)
        published = time.monotonic()
        for key in others:
            await applied(pool, key, [1, 2], within=1 - (time.monotonic() - published))

        async def is_parked() -> bool:
            standing = await parked(pool, poisoned)
            assert standing is not None
            assert (standing.sequence, standing.reason, standing.event_id) == (2, "failed", _id(bad))
            return standing.waiting == 3

        await eventually(is_parked)
        assert consumer.problem is None
        REFUSED.clear()
        await applied(pool, poisoned, [1, 2, 3, 4])

        async def goes_on() -> bool:
            return await parked(pool, poisoned) is None and await held(pool, poisoned) == []

        await eventually(goes_on)


async def test_a_poison_event_waits_for_its_cure_across_restarts(pool: Pool, settings: KafkaSettings) -> None:
    key, group = a_key(), f"test.{uuid.uuid4().hex}"
    bad = record(1, key=key)
    REFUSED.add(concern_of(bad))
    for extra in (2, 3):
        async with consuming(pool, settings, group) as consumer:
            await ready(consumer)
            await publish(settings, *([bad] if extra == 2 else []), record(extra, key=key))

            async def waits(numbers: list[int] = list(range(1, extra + 1))) -> bool:  # noqa: B006
                assert await held(pool, key) == numbers
                return True

            await eventually(waits)
    REFUSED.clear()
    async with consuming(pool, settings, group):
        await applied(pool, key, [1, 2, 3])


def _id(of: Record) -> uuid.UUID:
    return uuid.UUID(dict(of.headers)["ce_id"].decode())


# Which event it was


async def test_each_poison_event_of_a_batch_parks_its_own_stream_alone(pool: Pool) -> None:
    keys = [a_key() for _ in range(30)]
    records = [replace(one, offset=n) for n, one in enumerate(r for key in keys for r in log(key, 1, 2, 3))]
    poisoned = dict(zip(keys[::3], (1, 2, 3, 1, 2, 3, 1, 2, 3, 1), strict=True))
    REFUSED.update(concern_of(records[keys.index(key) * 3 + n - 1]) for key, n in poisoned.items())
    await Member(pool).take(*records)
    for key in keys:
        stop = poisoned.get(key, 4)
        assert await effects(pool, key) == list(range(1, stop))
        assert await held(pool, key) == list(range(stop, 4))


async def test_an_event_that_only_the_database_refuses_is_found_and_parked(pool: Pool) -> None:
    key, others = a_key(), [a_key() for _ in range(5)]
    await pool.execute("alter table effects add check (sequence <> 7)")
    mine = log(key, *range(1, 11))
    records = [replace(one, offset=n) for n, one in enumerate([*mine, *(r for k in others for r in log(k, 1, 2))])]
    await Member(pool).take(*records)
    assert (await effects(pool, key), await held(pool, key)) == ([1, 2, 3, 4, 5, 6], [7, 8, 9, 10])
    for other in others:
        assert await effects(pool, other) == [1, 2]
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.reason, standing.sequence) == ("failed", 7)
    assert "CheckViolationError" in standing.error
    assert "effects" in standing.error


async def test_a_held_event_that_only_the_database_refuses_is_found_and_parked(pool: Pool) -> None:
    key = a_key()
    await pool.execute("alter table effects add check (sequence <> 7)")
    member = Member(pool)
    await member.take(*log(key, 1, *range(3, 11)))
    await member.take(*log(key, 2, first=20))
    await member.wait()
    assert (await effects(pool, key), await held(pool, key)) == ([1, 2, 3, 4, 5, 6], [7, 8, 9, 10])
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.reason, standing.sequence, standing.attempts) == ("failed", 7, 1)


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionResetError("gone"),
        asyncpg.DeadlockDetectedError("again"),
        asyncpg.DiskFullError("full"),
        asyncpg.UndefinedTableError("not migrated"),
    ],
)
async def test_no_failure_of_the_database_or_the_network_parks_anything_or_counts(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    key, bad = a_key(), a_key()
    records = [*log(key, 1, 2), *log(bad, 1, 2, first=2)]
    REFUSED.add(concern_of(records[2]))
    carry_out, failures = Inbox._carry_out, 12

    async def failing(*arguments: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise failure
        return await carry_out(*arguments)

    monkeypatch.setattr(Inbox, "_carry_out", failing)
    member = Member(pool)
    await member.take(*records)
    assert await effects(pool, key) == [1, 2]
    standing = await parked(pool, bad)
    assert standing is not None
    assert standing.attempts == 1
    # And when a parked stream is tried again.
    failures = 6
    REFUSED.clear()
    for _ in range(7):
        await member.wait(3 * MINUTE)
    assert await effects(pool, bad) == [1, 2]
    assert await letters(pool, bad) == []


# Attempts


async def test_pauses_grow_and_the_last_attempt_makes_a_dead_letter(pool: Pool) -> None:
    key = a_key()
    records = log(key, 1, 2, 3)
    REFUSED.add(concern_of(records[0]))
    member = Member(pool)
    await member.take(*records)
    for attempts, least, most in ((1, 0.5 * MINUTE, MINUTE), (2, MINUTE, 2 * MINUTE)):
        standing = await parked(pool, key)
        assert standing is not None and standing.retry_at is not None
        assert standing.attempts == attempts
        assert least - timedelta(seconds=5) <= standing.retry_at - member.now() <= most
        assert await letters(pool, key) == []
        await member.wait(standing.retry_at - member.now() - timedelta(seconds=1))
        assert (await parked(pool, key)) == standing, "it was tried before its time"
        await member.wait(timedelta(seconds=2))
    standing = await parked(pool, key)
    assert standing is not None
    (letter,) = await letters(pool, key)
    assert (letter["reason"], letter["attempts"], letter["event_id"]) == ("failed", 3, _id(records[0]))
    assert (standing.attempts, standing.retry_at, standing.dead_letter_id) == (3, None, letter["id"])
    REFUSED.clear()
    await member.wait(timedelta(days=1))
    assert await effects(pool, key) == [], "nothing is tried before an operator has decided"


def test_pauses_double_with_jitter_up_to_the_longest() -> None:
    policy = RetryPolicy(attempts=50, first=timedelta(seconds=1), longest=timedelta(minutes=5))
    for attempts, ceiling in ((1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (49, 300)):
        pauses = {policy.pause(attempts).total_seconds() for _ in range(50)}
        assert all(ceiling / 2 <= pause <= ceiling for pause in pauses)
        assert len(pauses) > 1


async def test_an_event_behind_the_head_that_fails_is_parked_in_turn_with_attempts_of_its_own(pool: Pool) -> None:
    key = a_key()
    records = log(key, 1, 2, 3, 4, 5)
    REFUSED.update(concern_of(records[n]) for n in (0, 3))
    member = Member(pool)
    await member.take(*records)
    await member.wait(MINUTE)
    REFUSED.discard(concern_of(records[0]))
    await member.wait(2 * MINUTE)
    standing = await parked(pool, key)
    assert standing is not None
    assert (await effects(pool, key), standing.sequence, standing.attempts) == ([1, 2, 3], 4, 1)
    REFUSED.clear()
    await member.wait(MINUTE)
    assert (await effects(pool, key), await parked(pool, key)) == ([1, 2, 3, 4, 5], None)


async def test_an_operator_may_have_a_parked_stream_tried_at_once(pool: Pool) -> None:
    key = a_key()
    records = log(key, 1, 2)
    REFUSED.add(concern_of(records[0]))
    member = Member(pool)
    await member.take(*records)
    await member.wait(MINUTE)
    async with pool.acquire() as connection:
        assert not await parking.retry(connection, TOPIC, SOURCE, a_key(), OPERATOR)
        REFUSED.clear()
        assert await parking.retry(connection, TOPIC, SOURCE, key, OPERATOR)
    await member.wait()
    assert (await effects(pool, key), await parked(pool, key)) == ([1, 2], None)
    done = await pool.fetch("select actor, reason, action, target from operator_actions")
    assert [tuple(row) for row in done] == [("ops-1", "a test", "parked.retried", f"{TOPIC}{SOURCE}/{key}")]


async def test_a_stream_whose_head_is_dead_is_not_simply_tried_again(pool: Pool) -> None:
    key = a_key()
    records = log(key, 1)
    REFUSED.add(concern_of(records[0]))
    await Member(pool, policy=replace(POLICY, attempts=1)).take(*records)
    (letter,) = await letters(pool, key)
    async with pool.acquire() as connection:
        with pytest.raises(HeadIsDead, match=f"redrive {letter['id']}"):
            await parking.retry(connection, TOPIC, SOURCE, key, OPERATOR)
    assert await pool.fetchval("select count(*) from operator_actions") == 0


# What waits


async def test_a_long_backlog_goes_on_in_portions_in_order_while_more_comes(pool: Pool) -> None:
    key = a_key()
    count = 2 * PORTION + 50
    member = Member(pool)
    await member.take(*log(key, *range(2, count)))
    await member.take(*log(key, 1, count, first=count))
    assert (await effects(pool, key))[:1] == [1]
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.reason, standing.event_id) == ("backlog", None)
    await member.take(*log(key, count + 2, first=count + 2))
    await member.wait()
    assert await effects(pool, key) == list(range(1, count + 1))
    assert (await parked(pool, key), await held(pool, key)) == (None, [count + 2])
    async with pool.acquire() as connection:
        (gap,) = await parking.list_gaps(connection)
    assert (gap.key, gap.first_missing, gap.last_missing, gap.waiting) == (key, count + 1, count + 1, 1)


async def test_of_very_many_held_events_no_more_is_read_than_is_applied(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = a_key()
    count = 6 * PORTION
    member = Member(pool)
    await member.take(*log(key, 1, *range(3, count)))
    read, decode = 0, held_events.decode

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal read
        read += 1
        return decode(*arguments, **options)

    monkeypatch.setattr(held_events, "decode", counting)
    await member.take(*log(key, *range(count, count + 50), first=count))
    assert read == 0, "number 2 is missing: nothing that is held can be applied"
    await member.take(*log(key, 2, first=count + 100))
    assert read <= PORTION
    await member.wait()
    assert read <= count + 50
    assert await effects(pool, key) == list(range(1, count + 50))


async def test_very_many_held_events_of_one_stream_slow_no_other(pool: Pool) -> None:
    one = record(3, key=a_key())
    await pool.execute(
        """
        insert into held_events (topic, source, key, sequence, event_id, partition, broker_offset, broker_time,
                                 header_names, header_values, value)
        select $1, $2, $3, n, gen_random_uuid(), 0, n, now(), $4, $5, $6 from generate_series(3, 50000) n""",
        TOPIC,
        SOURCE,
        (one.key or b"").decode(),
        [name.encode() for name, _ in one.headers],
        [value for _, value in one.headers],
        one.value,
    )
    await pool.execute("analyze held_events")
    streams = [Stream(TOPIC, SOURCE, a_key()) for _ in range(300)]
    async with pool.acquire() as connection:
        await positions.load(connection, streams)
        started = time.monotonic()
        standings = await positions.load(connection, streams)
        # Some milliseconds; walking through what is held for each stream takes seconds.
        assert time.monotonic() - started < 1
    assert not any(standing.holds for standing in standings.values())


async def test_streams_that_are_parked_do_not_keep_new_records_waiting(pool: Pool) -> None:
    """However many are due, a turn is short: the rest is tried in the next one."""
    keys = [a_key() for _ in range(60)]
    records = [replace(log(key, 1)[0], offset=n) for n, key in enumerate(keys)]
    REFUSED.update(map(concern_of, records))
    member = Member(pool)
    await member.take(*records)
    member.ahead += MINUTE
    started, turns = time.monotonic(), 0
    while await member.retries.take_turn([(TOPIC, 0)]):
        turns += 1
        assert time.monotonic() - started < 1, "one turn took longer than new records may wait"
        started = time.monotonic()
        await asyncio.sleep(0)
    assert turns > 1
    attempts = await pool.fetch("select attempts from parked_streams")
    assert [row["attempts"] for row in attempts] == [2] * 60
