"""The stack as a whole, with stand-ins for the services."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import apache_kafka, java, ports, stack
from deploy.local.errors import ProcessFailed, UserError
from deploy.local.stack import SERVICES, Options, Stack, Step
from shared.contracts.registry import Topic
from shared.messaging import topics

StandIns = Callable[..., str]


@pytest.fixture
def options(open_folder: Path, port_base: int) -> Options:
    """A stack of its own, on the embedded broker because that starts fastest."""
    return Options(
        kafka="embedded",
        data_dir=open_folder / "data",
        ports=ports.Ports(port_base),
        durable=False,
        die_with_parent=True,
    )


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.needs_apache)])
def options_of_each_broker(options: Options, request: pytest.FixtureRequest) -> Options:
    """The same on the embedded broker and on Apache Kafka, for what a broker has a part in."""
    return _with(options, kafka=request.param)


def _with(options: Options, **changes: Any) -> Options:
    return Options(**{**options.__dict__, **changes})


def _all_ports_free(options: Options) -> bool:
    return all(ports.is_free(options.ports.base + offset) for offset in range(ports.SPAN))


def _settings(folder: Path, service: str) -> dict[str, str]:
    return json.loads((folder / f"stand_ins.{service}.json").read_text())


def test_everything_gets_ready_in_order_and_nothing_is_left_after_it(
    options_of_each_broker: Options, stand_ins: StandIns, tmp_path: Path
) -> None:
    steps: list[Step] = []
    with Stack(_with(options_of_each_broker, package=stand_ins()), steps.append) as running:
        assert [step.what for step in steps if step.what != "Maven"] == [
            *("PostgreSQL 18", "Kafka", "Topics", "Mail sink"),
            *SERVICES,
        ]
        state = running.state()
        assert state is not None
        assert all(running.is_ready(one.name) for one in state.processes)
        states = asyncio.run(topics.describe(running.bootstrap))
        assert [one.problem for one in states] == [None] * len(topics.DECLARED)
        for service in SERVICES:
            own = _settings(tmp_path, service)
            assert own["QC_DATABASE_URL"] == running.dsn(service)
            assert own["QC_KAFKA_BOOTSTRAP"] == running.bootstrap
            embedded = running.broker.kind == "embedded"
            assert own.get("QC_KAFKA_IDEMPOTENCE", "true") == ("false" if embedded else "true")
            assert ("QC_INSTANCE_ID" in own) is not embedded
            asyncio.run(_can_connect(running.dsn(service)))
        assert _settings(tmp_path, "notify")["QC_SMTP_PORT"] == str(options_of_each_broker.ports.smtp)
        with urllib.request.urlopen(f"{running.mail_url}/messages", timeout=5) as response:
            assert json.load(response) == []
    assert running.state() is None
    assert _all_ports_free(options_of_each_broker)


async def _can_connect(dsn: str) -> None:
    await (await asyncpg.connect(dsn)).close()


def test_each_process_can_be_killed_and_comes_back(options_of_each_broker: Options, stand_ins: StandIns) -> None:
    with Stack(_with(options_of_each_broker, package=stand_ins())) as running:
        # As another shell does it, which knows nothing but the data folder.
        other = stack.attach(options_of_each_broker.data_dir)
        for name in ("visits", "mail", "postgres", "kafka-0"):
            before = _pid(running, name)
            other.kill(name)
            assert not running.is_ready(name)
            other.restart(name)
            assert running.is_ready(name)
            assert _pid(running, name) != before
        states = asyncio.run(topics.describe(running.bootstrap))
        assert [one.problem for one in states] == [None] * len(topics.DECLARED)


def _pid(running: Stack, name: str) -> int:
    state = running.state()
    assert state is not None
    return state.entry(name).id.pid


def test_secrets_and_data_outlast_a_stop(options: Options, stand_ins: StandIns) -> None:
    options = _with(options, package=stand_ins())
    with Stack(options) as running:
        secrets = running.secrets
        asyncio.run(_run(running.dsn("visits"), "create table kept (id int)"))
    with Stack(options) as running:
        assert running.secrets == secrets
        asyncio.run(_run(running.dsn("visits"), "select * from kept"))
    assert len({secrets.jwt, secrets.pseudonym_key, secrets.postgres, *secrets.databases.values()}) == 7
    assert (options.data_dir / "secrets.json").stat().st_mode & 0o077 == 0


async def _run(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("service", ["intelligence", "notify"])
def test_a_service_that_fails_stops_the_start_and_leaves_nothing(
    options: Options, stand_ins: StandIns, service: str
) -> None:
    package = stand_ins(**{service: "raise SystemExit('QC_OFFICE must not be empty')"})
    with pytest.raises(ProcessFailed) as caught:
        Stack(_with(options, package=package)).start()
    assert service in str(caught.value)
    assert "QC_OFFICE must not be empty" in str(caught.value)
    assert _all_ports_free(options)
    assert Stack(options).state() is None


def test_a_service_that_never_gets_ready_is_told_with_what_it_lacks(
    options: Options, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "SERVICE_TIMEOUT", 3.0)
    package = stand_ins(visits=_NEVER_READY)
    with pytest.raises(ProcessFailed, match=r"visits was not ready after 3 s.*broker: no partitions assigned"):
        Stack(_with(options, package=package)).start()
    assert _all_ports_free(options)


_NEVER_READY = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"ready": False, "checks": {"broker": "no partitions assigned"}}).encode()
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(os.environ["QC_HTTP_PORT"])), Handler).serve_forever()
"""


def test_a_port_in_use_is_found_before_anything_is_started(options: Options) -> None:
    with (
        socket.create_server((ports.LOOPBACK, options.ports.postgres)),
        pytest.raises(UserError, match=f"Port {options.ports.postgres}, which PostgreSQL needs"),
    ):
        Stack(options).start()
    assert not (options.data_dir / "postgres").exists()


def test_two_stacks_run_side_by_side(options: Options, stand_ins: StandIns, open_folder: Path) -> None:
    first = _with(options, package=stand_ins())
    second = _with(first, data_dir=open_folder / "second", ports=ports.Ports(options.ports.base + 50))
    with Stack(first) as one, Stack(second) as other:
        assert one.is_ready("visits")
        assert other.is_ready("visits")
        assert one.secrets != other.secrets
    assert _all_ports_free(first)


def test_a_restarted_embedded_broker_is_another_cluster(options: Options, stand_ins: StandIns) -> None:
    with Stack(_with(options, package=stand_ins())) as running:
        before = _cluster_id(running)
        running.restart("kafka-0")
        assert _cluster_id(running) != before


def _cluster_id(running: Stack) -> str:
    state = running.state()
    assert state is not None
    argv = list(state.entry("kafka-0").command.argv)
    return argv[argv.index("--cluster-id") + 1]


@pytest.mark.needs_apache
def test_when_one_of_three_brokers_is_killed_the_others_lead_its_partitions(
    options: Options, stand_ins: StandIns
) -> None:
    with Stack(_with(options, kafka="apache", brokers=3, package=stand_ins())) as running:
        states = asyncio.run(topics.describe(running.bootstrap))
        assert [one.replicas for one in states] == [3] * len(topics.DECLARED)
        assert asyncio.run(_leaders(running.bootstrap)) == {0, 1, 2}
        running.kill("kafka-1")
        asyncio.run(_all_led_by_others_than(1, running.bootstrap))
        running.restart("kafka-1")
        assert running.is_ready("kafka-1")


async def _all_led_by_others_than(broker: int, bootstrap: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        # The client may ask the dead broker of all, which says nothing of the topics.
        with contextlib.suppress(KafkaError):
            if broker not in (leaders := await _leaders(bootstrap)) and -1 not in leaders:
                return
        assert time.monotonic() < deadline, "partitions stayed without a leader"
        await asyncio.sleep(0.2)


async def _leaders(bootstrap: str) -> set[int]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        described = await client.describe_topics([topic.value for topic in Topic])
    finally:
        await client.close()
    return {partition["leader"] for topic in described for partition in topic["partitions"]}


@pytest.mark.needs_apache
def test_data_of_one_broker_are_not_started_as_a_cluster_of_three(tmp_path: Path) -> None:
    program, _ = java.java()
    assert program is not None
    prepare = functools.partial(
        apache_kafka.prepare, tmp_path / "kafka", logs=tmp_path, jars=java.kafka_jars(), program=program
    )
    endpoints = [apache_kafka.Endpoint(9092 + i, 9192 + i) for i in range(3)]
    first = prepare(endpoints=endpoints[:1])
    with pytest.raises(UserError, match="--brokers 1"):
        prepare(endpoints=endpoints)
    assert prepare(endpoints=endpoints[:1]).cluster_id == first.cluster_id
