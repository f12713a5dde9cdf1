"""A real Compose implementation reads docker-compose.yml."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import COMPOSE_FILE, ENV_EXAMPLE, generated_env, missing, run, said, services

Parser = Callable[[Path, dict[str, str]], subprocess.CompletedProcess[str]]

COMPOSECHECK = Path(__file__).with_name("composecheck")


def _docker_compose_plugin(file: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("docker", "compose", "--file", file, "config", env=env, cwd=file.parent)


def _docker_compose(file: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("docker-compose", "--file", file, "config", env=env, cwd=file.parent)


def _compose_go(file: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("go", "run", ".", file, env=env, cwd=COMPOSECHECK)


def _works(*argv: str) -> bool:
    try:
        return run(*argv).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def parser() -> Parser:
    """The first Compose implementation there is."""
    if _works("docker", "compose", "version"):
        return _docker_compose_plugin
    if _works("docker-compose", "version"):
        return _docker_compose
    if _works("go", "version"):
        return _compose_go
    return missing("there is neither `docker compose` nor `docker-compose` nor `go`")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return generated_env(tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The compose file in a folder of its own, so that no .env of a developer is read."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Path(folder / "docker-compose.yml")


def _model(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, said(result)
    return json.loads(result.stdout) if result.stdout.startswith("{") else yaml.safe_load(result.stdout)


@pytest.mark.timeout(300)
def test_compose_accepts_the_file_with_the_settings_that_the_example_asks_for(
    parser: Parser, copy: Path, variables: dict[str, str]
) -> None:
    copy.write_text(COMPOSE_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    model = _model(parser(copy, variables))
    assert set(model["services"]) == set(services())
    for name, service in model["services"].items():
        wanted = set(services()[name].get("environment", {}))
        assert set(service.get("environment") or {}) == wanted, name
    url = model["services"]["visits"]["environment"]["QC_DATABASE_URL"]
    assert variables["QC_VISITS_DB_PASSWORD"] in url


@pytest.mark.timeout(300)
def test_compose_refuses_to_start_without_a_secret_and_says_what_to_do(
    parser: Parser, copy: Path, variables: dict[str, str]
) -> None:
    copy.write_text(COMPOSE_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("QC_JWT_SECRET", "POSTGRES_PASSWORD"):
        result = parser(copy, variables | {name: ""})
        assert result.returncode != 0
        assert f"set {name} in .env, see {ENV_EXAMPLE.name}" in result.stderr


@pytest.mark.timeout(300)
def test_the_parser_refuses_a_mistake(parser: Parser, copy: Path, variables: dict[str, str]) -> None:
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    for right, wrong in (
        ("condition: service_healthy", "condition: service_well"),
        ("    shm_size: 128mb", "    shm_seize: 128mb"),
        ("  kafka-data: {}\n", ""),
    ):
        assert right in text
        copy.write_text(text.replace(right, wrong), encoding="utf-8")
        assert parser(copy, variables).returncode != 0, wrong or right
