"""What is done by the clock: each thing once, by one process, and again after a failure or a kill."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.intelligence.commands import deadlines
from shared.contracts.concerns import ExitConditionSettled
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import schedule as due_times
from shared.service.schedule import Job, run_due, worker
from tests.fixtures.services import ServiceUnderTest
from tests.integration.intelligence.following import TODAY, Followed

NATIONAL = "national_register"
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=2)


async def on_register(service: ServiceUnderTest, conditions: int = 1) -> Followed:
    """A concern on the national register with exit conditions and a check that are due today."""
    concern = await Followed.rated(service)
    await concern.do("escalations", register_kind=NATIONAL)
    for _ in range(conditions):
        await concern.do(
            "exit-conditions", register_kind=NATIONAL, wording="x", owner="education_lead", due_on=str(TODAY)
        )
    return await concern.do("effectiveness-checks", register_kind=NATIONAL, due_on=str(TODAY))


async def know(service: ServiceUnderTest, *jobs: Job) -> dict[str, Job]:
    """Make jobs known and due."""
    async with service.pool.acquire() as connection:
        await due_times.know(connection, [job.name for job in jobs], NOW)
    return {job.name: job for job in jobs}


async def run(service: ServiceUnderTest, jobs: dict[str, Job], now: datetime) -> bool:
    return await run_due(service.pool, service.service.source, jobs, now)


async def test_a_due_date_that_passes_is_noted_once_and_told(intelligence: ServiceUnderTest) -> None:
    concern = await on_register(intelligence, conditions=2)
    jobs = await know(intelligence, deadlines.JOB)
    await run(intelligence, jobs, NOW)
    assert await intelligence.emitted(ExitConditionSettled) == []
    await run(intelligence, jobs, LATER)
    await run(intelligence, jobs, LATER + timedelta(days=1))
    first, second = await intelligence.emitted(ExitConditionSettled)
    assert {first.state, second.state} == {"missed"}
    view = await concern.read()
    assert [one["state"] for one in view["exit_conditions"]] == ["missed", "missed"]
    national = next(one for one in view["registers"] if one["register_kind"] == NATIONAL)
    assert national["effectiveness_check"] == "none"  # what was planned lapsed with the condition
    assert [(one["actor"], one["change"], one["reason"]) for one in view["history"][-2:]] == [
        ("service:intelligence", "exit condition missed", "its due date has passed")
    ] * 2


async def test_a_check_falls_overdue_and_can_still_be_passed(intelligence: ServiceUnderTest) -> None:
    concern = await on_register(intelligence, conditions=0)
    await run(intelligence, await know(intelligence, deadlines.JOB), LATER)
    view = await concern.read()
    national = next(one for one in view["registers"] if one["register_kind"] == NATIONAL)
    assert national["effectiveness_check"] == "overdue"
    assert view["history"][-1]["change"] == "effectiveness check overdue"
    await concern.do("effectiveness-checks/result", register_kind=NATIONAL, effective=True)


async def test_a_database_restored_to_the_past_misses_a_condition_under_the_same_event_id(
    intelligence: ServiceUnderTest,
) -> None:
    """Otherwise the topics would tell of it twice."""
    await on_register(intelligence)
    ids: list[Any] = []
    for _ in range(2):
        connection = await intelligence.pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        work = UnitOfWork(connection, intelligence.service.source, LATER)
        await deadlines.pass_deadlines(work)
        await work.flush()
        ids.append(await connection.fetchval("select event_id from outbox where type like '%condition.settled%'"))
        await transaction.rollback()
        await intelligence.pool.release(connection)
    assert ids[0] is not None
    assert ids[0] == ids[1]


async def test_more_than_fits_one_transaction_is_done_at_once(
    intelligence: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "_MOST", 2)
    for _ in range(3):
        await on_register(intelligence, conditions=0)
    jobs = await know(intelligence, deadlines.JOB)
    assert await run(intelligence, jobs, LATER) is True
    assert await run(intelligence, jobs, LATER) is False
    overdue = "select count(*) from concern_registers where check_state = 'overdue'"
    assert await intelligence.pool.fetchval(overdue) == 3


async def test_of_several_processes_one_runs_a_job(intelligence: ServiceUnderTest) -> None:
    runs: list[datetime] = []

    async def slow(work: UnitOfWork) -> bool:
        runs.append(work.now)
        await asyncio.sleep(0.2)
        return False

    jobs = await know(intelligence, Job("slow", timedelta(hours=1), slow))
    await asyncio.gather(*(run(intelligence, jobs, NOW) for _ in range(4)))
    await run(intelligence, jobs, NOW + timedelta(minutes=59))
    assert len(runs) == 1
    await run(intelligence, jobs, NOW + timedelta(minutes=61))
    assert len(runs) == 2


async def test_a_job_that_fails_leaves_nothing_behind_and_does_not_hold_up_the_others(
    intelligence: ServiceUnderTest,
) -> None:
    done: list[str] = []

    async def broken(work: UnitOfWork) -> bool:
        await work.connection.execute("create table half_done (id int)")
        raise ValueError("broken on purpose")

    async def sound(work: UnitOfWork) -> bool:
        done.append("sound")
        return False

    hour = timedelta(hours=1)
    jobs = await know(intelligence, Job("a broken one", hour, broken), Job("sound", hour, sound))
    await run(intelligence, jobs, NOW)
    assert done == ["sound"]
    assert await intelligence.pool.fetchval("select to_regclass('half_done')") is None
    row = await intelligence.pool.fetchrow("select * from scheduled_jobs where name = 'a broken one'")
    assert row is not None
    assert (row["runs"], row["last_run_at"], row["due_at"]) == (0, None, NOW + timedelta(minutes=1))


async def test_a_job_that_is_killed_is_run_again_by_whoever_comes_next(intelligence: ServiceUnderTest) -> None:
    concern = await on_register(intelligence)
    begun = asyncio.Event()

    async def killed(work: UnitOfWork) -> bool:
        await deadlines.pass_deadlines(work)
        begun.set()
        await asyncio.sleep(60)
        return False

    jobs = await know(intelligence, Job("deadlines", timedelta(hours=1), killed))
    task = asyncio.create_task(run(intelligence, jobs, LATER))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await concern.read())["exit_conditions"][0]["state"] == "open"
    again = {"deadlines": Job("deadlines", timedelta(hours=1), deadlines.pass_deadlines)}
    await run(intelligence, again, LATER)
    assert (await concern.read())["exit_conditions"][0]["state"] == "missed"
    assert len(await intelligence.emitted(ExitConditionSettled)) == 1


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="name them apart"):
        worker([deadlines.JOB, deadlines.JOB])
