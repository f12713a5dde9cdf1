"""While a batch is applied the next is fetched and decoded; nothing of it is lost, doubled or out of order."""

import asyncio
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from shared.contracts.registry import Topic
from shared.messaging.consuming.fetching import Fetched, Fetching
from shared.messaging.records import Event, decode
from tests.unit.messaging.crafted import record

ONE, OTHER = TopicPartition(Topic.CONCERNS.value, 0), TopicPartition(Topic.CONCERNS.value, 1)


class Client:
    """Answers each request with the next of what it was given."""

    def __init__(self, *answers: dict[TopicPartition, Iterable[int]] | Exception) -> None:
        self._answers = list(answers)
        self.timeouts: list[int] = []

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        self.timeouts.append(timeout_ms)
        await asyncio.sleep(0)
        answer = self._answers.pop(0) if self._answers else {}
        if isinstance(answer, Exception):
            raise answer
        return {tp: [_raw(tp, offset) for offset in offsets] for tp, offsets in answer.items()}


def _raw(tp: TopicPartition, offset: int) -> ConsumerRecord:
    made = record(offset + 1, partition=tp.partition)
    return ConsumerRecord(
        *(tp.topic, tp.partition, offset, 0, 0, made.key, made.value, None, 1, 1), headers=made.headers
    )


def fetching(client: Client, batch_size: int = 3) -> Fetching:
    return Fetching(client, batch_size=batch_size)  # pyright: ignore[reportArgumentType] all that is used of a client


def offsets(fetched: Fetched) -> dict[TopicPartition, list[int]]:
    return {tp: [one.offset for one in records] for tp, records in fetched.items()}


async def test_after_a_full_batch_the_next_is_fetched_and_decoded_meanwhile() -> None:
    client = Client({ONE: [0, 1], OTHER: [7]}, {ONE: [2, 3, 4]}, {ONE: [5]})
    ahead = fetching(client)
    first = await ahead.next(500)
    ahead.look_ahead(first)
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.timeouts == [500, 20]
    second = await ahead.next(500)
    assert (offsets(first), offsets(second)) == ({ONE: [0, 1], OTHER: [7]}, {ONE: [2, 3, 4]})
    known = [one.decoded for one in second[ONE]]
    assert all(isinstance(one, Event) for one in known)
    assert [decode(one) for one in second[ONE]] == known
    assert [one.decoded for one in second[ONE]] == [None] * 3, "an event and its record must not hold each other"
    assert offsets(await ahead.next(500)) == {ONE: [5]}


async def test_the_last_part_of_an_answer_is_followed_by_the_next_answer() -> None:
    client = Client({ONE: range(4)}, {ONE: range(4, 6)}, {ONE: range(6, 10)})
    ahead = fetching(client, batch_size=4)
    ahead.look_ahead(await ahead.next(500))
    ahead.look_ahead(part := await ahead.next(500))
    assert offsets(part) == {ONE: [4, 5]}
    assert offsets(await ahead.next(500)) == {ONE: [6, 7, 8, 9]}
    assert client.timeouts == [500, 20, 20], "all but the first were fetched while one was applied"


async def test_after_a_small_batch_nothing_is_fetched_ahead() -> None:
    client = Client({ONE: [0, 1]})
    ahead = fetching(client, batch_size=9)
    ahead.look_ahead(await ahead.next(500))
    await asyncio.sleep(0.01)
    assert client.timeouts == [500]


async def test_where_nothing_was_there_yet_it_is_waited_for() -> None:
    client = Client({ONE: [0, 1, 2]}, {}, {ONE: [3]})
    ahead = fetching(client)
    ahead.look_ahead(await ahead.next(500))
    assert offsets(await ahead.next(400)) == {ONE: [3]}
    assert client.timeouts == [500, 20, 400]


async def test_what_was_fetched_ahead_of_a_partition_to_be_placed_is_dropped_and_the_rest_kept() -> None:
    client = Client({ONE: [0, 1, 2]}, {ONE: [3], OTHER: [0, 1]})
    ahead = fetching(client)
    ahead.look_ahead(await ahead.next(500))
    await ahead.forget(lambda: {ONE})
    assert client.timeouts == [500, 20], "the client must have answered before its offsets are moved"
    assert offsets(await ahead.next(500)) == {OTHER: [0, 1]}


async def test_what_the_client_fails_of_is_raised_when_its_turn_comes() -> None:
    ahead = fetching(Client({ONE: [0, 1, 2]}, UnicodeDecodeError("utf-8", b"\xff", 0, 1, "made up"), {ONE: [3]}))
    ahead.look_ahead(await ahead.next(500))
    await ahead.forget(lambda: {ONE})
    with pytest.raises(UnicodeDecodeError):
        await ahead.next(500)
    assert offsets(await ahead.next(500)) == {ONE: [3]}


async def test_at_the_end_nothing_is_left_running() -> None:
    ahead = fetching(Client({ONE: [0, 1, 2]}, {ONE: [3, 4, 5]}))
    ahead.look_ahead(await ahead.next(500))
    before = {task.get_name() for task in asyncio.all_tasks()}
    await ahead.end()
    await ahead.end()
    after = {task.get_name() for task in asyncio.all_tasks()}
    assert "fetch ahead" in before - after
