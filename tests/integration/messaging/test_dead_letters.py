"""Dead letters: kept as they came, redriven or discarded by an operator, and copied to a topic."""

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from shared.messaging import operator_actions, positions
from shared.messaging.broker import KafkaSettings, new_producer
from shared.messaging.consuming import dead_letters, parking
from shared.messaging.consuming.dead_letters import CannotRedrive, DeadLetter, LetterNotFound, LetterResolved
from shared.messaging.records import Record, Stream
from shared.messaging.relaying import dead_letter_topic
from shared.messaging.topics import DEAD_LETTERS_TOPIC
from shared.persistence.pool import Connection, Pool
from tests.integration.messaging.delivery import (
    OFFICE,
    REFUSED,
    a_key,
    concern_of,
    effects,
    held,
    letters,
    parked,
)
from tests.integration.messaging.member import OPERATOR, POLICY, TOPIC, Member
from tests.unit.messaging.crafted import SOURCE, record, with_header

SOURCE_OF_TEST = f"/{OFFICE}/test"


def log(key: str, *numbers: int, first: int = 0) -> list[Record]:
    """Records of one stream, as they lie in partition 0 from an offset on."""
    return [record(n, key=key, offset=first + at) for at, n in enumerate(numbers)]


async def letter_of(pool: Pool, key: str) -> int:
    """Id of the only dead letter of a key."""
    (letter,) = await letters(pool, key)
    return letter["id"]


async def redrive(pool: Pool, letter_id: int) -> DeadLetter:
    async with pool.acquire() as connection:
        return await dead_letters.redrive(connection, letter_id, OPERATOR)


async def discard(pool: Pool, letter_id: int) -> DeadLetter:
    async with pool.acquire() as connection:
        return await dead_letters.discard(connection, letter_id, OPERATOR)


@pytest.fixture
def member(pool: Pool) -> Member:
    """One that gives up after the first attempt."""
    return Member(pool, policy=replace(POLICY, attempts=1))


async def a_dead_head(member: Member, key: str) -> Record:
    """Let number 2 of five die; returns its record."""
    records = log(key, 1, 2, 3, 4, 5)
    REFUSED.add(concern_of(records[1]))
    await member.take(*records)
    assert (await effects(member.pool, key), await held(member.pool, key)) == ([1], [2, 3, 4, 5])
    return records[1]


# An event that failed


async def test_a_redriven_event_is_applied_and_what_waits_behind_it_follows_in_order(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    await a_dead_head(member, key)
    letter_id = await letter_of(pool, key)
    REFUSED.clear()
    await member.wait(timedelta(days=30))
    assert await effects(pool, key) == [1]
    letter = await redrive(pool, letter_id)
    assert (letter.status, letter.resolved_at is not None) == ("redriven", True)
    await member.wait()
    assert await effects(pool, key) == [1, 2, 3, 4, 5]
    assert (await parked(pool, key), await held(pool, key)) == (None, [])


async def test_an_event_that_fails_again_after_its_redrive_is_the_same_letter_dead_again(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    await a_dead_head(member, key)
    letter_id = await letter_of(pool, key)
    await redrive(pool, letter_id)
    await member.wait()
    async with pool.acquire() as connection:
        letter = (await dead_letters.get(connection, letter_id)).letter
    assert (letter.status, letter.resolved_at, letter.blocks_stream) == ("dead", None, True)
    assert await letter_of(pool, key) == letter_id
    REFUSED.clear()
    await redrive(pool, letter_id)
    await member.wait()
    assert await effects(pool, key) == [1, 2, 3, 4, 5]


async def test_a_discarded_event_is_passed_over_and_what_waits_behind_it_follows_in_order(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    bad = await a_dead_head(member, key)
    letter = await discard(pool, await letter_of(pool, key))
    assert letter.status == "discarded"
    await member.wait()
    assert (await effects(pool, key), await parked(pool, key), await held(pool, key)) == ([1, 3, 4, 5], None, [])
    # It is done with: when it comes again, it is a repeat.
    await member.take(replace(bad, offset=9), *log(key, 6, first=10))
    assert await effects(pool, key) == [1, 3, 4, 5, 6]
    assert len(await letters(pool, key)) == 1


async def test_discarding_the_last_event_of_a_stream_leaves_it_at_rest(pool: Pool, member: Member) -> None:
    key = a_key()
    (bad,) = log(key, 1)
    REFUSED.add(concern_of(bad))
    await member.take(bad)
    await discard(pool, await letter_of(pool, key))
    await member.wait()
    assert await parked(pool, key) is None
    await member.take(replace(bad, offset=4), *log(key, 2, first=5))
    assert (await effects(pool, key), len(await letters(pool, key))) == ([2], 1)


async def test_a_stream_that_began_above_1_and_whose_first_event_is_discarded_keeps_its_baseline(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    await member.begin()
    member.placing.truncated.add((TOPIC, 0))
    records = log(key, 7, 8)
    REFUSED.add(concern_of(records[0]))
    await member.take(*records)
    await discard(pool, await letter_of(pool, key))
    await member.wait()
    assert await effects(pool, key) == [8]
    async with pool.acquire() as connection:
        stream = Stream(TOPIC, SOURCE, key)
        position = (await positions.load(connection, [stream]))[stream].position
    assert position is not None
    assert (position.last_sequence, position.baseline) == (8, 7)


# An event that breaks its contract


def broken(key: str, number: int, *, offset: int = 0) -> Record:
    return replace(record(number, key=key, offset=offset), value=b"{}")


async def test_what_breaks_its_contract_parks_its_stream_at_once_and_goes_on_once_discarded(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    await member.take(*log(key, 1), broken(key, 2, offset=1), *log(key, 3, first=2))
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.reason, standing.sequence, standing.retry_at) == ("breaks_contract", 2, None)
    letter_id = await letter_of(pool, key)
    assert standing.dead_letter_id == letter_id
    await redrive(pool, letter_id)
    await member.wait()
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.retry_at, standing.dead_letter_id) == (None, letter_id), "it breaks its contract as before"
    await discard(pool, letter_id)
    await member.wait()
    assert (await effects(pool, key), await parked(pool, key)) == ([1, 3], None)


async def test_what_breaks_its_contract_beyond_a_gap_waits_for_its_turn(pool: Pool, member: Member) -> None:
    key = a_key()
    await member.take(*log(key, 1), broken(key, 3, offset=1), *log(key, 4, first=2))
    assert (await letters(pool, key), await parked(pool, key)) == ([], None)
    await member.take(*log(key, 2, first=3))
    assert await effects(pool, key) == [1, 2]
    await discard(pool, await letter_of(pool, key))
    await member.wait()
    assert await effects(pool, key) == [1, 2, 4]


async def test_what_breaks_its_contract_under_a_number_that_is_done_with_stops_nothing(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    await member.take(*log(key, 1, 2), broken(key, 1, offset=2), *log(key, 3, first=3))
    assert (await effects(pool, key), await parked(pool, key)) == ([1, 2, 3], None)
    letter_id = await letter_of(pool, key)
    with pytest.raises(CannotRedrive, match="still breaks its contract"):
        await redrive(pool, letter_id)
    await discard(pool, letter_id)
    assert await held(pool, key) == []


async def test_a_redriven_event_that_this_version_can_read_is_applied(
    pool: Pool, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = a_key()
    readable = record(2, key=key, offset=1)
    await member.take(*log(key, 1), replace(readable, value=b"{}"), *log(key, 3, first=2))
    # As if the contract had been widened since.
    await pool.execute("update held_events set value = $1 where value = '{}'", readable.value)
    await redrive(pool, await letter_of(pool, key))
    await member.wait()
    assert await effects(pool, key) == [1, 2, 3]


# A conflict


async def test_a_number_given_out_twice_parks_its_stream_until_the_second_is_discarded(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    second = record(1, key=key, offset=1)
    await member.take(*log(key, 1), second, *log(key, 2, 3, first=2))
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.reason, standing.sequence, standing.retry_at) == ("conflict", 2, None)
    assert (await effects(pool, key), await held(pool, key)) == ([1], [2, 3])
    letter_id = await letter_of(pool, key)
    with pytest.raises(CannotRedrive, match="conflict"):
        await redrive(pool, letter_id)
    await discard(pool, letter_id)
    await member.wait()
    assert await effects(pool, key) == [1, 2, 3]


async def test_a_discarded_conflict_that_is_read_again_stops_nothing(pool: Pool, member: Member) -> None:
    key = a_key()
    second = record(1, key=key, offset=1)
    await member.take(*log(key, 1), second)
    await discard(pool, await letter_of(pool, key))
    await member.wait()
    # Published anew, so that it lies elsewhere, and still the last number of its stream.
    await member.take(replace(second, offset=5), *log(key, 2, first=6))
    assert (await effects(pool, key), await parked(pool, key)) == ([1, 2], None)
    assert len(await letters(pool, key)) == 1


async def test_a_conflict_in_a_parked_stream_is_decided_on_before_the_stream_goes_on(pool: Pool) -> None:
    key = a_key()
    member = Member(pool)
    first, bad, conflict = record(1, key=key, offset=0), record(2, key=key, offset=1), record(1, key=key, offset=2)
    REFUSED.add(concern_of(bad))
    await member.take(first, bad, conflict)
    REFUSED.clear()
    await member.wait(timedelta(minutes=2))
    standing = await parked(pool, key)
    assert standing is not None
    assert (standing.reason, standing.retry_at, await effects(pool, key)) == ("conflict", None, [1])
    await discard(pool, await letter_of(pool, key))
    await member.wait()
    assert await effects(pool, key) == [1, 2]


# A record without a place


async def test_an_unreadable_record_is_redriven_only_once_it_can_be_read(pool: Pool, member: Member) -> None:
    key = a_key()
    readable = record(2, key=key, offset=1)
    unreadable = replace(readable, headers=with_header(readable.headers, "ce_specversion", lambda _: b"2.0"))
    await member.take(*log(key, 1), unreadable, *log(key, 3, first=2))
    assert (await effects(pool, key), await held(pool, key), await parked(pool, key)) == ([1], [3], None)
    letter_id = await letter_of(pool, key)
    with pytest.raises(CannotRedrive, match="ce_specversion"):
        await redrive(pool, letter_id)
    # As if this version could read it.
    await pool.execute(
        "update dead_letters set header_values = $1 where id = $2", [value for _, value in readable.headers], letter_id
    )
    await redrive(pool, letter_id)
    await member.wait()
    assert (await effects(pool, key), await parked(pool, key)) == ([1, 2, 3], None)


@pytest.mark.parametrize(("number", "why"), [(1, "has gone on to 1"), (3, "waits already")])
async def test_a_record_whose_number_is_taken_is_not_redriven(
    pool: Pool, member: Member, number: int, why: str
) -> None:
    key = a_key()
    readable = record(number, key=key, offset=5)
    unreadable = replace(readable, headers=with_header(readable.headers, "ce_specversion", lambda _: b"2.0"))
    await member.take(*log(key, 1, 3), unreadable)
    letter_id = await letter_of(pool, key)
    await pool.execute(
        "update dead_letters set header_values = $1 where id = $2", [value for _, value in readable.headers], letter_id
    )
    with pytest.raises(CannotRedrive, match=why):
        await redrive(pool, letter_id)
    assert await held(pool, key) == [3]


# What operators see


async def test_letters_are_listed_by_status_and_opened_with_their_bytes_and_what_was_done(
    pool: Pool, member: Member
) -> None:
    key = a_key()
    foreign = Record(TOPIC, 0, 7, datetime(2024, 5, 1, tzinfo=UTC), b"\xff\x00", (("x-\udcff", b"\xfe"),), b"\x00\xff")
    await a_dead_head(member, key)
    await member.take(foreign)
    async with pool.acquire() as connection:
        newest, oldest = await dead_letters.list_letters(connection)
        assert [one.id for one in await dead_letters.list_letters(connection, limit=1)] == [newest.id]
        assert (newest.reason, newest.stream, newest.blocks_stream) == ("unreadable", None, False)
        assert (oldest.reason, oldest.stream, oldest.blocks_stream) == ("failed", Stream(TOPIC, SOURCE, key), True)
        await dead_letters.discard(connection, newest.id, OPERATOR)
        assert [one.id for one in await dead_letters.list_letters(connection)] == [oldest.id]
        assert [one.id for one in await dead_letters.list_letters(connection, status="discarded")] == [newest.id]
        assert len(await dead_letters.list_letters(connection, status=None)) == 2
        opened = await dead_letters.get(connection, newest.id)
        assert opened.record == foreign
        assert [(one.actor, one.reason, one.action) for one in opened.actions] == [
            ("ops-1", "a test", "dead_letter.discarded")
        ]
        shown = json.loads(json.dumps(opened.as_dict(), default=str))
        assert (shown["key"], shown["value"], shown["headers"]) == ("\\xff\x00", "\x00\\xff", [["x-\\xff", "\\xfe"]])
        with pytest.raises(LetterResolved, match="discarded"):
            await dead_letters.discard(connection, newest.id, OPERATOR)
        with pytest.raises(LetterResolved, match="discarded"):
            await dead_letters.redrive(connection, newest.id, OPERATOR)
        with pytest.raises(LetterNotFound, match="4711"):
            await dead_letters.get(connection, 4711)


@pytest.mark.parametrize("act", [dead_letters.redrive, dead_letters.discard])
async def test_an_action_that_is_only_tried_out_changes_nothing(
    pool: Pool, member: Member, act: Callable[..., Awaitable[DeadLetter]]
) -> None:
    key = a_key()
    await a_dead_head(member, key)
    letter_id = await letter_of(pool, key)
    before = await parked(pool, key)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert (await act(connection, letter_id, OPERATOR)).status != "dead"
        await transaction.rollback()
        assert (await dead_letters.get(connection, letter_id)).letter.status == "dead"
        assert await operator_actions.of_target(connection, f"dead_letter/{letter_id}") == []
    assert await parked(pool, key) == before


async def test_a_log_that_is_read_again_from_its_beginning_adds_no_letter(pool: Pool, member: Member) -> None:
    key = a_key()
    garbage = replace(record(9, key=key, offset=3), headers=())
    records = [*log(key, 1), record(1, key=key, offset=1), broken(key, 1, offset=2), garbage]
    await member.take(*records)
    before = await letters(pool, key)
    assert len(before) == 3
    await pool.execute("update consumer_offsets set next_offset = 0")
    again = Member(pool)
    await again.begin()
    await again.take(*records)
    assert await letters(pool, key) == before


# The topic


async def copies(settings: KafkaSettings, service: str) -> list[Any]:
    """What lies in the topic of dead letters of one service."""
    reader = AIOKafkaConsumer(
        DEAD_LETTERS_TOPIC, bootstrap_servers=settings.bootstrap, group_id=None, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        found: list[Any] = []
        ends = await reader.end_offsets(reader.assignment())
        while any([await reader.position(tp) < end for tp, end in ends.items()]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                found += [one for one in records if dict(one.headers).get("dl_service") == service.encode()]
        return found
    finally:
        await reader.stop()


async def publish(connection: Connection, settings: KafkaSettings, service: str) -> int:
    producer = new_producer(settings)
    await producer.start()
    try:
        return await dead_letter_topic.publish(connection, producer, service)
    finally:
        await producer.stop()


async def test_dead_letters_are_copied_to_their_topic_once_with_what_they_were_and_why(
    pool: Pool, member: Member, settings: KafkaSettings
) -> None:
    key, service = a_key(), f"/{uuid.uuid4().hex}/test"
    bad = await a_dead_head(member, key)
    foreign = replace(bad, key=None, offset=7, headers=(("x-\udcff", b"\xfe"), ("n", None)), value=None)  # type: ignore[arg-type]
    await member.take(foreign)
    async with pool.acquire() as connection:
        assert await publish(connection, settings, service) == 2
        assert await publish(connection, settings, service) == 0
    by_offset = {dict(one.headers)["dl_offset"]: one for one in await copies(settings, service)}
    assert by_offset.keys() == {b"1", b"7"}
    copy = by_offset[b"1"]
    headers = dict(copy.headers)
    assert (copy.key, copy.value) == (bad.key, bad.value)
    assert {name: headers[name] for name, _ in bad.headers} == dict(bad.headers)
    assert (headers["dl_topic"], headers["dl_partition"], headers["dl_reason"]) == (TOPIC.encode(), b"0", b"failed")
    assert headers["dl_attempts"] == b"1"
    assert b"ValueError" in headers["dl_error"]
    assert datetime.fromisoformat(headers["dl_at"].decode()) <= datetime.now(UTC)
    assert headers["dl_id"] == str((await letters(pool, key))[0]["id"]).encode()
    other = by_offset[b"7"]
    assert (other.key, other.value, dict(other.headers)["x-\\xff"]) == (None, b"", b"\xfe")


@pytest.mark.parametrize(
    ("value", "header", "omitted"),
    [
        (b"x" * 1_040_000, b"", {"dl_value_omitted"}),
        (b"small", b"y" * 1_040_000, {"dl_headers_omitted"}),
        (b"x" * 1_040_000, b"y" * 1_040_000, {"dl_value_omitted", "dl_headers_omitted"}),
    ],
)
async def test_what_is_too_large_for_the_topic_is_left_out_and_the_copy_says_so(
    pool: Pool, member: Member, settings: KafkaSettings, value: bytes, header: bytes, omitted: set[str]
) -> None:
    service = f"/{uuid.uuid4().hex}/test"
    await member.take(Record(TOPIC, 0, 1, datetime.now(UTC), b"k", (("x", header),), value))
    async with pool.acquire() as connection:
        assert await publish(connection, settings, service) == 1
    (copy,) = await copies(settings, service)
    names = {name for name, _ in copy.headers}
    assert {name for name in names if name.endswith("_omitted")} == omitted
    assert not copy.value if "dl_value_omitted" in omitted else copy.value == value
    assert "dl_reason" in names


async def test_a_letter_that_is_dead_again_is_copied_again(pool: Pool, member: Member, settings: KafkaSettings) -> None:
    key, service = a_key(), f"/{uuid.uuid4().hex}/test"
    await a_dead_head(member, key)
    async with pool.acquire() as connection:
        assert await publish(connection, settings, service) == 1
        await dead_letters.redrive(connection, await letter_of(pool, key), OPERATOR)
        assert await publish(connection, settings, service) == 0
        await member.wait()
        assert await publish(connection, settings, service) == 1
        assert (await parking.list_parked(connection))[0].key == key
