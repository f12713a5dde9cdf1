"""Replicas of one service as processes of their own, and a load that shows what was lost or done twice."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import health, paths, ports, process
from deploy.local.process import RunningProcess
from shared.contracts.concerns import ConcernRaised, ConcernRated
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Category, EventData, Origin, ProviderRef, RiskBand
from shared.contracts.registry import PARTITIONS, Topic, by_model
from shared.persistence.pool import Connection
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind
from shared.security.roles import Role
from shared.security.tokens import issue
from tests.fixtures.infrastructure import Kafka
from tests.fixtures.services import PSEUDONYM_KEY, SECRET

#: Seconds a service may take over its end.
STOP_LIMIT_S = 10.0


@dataclass
class Replica:
    """One process of the visits service."""

    name: str
    running: RunningProcess
    port: int
    office: str

    @property
    def url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        token = issue(
            secret=SECRET, subject="lead-1", roles=[Role.QUALITY_LEAD], office=self.office, now=datetime.now(UTC)
        )
        return {"Authorization": f"Bearer {token}"}

    def wait_ready(self) -> None:
        process.wait_until(lambda: health.not_ready(self.port) is None, self.running, timeout=60)

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of this name that have these labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=5).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def told(self) -> list[str]:
        """What this run of the process has logged: the messages."""
        lines = self.running.command.log.read_bytes()[self.running.log_start :].decode().splitlines()
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def terminate(self) -> tuple[int | None, float]:
        """Ask it to end; its exit code, None if it did not end in time, and how long that took, in seconds."""
        began = time.monotonic()
        self.running.popen.terminate()
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.running.popen.wait(STOP_LIMIT_S + 5)
        return code, time.monotonic() - began


@dataclass
class Replicas:
    """The replicas of one visits service: one database, one consumer group, one office of a test's own."""

    database: str
    kafka: Kafka
    folder: Path
    office: str = field(default_factory=lambda: f"office-{uuid.uuid4().hex[:8]}")
    started: list[RunningProcess] = field(default_factory=list)

    @property
    def group(self) -> str:
        return f"{self.office}.visits"

    def start(
        self, name: str, *, static: bool = False, again: Replica | None = None, wait: bool = True, **settings: object
    ) -> Replica:
        """Start a replica and ``wait`` until it is ready; ``static`` gives it a place in the group that outlives it."""
        port = again.port if again else ports.free_ports(1)[0]
        environment = {
            "PYTHONUNBUFFERED": "1",
            "QC_DATABASE_URL": self.database,
            "QC_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            **self.kafka.environment,
            "QC_HTTP_PORT": str(port),
            "QC_OFFICE": self.office,
            "QC_JWT_SECRET": SECRET,
            "QC_PSEUDONYM_KEY": PSEUDONYM_KEY,
            **({"QC_INSTANCE_ID": name} if static else {}),
            **{f"QC_{key.upper()}": str(value) for key, value in settings.items()},
        }
        command = process.Command(
            name=name,
            argv=[sys.executable, "-m", "services.visits"],
            log=self.folder / f"{name}.log",
            env=environment,
            cwd=paths.PROJECT_ROOT,
            die_with_parent=True,
        )
        replica = Replica(name, process.start(command), port, self.office)
        self.started.append(replica.running)
        if wait:
            replica.wait_ready()
        return replica

    def end(self) -> None:
        for running in self.started:
            running.kill()

    async def members(self) -> int:
        """How many members the consumer group has."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        await admin.start()
        try:
            [described] = await admin.describe_consumer_groups([self.group])
        finally:
            await admin.close()
        [group] = described.to_object()["groups"]
        return len(group["members"])


class Load:
    """Concerns that are raised and rated, each of which calls for one visit, published from a thread until told."""

    def __init__(self, replicas: Replicas, *, keys: int = 24) -> None:
        self._office = replicas.office
        self._bootstrap = replicas.kafka.bootstrap
        self._database = replicas.database
        self._keys = [f"LC{uuid.uuid4().hex[:7].upper()}" for _ in range(keys)]
        self._enough = threading.Event()
        #: Concerns published, by key.
        self.published: Counter[str] = Counter()

    @contextlib.contextmanager
    def flowing(self, *, pause: float = 0.01) -> Iterator[None]:
        """Publish a concern for every key, pause, and again, until the block ends."""
        thread = threading.Thread(target=self._publish_until_enough, args=[pause], daemon=True)
        self._enough.clear()
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()

    def publish(self, rounds: int) -> None:
        """Publish some concerns for every key, and wait until the broker has them."""
        producer = self._producer()
        for _ in range(rounds):
            self._publish_round(producer)
        assert producer.flush(30) == 0

    def _publish_until_enough(self, pause: float) -> None:
        producer = self._producer()
        while not self._enough.wait(pause):
            self._publish_round(producer)
        producer.flush(30)

    def _producer(self) -> Producer:
        return Producer({"bootstrap.servers": self._bootstrap, "acks": "all", "linger.ms": 5})

    def _publish_round(self, producer: Producer) -> None:
        for key in self._keys:
            for number, data in enumerate(_raised_and_rated(key), start=2 * self.published[key] + 1):
                envelope = _envelope(data, key, number, self._office)
                headers: list[tuple[str, str | bytes | None]] = list(envelope.headers())
                producer.produce(Topic.CONCERNS.value, data.model_dump_json(), key, headers=headers)
            self.published[key] += 1
        producer.poll(0)

    # What came of it ------------------------------------------------------------------------------------------

    # Only of its own keys: the topics are shared by the whole run.

    async def required(self) -> int:
        """How many visits the service requires by now."""
        connection = await asyncpg.connect(self._database)
        try:
            return await connection.fetchval(
                "select count(*) from requirements where provider_code = any($1)", self._keys
            )
        finally:
            await connection.close()

    async def is_applied(self) -> None:
        """Wait until all of it was applied and told of."""
        wanted = sum(self.published.values())

        async def check() -> bool:
            connection = await asyncpg.connect(self._database)
            try:
                unsent = await connection.fetchval("select count(*) from outbox_unsent")
            finally:
                await connection.close()
            return (await self.required(), unsent) == (wanted, 0)

        await eventually(check, within=60)

    async def is_whole(self, kafka: Kafka, *, repeats: bool = False) -> None:
        """Hold what came of it against what was published: nothing is missing, nothing doubled, all in order.

        ``repeats`` allows the broker to hold an event twice, as it does after a kill; readers drop the second.
        """
        connection = await asyncpg.connect(self._database)
        try:
            required = await connection.fetch(
                "select provider_code, count(*) as n, count(distinct concern_id) as concerns "
                "from requirements where provider_code = any($1) group by provider_code",
                self._keys,
            )
            strays = await connection.fetchval("select count(*) from dead_letters where key = any($1)", self._raw_keys)
            held = await connection.fetchval("select count(*) from held_events where key = any($1)", self._keys)
        finally:
            await connection.close()
        assert {row["provider_code"]: (row["n"], row["concerns"]) for row in required} == {
            key: (count, count) for key, count in self.published.items()
        }
        assert (strays, held) == (0, 0)
        told = await published_by(kafka.bootstrap, f"/{self._office}/visits")
        for key, count in self.published.items():
            numbers = told.get(key, [])
            assert (list(dict.fromkeys(numbers)) if repeats else numbers) == list(range(1, count + 1)), key

    @property
    def _raw_keys(self) -> list[bytes]:
        return [key.encode() for key in self._keys]


def _raised_and_rated(key: str) -> list[EventData]:
    provider = ProviderRef(ods_code=key, name="Testbrook (fictional)", kind=ProviderKind.HOSPITAL_TRUST)
    concern_id = uuid.uuid4()
    common = {"concern_id": concern_id, "reference": f"L-{str(concern_id)[:8]}", "provider": provider}
    scope = {
        "programme": "General surgery",
        "learner_group": LearnerGroup.MEDICAL,
        "standard_set": "hee-qf-2021",
        "standards": ["3.5"],
        "origin": Origin.REPORTED,
    }
    raised = ConcernRaised(**common, **scope, raised_on=date(2024, 8, 1), source_kind=SourceKind.LEARNER)
    rated = ConcernRated(
        **common,
        **scope,
        impact=4,
        likelihood=4,
        score=16,
        band=RiskBand.EXTREME,
        suggested_category=Category.MAJOR,
        category=Category.MAJOR,
        rated_on=date(2024, 8, 2),
    )
    return [raised, rated]


def _envelope(data: EventData, key: str, sequence: int, office: str) -> Envelope:
    spec = by_model(type(data))
    concern_id = uuid.UUID(str(data.model_dump()["concern_id"]))
    return Envelope(
        id=uuid.uuid4(),
        source=f"/{office}/{spec.producer}",
        type=spec.type,
        subject=str(concern_id),
        time=datetime.now(UTC),
        dataschema=spec.dataschema,
        key=key,
        sequence=sequence,
        correlationid=concern_id,
        dataclassification=spec.classification,
    )


async def published_by(bootstrap: str, source: str) -> dict[str, list[int]]:
    """The numbers of all that a service has published about visits, by key, as they lie in the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(Topic.VISITS.value, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found: dict[str, list[int]] = {}
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("ce_source") == source.encode():
                        found.setdefault((record.key or b"").decode(), []).append(int(headers["ce_sequence"]))
        return found
    finally:
        await consumer.stop()


async def waiting_for_locks(connection: Connection) -> int:
    """How many wait for a lock of another transaction."""
    return await connection.fetchval("select count(*) from pg_locks where not granted")


async def eventually(check: Callable[[], Awaitable[bool]], *, within: float) -> float:
    """Wait until a check holds; how long that took, in seconds."""
    began = time.monotonic()
    while not await check():
        assert time.monotonic() - began < within, "it did not come about in time"
        await asyncio.sleep(0.05)
    return time.monotonic() - began
