"""Replicas of a service come, go and die under load: the work goes on, and none of it is lost or done twice."""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from replicas import STOP_LIMIT_S, Load, Replica, Replicas, eventually, waiting_for_locks

from tests.fixtures.infrastructure import Kafka

pytestmark = pytest.mark.timeout(180)

#: What a service says that could not finish what it had in hand.
CUT_OFF = {
    "cut off",
    "left without the broker's answer",
    "stopped in the middle of a batch; it is taken in again at the next start",
    "stopped with events unsent; they are sent at the next start",
}


@pytest.fixture
def replicas(database: str, kafka: Kafka, tmp_path: Path) -> Iterator[Replicas]:
    made = Replicas(database, kafka, tmp_path)
    yield made
    made.end()


class Callers:
    """People who send commands all the while, each under a key of its own."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        #: Keys of the commands that were answered with yes, and of those whose callers do not know.
        self.done: list[str] = []
        self.unknown: list[str] = []

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Send commands until the block ends or nobody listens."""
        tasks = [asyncio.create_task(self._call()) for _ in range(4)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert ended is None or isinstance(ended, asyncio.CancelledError), ended

    async def _call(self) -> None:
        async with httpx.AsyncClient() as client:
            while True:
                key = uuid.uuid4().hex
                self.unknown.append(key)
                try:
                    status = await self.send(client, key)
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    continue
                assert status in {201, 503}
                if status == 201:
                    self.unknown.remove(key)
                    self.done.append(key)

    async def send(self, client: httpx.AsyncClient, key: str) -> int:
        body = {"name": f"Person {key}", "organisation": "Testbrook (fictional)", "roles": ["chair"]}
        answer = await client.post(
            f"{self._replica.url}/people", json=body, headers={**self._replica.headers, "Idempotency-Key": key}
        )
        return answer.status_code


async def test_a_service_told_to_stop_under_load_finishes_what_it_has_and_leaves_nothing_half_done(
    replicas: Replicas, database: str, kafka: Kafka
) -> None:
    one = replicas.start("one", batch_size=20)
    load, callers = Load(replicas), Callers(one)
    with load.flowing():

        async def is_under_way() -> bool:
            return await load.required() > 200 and len(callers.done) > 20

        async with callers.calling():
            await eventually(is_under_way, within=60)
            code, seconds = await asyncio.to_thread(one.terminate)
        assert code == 0
        assert seconds < STOP_LIMIT_S
        connection = await asyncpg.connect(database)
        try:
            assert await connection.fetchval("select count(*) from outbox_unsent") == 0
            people = await connection.fetchval("select count(*) from people")
        finally:
            await connection.close()
        assert len(callers.done) <= people <= len(callers.done) + len(callers.unknown)
        assert "stopped" in one.told() and CUT_OFF.isdisjoint(one.told())
        at_its_end = await load.required()
        if kafka.kind == "apache":
            assert await replicas.members() == 0
        # The load goes on without it.
        await asyncio.sleep(0.5)
        assert await load.required() == at_its_end < sum(load.published.values())
    one = replicas.start("one", again=one)
    await load.is_applied()
    await load.is_whole(kafka)
    async with httpx.AsyncClient() as client:
        assert {await callers.send(client, key) for key in (*callers.done[-5:], *callers.unknown)} == {201}
    connection = await asyncpg.connect(database)
    try:
        people = await connection.fetchval("select count(*) from people")
    finally:
        await connection.close()
    assert people == len(callers.done) + len(callers.unknown)


async def test_two_replicas_share_the_load_one_relay_leads_and_the_other_takes_over_when_it_is_killed(
    replicas: Replicas, kafka: Kafka
) -> None:
    both = [replicas.start(name, kafka_session_timeout_ms=6_000) for name in ("one", "two")]
    load = Load(replicas)

    async def work_is_shared() -> bool:
        return min(one.metric("qc_events_consumed_total", result="applied") for one in both) > 50

    with load.flowing():
        await eventually(work_is_shared, within=60)
        assert sorted(one.metric("qc_relay_leader") for one in both) == [0, 1]
        leader, other = sorted(both, key=lambda one: one.metric("qc_relay_leader"), reverse=True)
        assert other.metric("qc_events_sent_total") == 0
        os.kill(leader.running.id.pid, signal.SIGKILL)

        async def other_leads() -> bool:
            return other.metric("qc_relay_leader") == 1

        assert await eventually(other_leads, within=30) < 5

        async def other_sends() -> bool:
            return other.metric("qc_events_sent_total") > 0

        await eventually(other_sends, within=10)
    await load.is_applied()
    await load.is_whole(kafka, repeats=True)


@pytest.mark.needs_apache
async def test_the_place_of_a_static_member_waits_for_its_restart_and_the_others_are_not_disturbed(
    replicas: Replicas, kafka: Kafka
) -> None:
    stays, leaves = (replicas.start(name, static=True, kafka_session_timeout_ms=60_000) for name in ("one", "two"))

    def rebalances() -> int:
        return stays.told().count("partitions assigned")

    async def both_are_placed() -> bool:
        # The first had all partitions to itself before the second came.
        return rebalances() == 2 and "partitions assigned" in leaves.told()

    await eventually(both_are_placed, within=30)
    load = Load(replicas)
    with load.flowing(pause=0.05):
        assert (await asyncio.to_thread(leaves.terminate))[0] == 0
        assert await replicas.members() == 2
        returned = replicas.start("two", static=True, again=leaves, kafka_session_timeout_ms=60_000)

        async def it_works() -> bool:
            return returned.metric("qc_events_consumed_total", result="applied") > 20

        await eventually(it_works, within=40)
    await load.is_applied()
    await load.is_whole(kafka)
    assert rebalances() == 2
    assert await replicas.members() == 2


async def test_a_rebalance_in_the_middle_of_a_batch_repeats_it_without_effect(
    replicas: Replicas, database: str, kafka: Kafka
) -> None:
    one = replicas.start("one")
    load = Load(replicas)
    load.publish(1)
    await load.is_applied()
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("lock table requirements in exclusive mode")
            load.publish(3)

            async def batch_is_stuck() -> bool:
                return await waiting_for_locks(connection) > 0

            await eventually(batch_is_stuck, within=20)
            two = replicas.start("two", wait=False)

            async def next_owner_waits_for_it() -> bool:
                return await waiting_for_locks(connection) > 1

            await eventually(next_owner_waits_for_it, within=40)
    finally:
        await connection.close()
    two.wait_ready()
    with load.flowing():

        async def both_work() -> bool:
            return min(each.metric("qc_events_consumed_total", result="applied") for each in (one, two)) > 0

        await eventually(both_work, within=20)
    await load.is_applied()
    await load.is_whole(kafka)


async def test_a_service_whose_every_part_hangs_ends_in_time_and_what_was_cut_off_is_done_at_the_next_start(
    replicas: Replicas, database: str, kafka: Kafka
) -> None:
    one = replicas.start("one")
    load, callers = Load(replicas), Callers(one)
    load.publish(1)
    await load.is_applied()
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("lock table requirements, people, outbox, outbox_unsent in access exclusive mode")
            load.publish(2)

            async def all_hang() -> bool:
                return await waiting_for_locks(connection) >= 3

            async with callers.calling():
                await eventually(all_hang, within=20)
                code, seconds = await asyncio.to_thread(one.terminate)
    finally:
        await connection.close()
    assert code == 0
    assert seconds < STOP_LIMIT_S
    one = replicas.start("one", again=one)
    await load.is_applied()
    await load.is_whole(kafka)
