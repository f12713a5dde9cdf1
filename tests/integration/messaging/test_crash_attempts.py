"""An event that ends the process that applies it is an event that cannot be applied."""

import asyncio
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.contracts.concerns import ConcernClosed
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import attempts, dead_letters
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.reactions import AnyReactions, Reacting, Reactions
from shared.messaging.offsets import Partition
from shared.messaging.records import Record
from shared.persistence.pool import Connection, Pool
from tests.integration.messaging.deadly_service import ENDED, POLICY
from tests.integration.messaging.delivery import (
    REFUSED,
    Workspace,
    a_key,
    concern_of,
    effects,
    eventually,
    held,
    letters,
    load,
    parked,
    publish,
    save,
)
from tests.integration.messaging.member import OPERATOR, Member
from tests.unit.messaging.crafted import record

ROOT = Path(__file__).parents[3]

#: Events that end the process, in the tests that only act it.
DEADLY: set[uuid.UUID] = set()


class ProcessKilled(BaseException):
    """Nothing handles it, as nothing handles the end of a process."""


def deadly_reactions() -> AnyReactions:
    reactions = Reactions(load=load, save=save)

    @reactions.on(ConcernClosed)
    def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
        if event.data.concern_id in DEADLY:
            raise ProcessKilled
        if event.data.concern_id in REFUSED:
            raise ValueError("refused by the test")
        work.seen.append((event.id, event.envelope.key, event.envelope.sequence))

    return reactions


def in_turn(*streams: Sequence[Record]) -> list[Record]:
    """Records of several streams as they lie in partition 0."""
    return [replace(one, offset=n) for n, one in enumerate(r for stream in streams for r in stream)]


def stream(key: str, *numbers: int) -> list[Record]:
    return [record(n, key=key) for n in numbers]


async def live_through(pool: Pool, records: Sequence[Record], *, batch_size: int = 100) -> int:
    """Start a member again whenever an event ends it, until all is taken in; returns how often it was ended."""
    ends = 0
    while True:
        member = Member(pool, reactions=deadly_reactions(), batch_size=batch_size)
        at = await member.begin()
        left = [one for one in records if one.offset >= at]
        try:
            for start in range(0, len(left), batch_size):
                await member.take(*left[start : start + batch_size])
        except ProcessKilled:
            ends += 1
            assert ends < 50, "the same event ends the process again and again"
        else:
            await member.placing.let_go()
            return ends


async def drain_through(pool: Pool) -> int:
    """Let much time pass, starting a member again whenever an event ends it; returns how often it was ended."""
    ends = 0
    while True:
        member = Member(pool, reactions=deadly_reactions(), ahead=timedelta(hours=ends))
        await member.begin()
        try:
            await member.wait(timedelta(hours=1))
            await member.wait(timedelta(hours=1))
        except ProcessKilled:
            ends += 1
            assert ends < 50, "the same event ends the process again and again"
        else:
            await member.placing.let_go()
            return ends


async def test_all_that_the_ended_process_may_have_had_in_hand_is_tried_with_care(pool: Pool) -> None:
    """A batch may hold less of a partition than the one that ended the process did: the event comes in the second."""
    key = a_key()
    records = in_turn(stream(key, *range(1, 9)))
    DEADLY.add(concern_of(records[5]))
    ends = 0
    while ends < 50:
        member = Member(pool, reactions=deadly_reactions(), batch_size=100)
        left = records[await member.begin() :]
        # The first time all at once, and later in small batches.
        size = len(records) if ends == 0 else 2
        try:
            for start in range(0, len(left), size):
                await member.take(*left[start : start + size])
        except ProcessKilled:
            ends += 1
        else:
            await member.placing.let_go()
            break
    # The batch at first, the small one it lies in, and then the record alone.
    assert ends == 2 + attempts.LIMIT
    assert await effects(pool, key) == [1, 2, 3, 4, 5]


async def test_an_event_that_ends_its_process_is_set_aside_and_later_dead_and_the_rest_goes_on(
    pool: Pool, database: str, settings: KafkaSettings
) -> None:
    key, others, group = a_key(), [a_key() for _ in range(5)], f"test.{uuid.uuid4().hex}"
    records = [record(n, key=key) for n in (1, 2, 3)]
    await publish(settings, records[0], *(record(1, key=other) for other in others), *records[1:], partition=5)
    arguments = [database, settings.bootstrap, group, str(concern_of(records[1]))]

    async def start() -> asyncio.subprocess.Process:
        program = [sys.executable, "-m", "tests.integration.messaging.deadly_service"]
        return await asyncio.create_subprocess_exec(
            *program, *arguments, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )

    ends = 0
    process = await start()
    try:

        async def is_dead() -> bool:
            nonlocal ends, process
            if process.returncode is not None:
                assert process.returncode == ENDED
                ends += 1
                process = await start()
            return [letter["reason"] for letter in await letters(pool, key)] == ["failed"]

        await eventually(is_dead, within=90)
        assert ends >= attempts.LIMIT
        # The batch, twice, then the record alone, then the parked event, as often as the policy says in all.
        assert ends <= 2 + POLICY.attempts
        assert await effects(pool, key) == [1]
        for other in others:
            assert await effects(pool, other) == [1]
        await publish(settings, record(4, key=key), *(record(2, key=other) for other in others), partition=5)

        async def goes_on() -> bool:
            return all([await effects(pool, other) == [1, 2] for other in others])

        await eventually(goes_on)
        assert process.returncode is None, "it lives"
        assert await held(pool, key) == [2, 3, 4]
        standing = await parked(pool, key)
        assert standing is not None
        assert (standing.sequence, standing.retry_at) == (2, None)
        async with pool.acquire() as connection:
            await dead_letters.discard(connection, standing.dead_letter_id or 0, OPERATOR)

        async def passed_over() -> bool:
            return await effects(pool, key) == [1, 3, 4]

        await eventually(passed_over)
        assert await pool.fetchval("select count(*) from attempts") == 0
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)


@pytest.fixture(autouse=True)
def _nothing_deadly_afterwards() -> None:
    DEADLY.clear()


@pytest.mark.parametrize("place", [0, 7, 19])
async def test_wherever_it_lies_in_the_batch_only_the_deadly_event_is_suspected(pool: Pool, place: int) -> None:
    keys = [a_key() for _ in range(5)]
    records = in_turn(*(stream(key, 1, 2, 3, 4) for key in keys))
    DEADLY.add(concern_of(records[place]))
    # The batch, the batch once more, and the record alone; the first one is known from the second time already.
    assert await live_through(pool, records) == (1 if place == 0 else 2) + attempts.LIMIT
    for number, key in enumerate(keys):
        stop = place % 4 + 1 if number == place // 4 else 5
        assert await effects(pool, key) == list(range(1, stop))
        assert await held(pool, key) == list(range(stop, 5))
    assert await pool.fetchval("select count(*) from attempts") == 0
    standing = await parked(pool, keys[place // 4])
    assert standing is not None
    assert (standing.reason, standing.attempts) == ("failed", attempts.LIMIT)
    assert "process ended" in standing.error


async def test_a_deadly_event_in_the_middle_of_a_backlog_is_found_and_what_is_before_it_applied(pool: Pool) -> None:
    key = a_key()
    missing, *rest = in_turn(stream(key, *range(1, 61)))
    DEADLY.add(concern_of(rest[39]))  # number 41
    await live_through(pool, rest)
    assert await live_through(pool, [replace(missing, offset=100)]) >= 1
    assert await drain_through(pool) >= 1
    assert await effects(pool, key) == list(range(1, 41))
    (letter,) = await letters(pool, key)
    assert (letter["sequence"], letter["reason"]) == (41, "failed")
    DEADLY.clear()
    async with pool.acquire() as connection:
        await dead_letters.redrive(connection, letter["id"], OPERATOR)
    assert await drain_through(pool) == 0
    assert await effects(pool, key) == list(range(1, 61))


async def test_an_event_that_kills_at_its_retry_is_dead_after_its_attempts(pool: Pool) -> None:
    key, other = a_key(), a_key()
    records = in_turn(stream(key, 1, 2), stream(other, 1))
    REFUSED.add(concern_of(records[0]))
    assert await live_through(pool, records) == 0
    DEADLY.add(concern_of(records[0]))
    assert await drain_through(pool) == 2, "of three attempts the first failed, and two ended the process"
    (letter,) = await letters(pool, key)
    assert (letter["attempts"], letter["reason"]) == (3, "failed")
    assert (await effects(pool, key), await held(pool, key), await effects(pool, other)) == ([], [1, 2], [1])


async def test_a_value_that_cannot_even_be_opened_is_set_aside_unopened(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = a_key(), a_key()
    records = in_turn(stream(key, 1, 2), stream(other, 1))
    validate = ConcernClosed.__pydantic_validator__.validate_json

    def deadly(value: bytes) -> ConcernClosed:
        if value == records[0].value:
            raise ProcessKilled
        return validate(value)

    monkeypatch.setattr(ConcernClosed, "__pydantic_validator__", SimpleNamespace(validate_json=deadly))
    assert await live_through(pool, records) == 1 + attempts.LIMIT
    assert (await effects(pool, other), await held(pool, key)) == ([1], [1, 2])
    await drain_through(pool)
    (letter,) = await letters(pool, key)
    assert (letter["value"], letter["reason"]) == (records[0].value, "failed")


async def test_a_process_killed_for_another_reason_costs_one_note_and_no_record_is_taken_alone(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def alone(*_: object) -> int:
        pytest.fail("a record is taken alone although nothing ended the process twice")

    monkeypatch.setattr(attempts, "count", alone)
    keys = [a_key() for _ in range(3)]
    records = in_turn(*(stream(key, *range(1, 11)) for key in keys))
    for taken in (4, 9):
        # Killed between two batches: the partition stays in its hands.
        member = Member(pool, reactions=deadly_reactions())
        at = await member.begin()
        await member.take(*records[at:taken])
    assert await live_through(pool, records, batch_size=7) == 0
    for key in keys:
        assert await effects(pool, key) == list(range(1, 11))
    assert await pool.fetchval("select count(*) from attempts") == 0
    assert await pool.fetchval("select count(*) from parked_streams") == 0


async def test_a_member_that_let_go_of_its_partitions_is_not_suspected(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Record] = []
    begin_portions = attempts.begin_portions

    async def noting(connection: Connection, firsts: Sequence[Record], ends: Mapping[Partition, int]) -> None:
        noted.extend(firsts)
        await begin_portions(connection, firsts, ends)

    monkeypatch.setattr(attempts, "begin_portions", noting)
    records = in_turn(stream(a_key(), *range(1, 11)))
    first = Member(pool)
    await first.take(*records[:5])
    await first.placing.let_go()
    second = Member(pool)
    assert await second.begin() == 5
    await second.take(*records[5:])
    assert noted == []
    third = Member(pool)
    await third.begin()
    await third.take(again := replace(records[0], offset=10))
    assert noted == [again], "the second one did not let go"
