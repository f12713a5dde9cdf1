"""The whole system after a restore, after the loss of the broker's data and with a poisonous event in a topic.

Each test does what an operator would: look and mend with `qc`, and let `qc verify` be the judge.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.cli.token import office as office_name
from deploy.demo.api import Api
from deploy.demo.cycle import Cycle
from deploy.demo.observer import Observer
from deploy.local import ports, postgres
from deploy.local.stack import SERVICES, Options, Stack
from shared.contracts.concerns import ConcernRaised
from shared.contracts.envelope import Envelope
from shared.contracts.registry import Topic, by_model
from shared.messaging import topics
from shared.security import tokens
from shared.security.roles import Role
from tests.fixtures.infrastructure import free_port_base

_QC = str(Path(sys.executable).with_name("qc"))
_WHY = ("--actor", "operator-1", "--reason", "Exercise of recovery")


def _concern_about(provider: str) -> dict[str, Any]:
    return {
        "provider_code": provider,
        "programme": "General surgery",
        "learner_group": "medical",
        "standards": ["3.5"],
        "source_kind": "learner",
        "source_date": date.today().isoformat(),
        "summary": "Learners are left alone at night.",
    }


class Office:
    """A running stack, its staff and its operator."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    # The operator

    def qc(self, *arguments: str) -> tuple[int, Any]:
        """Run a command; its exit code and the JSON it printed."""
        done = subprocess.run(
            [_QC, *arguments, "--json"],
            env={**os.environ, "QC_DATA_DIR": str(self.stack.options.data_dir)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout.strip(), done.stderr
        return done.returncode, json.loads(done.stdout)

    def verify(self) -> None:
        """Let the referee judge: it finds nothing, or the test fails with all that it found."""
        code, report = self.qc("verify", "--wait", "60", "--mail", self.stack.mail_url)
        assert code == 0, json.dumps(report, indent=1)[:8000]

    def fence(self, service: str) -> str | None:
        """Why a service may not emit."""
        _, answer = self.qc("outbox", "status", "--service", service)
        return answer["services"][0]["fence"]

    # The staff

    def with_api(self, work: Callable[[Api], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            api = Api(self.stack.urls, self.stack.secrets.jwt, lambda line: None)
            try:
                return await work(api)
            finally:
                await api.close()

        return asyncio.run(run())

    def play(self, *, first: bool = False) -> dict[str, Any]:
        """One whole cycle about one concern; the concern at its end."""

        async def play(api: Api) -> dict[str, Any]:
            observer = Observer(self.stack.bootstrap, 50, datetime.now(UTC), lambda seen: None)
            watching = asyncio.create_task(observer.run())
            try:
                cycle = Cycle(api, observer, lambda line: None, date.today())
                if first:
                    await cycle.import_registers()
                return await cycle.play()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

        return self.with_api(play)

    def raise_and_rate(self, provider: str) -> dict[str, Any]:
        """What staff of intelligence alone do; the other stages only react. The concern."""

        async def raise_and_rate(api: Api) -> dict[str, Any]:
            concern = await api.post(
                "intelligence",
                "/concerns",
                _concern_about(provider),
                role=Role.QUALITY_OFFICER,
            )
            rating = {"impact": 4, "likelihood": 4, "category": 3, "rationale": "Patients were at risk."}
            path = f"/concerns/{concern['id']}/ratings"
            await api.post("intelligence", path, rating, role=Role.QUALITY_LEAD, version=concern["version"])
            return concern

        return self.with_api(raise_and_rate)

    def requires_a_visit(self, concern: dict[str, Any]) -> bool:
        """True once visits has heard of a concern's rating."""
        answer = self.with_api(
            lambda api: api.get("visits", "/requirements", provider=concern["provider"]["ods_code"], limit=200)
        )
        return any(item["concern_id"] == concern["id"] for item in answer["items"])

    def try_to_raise(self, provider: str) -> httpx.Response:
        """What intelligence answers to who raises a concern, the first time."""
        token = tokens.issue(
            secret=self.stack.secrets.jwt,
            subject="quality-officer-1",
            roles=[Role.QUALITY_OFFICER],
            office=office_name(),
            now=datetime.now(UTC),
        )
        return httpx.post(
            f"{self.stack.urls['intelligence']}/concerns",
            json=_concern_about(provider),
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())},
        )

    def mails(self) -> list[str]:
        """Ids of the messages in the mailboxes."""
        return [message["id"] for message in httpx.get(f"{self.stack.mail_url}/messages").json()]

    # What goes wrong

    def keep_database(self, service: str) -> None:
        """Copy a service's database as it is now. The service is stopped meanwhile."""
        self.stack.terminate(service)
        self._as_superuser(
            f"drop database if exists kept_{service}",
            f"create database kept_{service} template qc_{service} owner qc_{service}",
        )
        self.stack.restart(service)

    def restore_database(self, service: str) -> None:
        """Put the copy in place of the present database, under the running service."""
        self._as_superuser(
            f"drop database qc_{service} with (force)",
            f"create database qc_{service} template kept_{service} owner qc_{service}",
        )

    def lose_the_brokers_data(self) -> None:
        """Lose all that the topics hold, under the running services."""
        if self.stack.broker.kind == "embedded":
            # It holds everything in memory.
            self.stack.kill("kafka-0")
            self.stack.restart("kafka-0")
        else:
            asyncio.run(_delete_topics(self.stack.bootstrap))
            code, answer = self.qc("topics", "apply")
            assert (code, len(answer["created"])) == (0, len(topics.DECLARED))

    def _as_superuser(self, *statements: str) -> None:
        server = self.stack.options.ports.postgres
        dsn = f"postgresql://{postgres.SUPERUSER}:{self.stack.secrets.postgres}@{ports.LOOPBACK}:{server}/postgres"

        async def run() -> None:
            connection = await asyncpg.connect(dsn)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())


async def _delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(list(topics.DECLARED))
        async with asyncio.timeout(20):
            while set(await admin.list_topics()) & topics.DECLARED.keys():  # noqa: ASYNC110 nobody tells us
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """A stack of its own, for what happens to it here is destructive; one cycle has been played on it."""
    folder = Path(tempfile.mkdtemp(prefix="quality-cycle-recovery-"))
    folder.chmod(0o711)
    options = Options(
        data_dir=folder / "data", ports=ports.Ports(free_port_base()), durable=False, die_with_parent=True
    )
    try:
        with Stack(options) as running:
            office = Office(running)
            office.play(first=True)
            office.verify()
            yield office
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def eventually(check: Callable[[], Any], *, within: float = 60) -> None:
    """Wait until a check gives something true."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.3)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("service", ["visits", "notify"])
def test_a_consumer_restored_to_the_past_catches_up_by_itself(office: Office, service: str) -> None:
    office.keep_database(service)
    office.raise_and_rate("FICTHT001")
    office.raise_and_rate("FICTHT002")
    office.verify()
    before = office.mails()
    office.restore_database(service)
    office.verify()
    assert office.fence(service) is None
    after = office.mails()
    # At most the one message in hand when the database was taken away.
    assert len(after) <= len(before) + 1, "messages were sent a second time"
    office.raise_and_rate("FICTHT001")
    office.verify()


@pytest.mark.timeout(240)
def test_all_that_the_broker_lost_is_published_again_and_nobody_is_mailed_twice(office: Office) -> None:
    before = office.mails()
    office.lose_the_brokers_data()
    code, again = office.qc("outbox", "republish", "--since", "all", *_WHY)
    assert code == 0
    assert {one["service"] for one in again["services"] if one["events"]} == set(SERVICES)
    office.play()
    eventually(lambda: len(office.mails()) > len(before))
    office.verify()
    mails = office.mails()
    assert mails[: len(before)] == before
    assert not set(mails[len(before) :]) & set(before), "a message was sent a second time"


@pytest.mark.timeout(240)
def test_a_poisonous_event_stops_its_own_key_alone_and_goes_on_in_order_when_discarded(office: Office) -> None:
    """A record under the next number of a stream breaks its contract: what follows it waits for a decision."""
    spec = by_model(ConcernRaised)
    source, key = "/another-office/intelligence", "FICTHT001"

    def record(number: int, value: bytes) -> dict[str, Any]:
        envelope = Envelope(
            id=uuid.uuid4(),
            source=source,
            type=spec.type,
            subject=str(uuid.uuid4()),
            time=datetime.now(UTC),
            dataschema=spec.dataschema,
            key=key,
            sequence=number,
            correlationid=uuid.uuid4(),
            dataclassification=spec.classification,
        )
        return {"value": value, "key": key.encode(), "headers": envelope.headers()}

    async def publish(*records: dict[str, Any]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=office.stack.bootstrap)
        await producer.start()
        try:
            for one in records:
                await producer.send_and_wait(Topic.CONCERNS.value, **one)
        finally:
            await producer.stop()

    asyncio.run(publish(record(1, b'{"not": "a concern"}')))
    parked: list[dict[str, Any]] = []

    def is_parked() -> bool:
        parked[:] = office.qc("parked", "list", "--service", "visits")[1]["parked"]
        return bool(parked)

    eventually(is_parked, within=20)
    assert [(one["source"], one["key"], one["sequence"]) for one in parked] == [(source, key, 1)]
    # The same provider's events of our own office are another stream, in the same partition: they go on.
    began = time.monotonic()
    concern = office.raise_and_rate(key)
    eventually(lambda: office.requires_a_visit(concern), within=10)
    assert time.monotonic() - began < 10
    for service in SERVICES:
        for letter in office.qc("dead-letters", "list", "--service", service)[1]["dead_letters"]:
            code, _ = office.qc("dead-letters", "discard", str(letter["id"]), "--service", service, *_WHY)
            assert code == 0
    eventually(lambda: not is_parked())
    office.verify()


@pytest.mark.timeout(240)
def test_a_producer_restored_to_the_past_emits_nothing_until_it_was_recovered(office: Office) -> None:
    office.keep_database("intelligence")
    lost = office.raise_and_rate("FICTHT001")
    office.verify()
    office.restore_database("intelligence")
    eventually(lambda: office.fence("intelligence"))

    refused = office.try_to_raise("FICTHT001")
    assert refused.status_code == 503, refused.text
    assert "qc outbox recover" in refused.text

    code, foreseen = office.qc("outbox", "recover", "--service", "intelligence", *_WHY, "--dry-run")
    assert code == 1
    assert office.fence("intelligence") is not None
    code, done = office.qc("outbox", "recover", "--service", "intelligence", *_WHY)
    assert code == 1, "it names what was lost, and says so by its exit code"
    assert [event["subject"] for event in done["adopted"]] == [event["subject"] for event in foreseen["adopted"]]
    assert {event["subject"] for event in done["adopted"]} == {lost["id"]}
    assert office.fence("intelligence") is None

    # What is raised from now on is taken for new by all who know the lost concern.
    again = office.raise_and_rate("FICTHT001")
    eventually(lambda: office.requires_a_visit(again))
    code, report = office.qc("verify", "--wait", "20")
    # The lost concern is known to the others and to its own stage no more: that, and nothing else, is found.
    assert code == 1
    named = {identifier for finding in report["findings"] for identifier in finding["ids"]}
    assert all(lost["id"] in identifier or lost["reference"] in identifier for identifier in named), report["findings"]
