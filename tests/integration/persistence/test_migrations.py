"""The migration runner on a real database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.persistence import migrations
from shared.persistence.migrations import MigrationError
from shared.persistence.pool import Connection, connect

ONE = "create table one (n int); insert into one values (1);"
TWO = "insert into one values (2);"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    connection = await connect(database, name="test")
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text(ONE)
    (tmp_path / "0002_two.sql").write_text(TWO)
    return tmp_path


async def rows(connection: Connection) -> list[int]:
    return [row["n"] for row in await connection.fetch("select n from one order by n")]


async def test_files_are_applied_in_order_and_once(connection: Connection, folder: Path) -> None:
    assert await migrations.migrate(connection, "stage", folder) == ["0001_one.sql", "0002_two.sql"]
    assert await migrations.migrate(connection, "stage", folder) == []
    (folder / "0003_three.sql").write_text("insert into one values (3)")
    assert await migrations.migrate(connection, "stage", folder) == ["0003_three.sql"]
    assert await rows(connection) == [1, 2, 3]


async def test_processes_that_start_at_once_apply_each_file_once(database: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("select pg_sleep(0.2); insert into one values (2);")
    connections = [await connect(database, name="test") for _ in range(5)]
    try:
        applied = await asyncio.gather(*(migrations.migrate(c, "stage", folder) for c in connections))
        assert sorted(map(len, applied)) == [0, 0, 0, 0, 2]
        assert await rows(connections[0]) == [1, 2]
    finally:
        for one in connections:
            await one.close()


async def test_a_file_that_fails_leaves_nothing_of_itself_and_the_next_start_goes_on_with_it(
    connection: Connection, folder: Path
) -> None:
    (folder / "0002_two.sql").write_text("insert into one values (2); select no_such_thing;")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await migrations.migrate(connection, "stage", folder)
    assert await rows(connection) == [1]
    (folder / "0002_two.sql").write_text(TWO)
    assert await migrations.migrate(connection, "stage", folder) == ["0002_two.sql"]


async def test_a_process_that_fails_lets_others_migrate(connection: Connection, database: str, folder: Path) -> None:
    (folder / "0001_one.sql").write_text("no sql")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await migrations.migrate(connection, "stage", folder)
    (folder / "0001_one.sql").write_text(ONE)
    other = await connect(database, name="test")
    try:
        assert len(await asyncio.wait_for(migrations.migrate(other, "stage", folder), 5)) == 2
    finally:
        await other.close()


async def test_a_migration_may_take_longer_than_a_statement(
    connection: Connection, folder: Path, database: str
) -> None:
    """The time limit of statements is for requests; a large table's new index takes as long as it takes."""
    impatient = await asyncpg.connect(database, command_timeout=0.3)
    (folder / "0002_two.sql").write_text("select pg_sleep(0.6); insert into one values (2);")
    try:
        running = asyncio.create_task(migrations.migrate(impatient, "stage", folder))
        await asyncio.sleep(0.1)
        waiting = await asyncpg.connect(database, command_timeout=0.3)
        try:
            assert await migrations.migrate(waiting, "stage", folder) == []
        finally:
            await waiting.close()
        assert len(await running) == 2
    finally:
        await impatient.close()


async def test_an_edited_file_is_refused_by_name(connection: Connection, folder: Path) -> None:
    await migrations.migrate(connection, "stage", folder)
    (folder / "0001_one.sql").write_text(ONE + " ")
    with pytest.raises(MigrationError, match=r"0001_one\.sql was edited"):
        await migrations.migrate(connection, "stage", folder)


async def test_a_database_of_a_newer_version_is_refused(connection: Connection, folder: Path) -> None:
    await migrations.migrate(connection, "stage", folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_two\.sql"):
        await migrations.migrate(connection, "stage", folder)
    assert await rows(connection) == [1, 2]


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_double.sql", "3_short.sql", "0003-dash.sql", "0003_Case.sql"])
async def test_a_gap_a_double_or_a_bad_name_is_refused_before_anything_is_applied(
    connection: Connection, folder: Path, name: str
) -> None:
    (folder / name).write_text("select 1")
    with pytest.raises(MigrationError):
        await migrations.migrate(connection, "stage", folder)
    assert await connection.fetchval("select to_regclass('one')") is None


async def test_two_scopes_have_numbers_of_their_own(connection: Connection, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "0001_other.sql").write_text("create table other (n int)")
    await migrations.migrate(connection, "stage", folder)
    assert await migrations.migrate(connection, "other", other) == ["0001_other.sql"]
