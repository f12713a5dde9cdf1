"""A survey that was broken off and is not sent again leaves nothing behind."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.intelligence.commands import abandoned, sources
from shared.imports.running import Received, take_in
from shared.messaging.unit_of_work import unit_of_work
from shared.persistence import import_files
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

HEADER = "provider,site,specialty,indicator,year,mean,sd,n\n"
ROWS = "".join(f"FICTHT001,,S{n},Workload,2024,70,10,9\n" for n in range(30)) + "FICTHT001,,S,Workload,2024,many,10,9\n"


def now() -> datetime:
    """Asked when a test needs it: minutes may pass between the loading of this module and the test."""
    return datetime.now(UTC)


def later() -> datetime:
    return now() + abandoned.PATIENCE + timedelta(minutes=1)


class Stopped(Exception):
    """The process would have died here."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    survey = tmp_path / "nts.csv"
    survey.write_text(HEADER + ROWS, encoding="utf-8")
    return survey


async def break_off(service: ServiceUnderTest, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die when all rows are in and do not count yet."""
    source = sources.source(sources.mappings(None)["nts"], "officer-1")

    async def die(*_: Any) -> Any:
        raise Stopped

    monkeypatch.setattr(source, "finish", die)
    with pytest.raises(Stopped):
        await take_in(service.pool, source, Received(path, "nts.csv", "officer-1"), emitter=service.service.source)


async def clean(service: ServiceUnderTest, at: datetime) -> bool:
    async with unit_of_work(service.pool, service.service.source, at) as work:
        return await abandoned.give_up_abandoned(work)


async def kept(service: ServiceUnderTest) -> list[int]:
    tables = ("survey_result_rows", "survey_file_years", "import_problems", "import_files where source = 'nts'")
    return [await service.pool.fetchval(f"select count(*) from {table}") for table in tables]  # noqa: S608 constants


async def send(service: ServiceUnderTest) -> dict[str, Any]:
    answer = await service.call("POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=(HEADER + ROWS).encode())
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_nobody_goes_on_with_is_removed_and_can_be_sent_anew(
    intelligence: ServiceUnderTest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await break_off(intelligence, path, monkeypatch)
    assert await kept(intelligence) == [30, 1, 1, 1]
    assert not await clean(intelligence, now() + timedelta(hours=1)), "somebody may still go on with it"
    assert await kept(intelligence) == [30, 1, 1, 1]
    assert await clean(intelligence, later())
    assert not await clean(intelligence, later())
    assert await kept(intelligence) == [0, 0, 0, 0]
    told = await intelligence.pool.fetchrow("select actor, change, detail from history where change = 'given up'")
    assert told is not None
    assert tuple(told) == ("service:intelligence", "given up", {"source": "nts", "rows": 31})
    report = await send(intelligence)
    assert (report["added"], report["refused"]) == (30, 1)


async def test_what_is_finished_stays(intelligence: ServiceUnderTest) -> None:
    await send(intelligence)
    before = await kept(intelligence)
    assert not await clean(intelligence, later())
    assert await kept(intelligence) == before


async def test_what_is_being_taken_in_stays(
    intelligence: ServiceUnderTest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await break_off(intelligence, path, monkeypatch)
    digest = await intelligence.pool.fetchval("select digest from import_files where source = 'nts'")
    async with intelligence.pool.acquire() as connection:
        assert await import_files.take_up(connection, digest)
        assert not await clean(intelligence, later())
        await import_files.let_go(connection, digest)
    assert await clean(intelligence, later())


async def test_what_other_sources_brought_stays_though_the_file_never_ends(intelligence: ServiceUnderTest) -> None:
    async def count(what: str) -> int:
        return await intelligence.pool.fetchval(f"select count(*) from {what}")  # noqa: S608 constants

    report = "provider,date,summary\nFICTHT001,2026-01-05,Too few supervisors.\n"
    answer = await intelligence.call(
        "POST", "/imports/head-of-school", role=Role.QUALITY_OFFICER, content=report.encode()
    )
    assert answer.json()["added"] == 1, answer.text
    await intelligence.pool.execute("update import_files set finished_at = null where source = 'head-of-school'")
    assert not await clean(intelligence, later())
    assert await count("intelligence_items where file_id is not null") == 1
    assert await count("import_files where finished_at is null") == 1
