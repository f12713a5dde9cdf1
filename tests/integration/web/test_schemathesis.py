"""Nothing a caller sends makes a 500: generated requests against each service, a process of its own."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deploy.local import ports
from shared.security.roles import Role
from shared.security.tokens import issue
from tests.fixtures.infrastructure import Kafka

SERVICES = ("intelligence", "visits", "funding", "notify")

#: What is checked of every answer. All errors are problem details, as the OpenAPI document says.
CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "ignored_auth",
    )
)


@contextmanager
def serving(service: str, dsn: str, kafka: Kafka, log: Path) -> Iterator[tuple[str, str]]:
    """A service as a process; its URL and a token that may do everything."""
    (port,) = ports.free_ports(1)
    (smtp,) = ports.free_ports(1)
    secret = secrets.token_urlsafe(32)
    environment = {
        **os.environ,
        **kafka.environment,
        "QC_DATABASE_URL": dsn,
        "QC_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "QC_HTTP_PORT": str(port),
        "QC_JWT_SECRET": secret,
        "QC_PSEUDONYM_KEY": secrets.token_urlsafe(32),
        "QC_OFFICE": "schemathesis",
        "QC_SMTP_HOST": "127.0.0.1",
        "QC_SMTP_PORT": str(smtp),
        "QC_SMTP_SENDER": "quality-cycle@localhost.test",
    }
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"], env=environment, stdout=output, stderr=output
        )
        try:
            _wait_for_database(url, process)
            token = issue(
                secret=secret, subject="schemathesis-1", roles=list(Role), office="schemathesis", now=datetime.now(UTC)
            )
            yield url, token
        finally:
            process.terminate()
            process.wait(15)


def _wait_for_database(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended"
        try:
            checks = httpx.get(f"{url}/health/ready").json()["checks"]
        except httpx.TransportError:
            checks = {}
        if checks.get("database") == "ok":
            return
        time.sleep(0.1)
    raise AssertionError("the service did not reach its database")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("service", SERVICES)
async def test_no_request_makes_a_500_and_every_answer_is_as_described(
    service: str, new_database: Callable[[], Awaitable[str]], kafka: Kafka, tmp_path: Path
) -> None:
    log = tmp_path / f"{service}.log"
    with serving(service, await new_database(), kafka, log) as (url, token):
        run = await asyncio.to_thread(
            subprocess.run,
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{url}/openapi.json",
                "--header",
                f"Authorization: Bearer {token}",
                "--checks",
                CHECKS,
                "--max-examples",
                "20",
                "--phases",
                "examples,coverage,fuzzing",
                "--seed",
                "20241118",
                "--suppress-health-check",
                "all",
                "--continue-on-failure",
                "--no-color",
                "--warnings",
                "off",
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=220,
            check=False,
        )
    assert run.returncode == 0, run.stdout[-12_000:] + log.read_text()[-3_000:]
    assert "Traceback" not in log.read_text()
    generated = re.search(r"(\d+) generated", run.stdout)
    assert generated is not None, run.stdout
    assert int(generated[1]) > 300, "too few requests were generated to mean anything"
