"""Connections as a service opens them."""

from typing import Any

import pytest

from shared.persistence.pool import connect, open_pool


async def test_json_is_read_and_written_as_objects(database: str) -> None:
    pool = await open_pool(database, name="test")
    try:
        value = {"a": [1, None, "ü"]}
        assert await pool.fetchval("select $1::jsonb", value) == value
        assert await pool.fetchval("select $1::json", value) == value
    finally:
        await pool.close()


@pytest.mark.parametrize("opened", ["pool", "connection"])
async def test_a_process_that_froze_does_not_keep_its_locks_for_ever(database: str, opened: str) -> None:
    """A server's own defaults are to wait for ever in a transaction, and two hours for a machine that is gone."""
    source: Any = await (open_pool if opened == "pool" else connect)(database, name="test")
    try:
        frozen = await source.fetchval("select current_setting('idle_in_transaction_session_timeout')::interval")
        gone = await source.fetchval(
            "select current_setting('tcp_keepalives_idle')::int + current_setting('tcp_keepalives_interval')::int"
            " * current_setting('tcp_keepalives_count')::int"
        )
    finally:
        await source.close()
    assert 0 < frozen.total_seconds() <= 60
    assert 0 < gone <= 30
