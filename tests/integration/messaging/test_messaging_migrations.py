"""A database of an earlier release keeps what it had to send when the tables of this one are laid."""

import uuid
from pathlib import Path

import pytest

import shared.messaging
from shared.persistence import migrations
from shared.persistence.pool import open_pool

FOLDER = Path(shared.messaging.__file__).parent / "migrations"


async def test_rows_that_an_earlier_release_had_not_sent_are_still_to_be_sent(database: str, tmp_path: Path) -> None:
    first = tmp_path / "0001_delivery.sql"
    first.write_text((FOLDER / first.name).read_text(encoding="utf-8"), encoding="utf-8")
    pool = await open_pool(database, name="test")
    async with pool.acquire() as connection:
        await migrations.migrate(connection, "messaging", tmp_path)
        for sequence, sent in ((1, True), (2, False), (3, True), (4, False)):
            await connection.execute(
                """
                insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id, data,
                                    sent_at)
                values ($1, 't', '/a/b', 's', 'topic', 'KEY', $2, now(), $1, '{}', case when $3 then now() end)""",
                uuid.uuid4(),
                sequence,
                sent,
            )
        await migrations.migrate(connection, "messaging", FOLDER)
        unsent = await connection.fetch("select sequence from outbox join outbox_unsent using (position) order by 1")
        assert [row["sequence"] for row in unsent] == [2, 4]
    await pool.close()


FILL_POSITIONS = """
    insert into positions (topic, source, key, last_sequence, last_event_id)
    select 'topic', '/a/b', n::text, 1, gen_random_uuid() from generate_series(1, 5000) as n"""
MOVE_POSITIONS = "update positions set last_event_id = gen_random_uuid(), updated_at = now() where right(key, 1) = '7'"

FILL_COUNTERS = """
    insert into outbox_counters (topic, key, last_sequence)
    select 'topic', n::text, 1 from generate_series(1, 5000) as n"""
MOVE_COUNTERS = "update outbox_counters set last_sequence = last_sequence + 1 where right(key, 1) = '7'"


@pytest.mark.parametrize(
    ("table", "fill", "move"),
    [("positions", FILL_POSITIONS, MOVE_POSITIONS), ("outbox_counters", FILL_COUNTERS, MOVE_COUNTERS)],
    ids=["positions", "counters"],
)
async def test_what_every_event_moves_stays_in_its_page_however_full_the_table_is(
    database: str, table: str, fill: str, move: str
) -> None:
    pool = await open_pool(database, name="test")
    async with pool.acquire() as connection:
        await migrations.migrate(connection, "messaging", FOLDER)
        await connection.execute(fill)
        async with connection.transaction():
            # One row of ten: of a large table, few of a page are moved at once.
            await connection.execute(move)
            moved = await connection.fetchrow(
                "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = $1", table
            )
    await pool.close()
    assert moved is not None
    assert (moved["n_tup_upd"], moved["n_tup_hot_upd"]) == (500, 500), "the others write to an index, too"
