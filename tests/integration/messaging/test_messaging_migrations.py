"""A database of an earlier release keeps what it had to send when the tables of this one are laid."""

import uuid
from pathlib import Path

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
