"""The moments at which the trials of delivery's guards strike come, with the guard and without it.

A trial whose moment never comes shows nothing of its guard, and the trials themselves run only on demand.
"""

import os
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.messaging import offsets, ordering, outbox, positions, wake
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import inbox
from shared.messaging.relaying import relay_rows
from shared.persistence.pool import Pool
from tests.chaos import unguarded
from tests.integration.messaging.delivery import a_key, applied, consuming, emit, ready, relaying

#: All that a guard or a moment replaces.
_REPLACED = (
    (inbox, "_check_not_behind"),
    (offsets, "advance"),
    (offsets, "lock"),
    (ordering, "plan"),
    (outbox, "save"),
    (positions, "load"),
    (positions, "save"),
    (relay_rows, "next_rows"),
    (relay_rows, "stretches"),
    (wake, "up"),
)


@pytest.mark.parametrize("is_off", [True, False], ids=["guard-off", "guard-on"])
@pytest.mark.parametrize("guard", sorted(unguarded.MOMENTS))
async def test_the_moment_of_a_trial_comes(
    pool: Pool,
    database: str,
    settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    guard: str,
    is_off: bool,
) -> None:
    for module, name in _REPLACED:
        monkeypatch.setattr(module, name, getattr(module, name))
    told = tmp_path / "now"
    monkeypatch.setenv(unguarded.MOMENT_FILE, str(told))
    monkeypatch.setenv("QC_DATABASE_URL", database)
    struck: list[int] = []
    harmless = SimpleNamespace(environ=os.environ, getpid=os.getpid, kill=lambda pid, number: struck.append(number))
    monkeypatch.setattr(unguarded, "os", harmless)
    unguarded.GUARDS[guard if is_off else "none"]()
    unguarded.strike_after(*unguarded.MOMENTS[guard])
    key = a_key()
    async with relaying(database, settings), consuming(pool, settings, f"test.{uuid.uuid4().hex}") as consumer:
        await ready(consumer)
        assert struck == []
        told.touch()
        await emit(pool, key, 3)
        await applied(pool, key, range(1, 4))
    assert struck[:1] == [unguarded.MOMENTS[guard][2]]
