"""Concerns of a register that is older than their life as a state machine find their place in it."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import shared.messaging
import shared.persistence
from services.intelligence.app import SPEC
from services.intelligence.domain.standing import Stage
from services.intelligence.store import concerns
from shared.persistence import migrations
from shared.persistence.history import Change, record
from shared.persistence.pool import Connection, connect

#: What each concern went through before: the change and, of a rating, the category and its day.
LIVES: dict[int, list[tuple[str, int | None]]] = {
    1: [("raised", None)],
    2: [("raised", None), ("rated", 1)],
    3: [("raised", None), ("rated", 3), ("rated", 1), ("rated", 2), ("rated", 4)],
    4: [("raised", None), ("rated", 3), ("closed", None)],
    5: [("raised", None), ("rated", 3), ("closed", None), ("reopened", None)],
    6: [("raised", None), ("rated", 3), ("closed", None), ("reopened", None), ("rated", 0)],
    7: [("imported", None), ("closed", None)],
}


async def test_every_older_concern_gets_its_stage_and_the_day_since_which_it_is_significant(
    database: str, tmp_path: Path
) -> None:
    connection = await connect(database, name="test")
    try:
        for scope, package in (("persistence", shared.persistence), ("messaging", shared.messaging)):
            await migrations.migrate(connection, scope, Path(package.__path__[0]) / "migrations")
        shutil.copy(SPEC.migrations / "0001_register_and_concerns.sql", tmp_path)
        await migrations.migrate(connection, SPEC.name, tmp_path)
        await _older_register(connection)
        await migrations.migrate(connection, SPEC.name, SPEC.migrations)
        found = await concerns.load_all_locked(connection, [UUID(int=number) for number in LIVES])
    finally:
        await connection.close()
    assert [one.life.faults() for one in found.values()] == [[]] * len(LIVES)
    assert {one.id.int: (one.life.stage, one.life.significant_since) for one in found.values()} == {
        1: (Stage.RAISED, None),
        2: (Stage.RATED, None),
        3: (Stage.RATED, date(2024, 5, 4)),  # below significant in between
        4: (Stage.CLOSED, date(2024, 5, 2)),
        5: (Stage.REOPENED, date(2024, 5, 2)),
        6: (Stage.RATED, None),
        7: (Stage.CLOSED, None),
    }


async def _older_register(connection: Connection) -> None:
    await connection.execute(
        "insert into organisations (ods_code, name, kind, source) values ('FICTHT001', 'A', 'hospital_trust', 'test')"
    )
    now = datetime(2024, 6, 1, tzinfo=UTC)
    for number, life in LIVES.items():
        changes = [change for change, _ in life]
        closed = changes[-1] == "closed"
        rated = [category for _, category in life if category is not None]
        await connection.execute(
            """
            insert into concerns (id, reference, origin, provider_code, programme, learner_group, standard_set,
                                  standards, source_kind, raised_on, summary, status, category, closed_on,
                                  closure_reason, version, created_at)
            values ($1, $2, 'reported', 'FICTHT001', 'x', 'medical', 'hee-qf-2021', '{}', 'other', '2024-05-01', 'x',
                    $3, $4, $5, $6, $7, $8)""",
            UUID(int=number),
            f"C-{number}",
            "closed" if closed else "open",
            rated[-1] if rated else None,
            date(2024, 5, 31) if closed else None,
            "resolved" if closed else None,
            len(life),
            now,
        )
        await record(
            connection,
            [
                Change("concern", str(UUID(int=number)), version, now, "x", change)
                for version, change in enumerate(changes, start=1)
            ],
        )
        for version, (_, category) in enumerate(life, start=1):
            if category is not None:
                await connection.execute(
                    "insert into concern_ratings values ($1, $2, 3, 3, 2, $3, 'x', $4, 'x')",
                    UUID(int=number),
                    version,
                    category,
                    date(2024, 5, version),
                )
