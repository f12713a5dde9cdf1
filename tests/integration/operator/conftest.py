"""`qc` in the tests' own process, on the real database of a real service."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.main import application
from deploy.local.errors import UserError


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    exit_code: int
    output: str
    #: The sentence of an error of the caller's.
    error: str | None

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.output)


Qc = Callable[..., Awaitable[Ran]]


@pytest.fixture
def qc(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Qc:
    """Runs `qc` to its end; further names are variables of its environment. No stack runs."""
    monkeypatch.setenv("QC_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("QC_KAFKA_BOOTSTRAP", raising=False)

    def run(arguments: tuple[str, ...], environment: dict[str, str]) -> Ran:
        result = CliRunner().invoke(application(arguments[0]), list(arguments), env=environment)
        if isinstance(result.exception, UserError):
            return Ran(result.exception.exit_code, result.stdout, str(result.exception))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, None)

    async def start(*arguments: str, **environment: str) -> Ran:
        # In a thread: a command runs an event loop of its own.
        return await asyncio.to_thread(run, arguments, environment)

    return start
