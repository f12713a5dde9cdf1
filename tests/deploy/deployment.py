"""The files of the container deployment as the tests read them."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.service.runtime import ServiceSpec
from shared.service.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
ENV_EXAMPLE = ROOT / ".env.example"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
PROMETHEUS = ROOT / "deploy" / "prometheus"

#: A variable of the compose file: its name, and what it falls back on (`:-`) or says when it is missing (`:?`).
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


@cache
def compose() -> dict[str, Any]:
    """The compose file, anchors resolved and variables not."""
    return yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))


def services() -> dict[str, dict[str, Any]]:
    """Its services by name."""
    return compose()["services"]


def example() -> dict[str, str]:
    """The settings that .env.example lists, with what they are set to."""
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def generated_env(folder: Path) -> dict[str, str]:
    """What .env holds after the command that .env.example names for making it."""
    (command,) = re.findall(r"^#   (\(umask .*\))$", ENV_EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    shutil.copy(ENV_EXAMPLE, folder)
    subprocess.run(["bash", "-euc", command], cwd=folder, check=True)
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def resolved(value: str, variables: dict[str, str]) -> str:
    """A value of the compose file with its variables put in. Raises KeyError for one that must be set and isn't."""

    def put_in(found: re.Match[str]) -> str:
        name, kind, rest = found["name"], found["kind"], found["rest"]
        return variables.get(name) or rest if kind == "-" else variables[name]

    return VARIABLE.sub(put_in, value)


def environment(service: str, variables: dict[str, str]) -> dict[str, str]:
    """What a service of the compose file finds in its environment."""
    return {name: resolved(value, variables) for name, value in services()[service]["environment"].items()}


def stage(name: str) -> tuple[ServiceSpec, type[ServiceSettings]]:
    """What a stage is made of, and its settings."""
    module = importlib.import_module(f"services.{name}.app")
    return module.SPEC, module.Settings


def stage_port(name: str) -> int:
    """The port a stage listens on in the compose file."""
    return int(services()[name]["environment"]["QC_HTTP_PORT"])


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with what follows it."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


def need(program: str) -> str:
    """The path of a program. Without it the test is skipped, and in CI fails."""
    return shutil.which(program) or missing(f"{program} is not on the PATH")


def missing(what: str) -> Any:
    """Skip the test for want of something; in CI, where all must be there, fail it."""
    if os.environ.get("CI") == "true" or os.environ.get("QC_REQUIRE_APACHE_KAFKA") == "1":
        pytest.fail(f"{what}, and in CI it must be there")
    pytest.skip(what)


def run(*argv: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it says. `env` is added to a minimal environment."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    for name, value in os.environ.items():
        # Where programs keep what they download, and through whom they do.
        if name.startswith(("GO", "XDG_")) or name.lower().endswith("_proxy") or name.startswith("SSL_"):
            inherited[name] = value
    return subprocess.run(
        [str(part) for part in argv], env=inherited | (env or {}), cwd=cwd, capture_output=True, text=True, check=False
    )


def said(result: subprocess.CompletedProcess[str]) -> str:
    """A finished program's command line and output, for the message of a failed test."""
    return f"{shlex.join(result.args)} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
