"""The broker of the compose file, by its own settings, on genuine Apache Kafka."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from deployment import ROOT, environment, run, said

from deploy.local import broker, java, ports, process
from shared.contracts.registry import PARTITIONS, Topic
from shared.messaging import topics

START = ROOT / "deploy" / "docker" / "kafka" / "start.sh"


def _started_with(log_dirs: Path, folder: Path) -> str:
    """The cluster id that the start script hands to the image's own one."""
    stub = folder / "run"
    stub.write_text('#!/bin/sh\nprintf %s "$CLUSTER_ID"\n', encoding="utf-8")
    stub.chmod(0o755)
    script = folder / "start.sh"
    text = START.read_text(encoding="utf-8")
    assert "exec /etc/kafka/docker/run" in text
    script.write_text(text.replace("/etc/kafka/docker/run", str(stub)), encoding="utf-8")
    result = run("bash", script, env={"KAFKA_LOG_DIRS": str(log_dirs)})
    assert result.returncode == 0, said(result)
    return result.stdout


def test_a_new_volume_gets_a_cluster_id_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    empty = tmp_path / "data"
    empty.mkdir()
    made = {_started_with(empty, tmp_path) for _ in range(3)}
    assert len(made) == 3
    assert all(len(one) == 22 and not one.startswith("-") for one in made)
    (empty / "meta.properties").write_text("#\nnode.id=1\nversion=1\ncluster.id=Qkept-by_the-volume123\n")
    assert _started_with(empty, tmp_path) == "Qkept-by_the-volume123"


@pytest.fixture
def bootstrap(tmp_path: Path) -> Iterator[str]:
    """A broker set up as the image sets it up from the compose file; only names, ports and folders are others."""
    program, found = java.java()
    assert program is not None, found
    settings = environment("kafka", {})
    # The broker reaches itself by the name it has among the containers.
    settings = {name: value.replace("://kafka:", f"://{ports.LOOPBACK}:") for name, value in settings.items()}
    client, host, controller = ports.free_ports(3)
    for ours, free in (("9092", client), ("8420", host), ("9093", controller)):
        settings = {name: value.replace(f":{ours}", f":{free}") for name, value in settings.items()}
    settings["KAFKA_LOG_DIRS"] = str(tmp_path / "data")
    settings["CLUSTER_ID"] = _started_with(tmp_path / "data", tmp_path)
    for folder in ("defaults", "mounted", "final", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "final" / "server.properties").touch()
    jvm = [str(program), *settings.pop("KAFKA_HEAP_OPTS").split(), "-XX:TieredStopAtLevel=1"]
    jvm += ["-cp", str(java.kafka_jars() / "*")]
    # The image's own way from variables to server.properties, and the formatting of the volume.
    prepared = subprocess.run(
        [
            *(*jvm, "kafka.docker.KafkaDockerWrapper", "setup"),
            *("--default-configs-dir", str(tmp_path / "defaults")),
            *("--mounted-configs-dir", str(tmp_path / "mounted")),
            *("--final-configs-dir", str(tmp_path / "final")),
        ],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, said(prepared)
    running = process.start(
        process.Command(
            name="compose-kafka",
            argv=[*jvm, "kafka.Kafka", str(tmp_path / "final" / "server.properties")],
            log=tmp_path / "kafka.log",
            cwd=tmp_path,
            die_with_parent=True,
        )
    )
    try:
        broker.wait_ready(f"{ports.LOOPBACK}:{host}", [running])
        yield f"{ports.LOOPBACK}:{host}"
    finally:
        running.stop()


def test_every_topic_of_the_broker_itself_makes_do_with_one_node() -> None:
    settings = environment("kafka", {})
    wanted = {
        *("KAFKA_DEFAULT_REPLICATION_FACTOR", "KAFKA_MIN_INSYNC_REPLICAS", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"),
        *("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"),
        *("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR"),
    }
    assert {name: settings.get(name) for name in wanted} == dict.fromkeys(wanted, "1")


@pytest.mark.needs_apache
async def test_qc_topics_apply_makes_the_topics_on_the_broker_of_the_compose_file(bootstrap: str) -> None:
    before = await topics.describe(bootstrap)
    assert {state.partitions for state in before} == {None}
    qc = Path(sys.executable).with_name("qc")
    result = run(qc, "topics", "apply", env={"QC_KAFKA_BOOTSTRAP": bootstrap})
    assert result.returncode == 0, said(result)
    after = await topics.describe(bootstrap)
    assert {state.name: state.partitions for state in after} == dict.fromkeys(
        [*Topic, topics.DEAD_LETTERS_TOPIC], PARTITIONS
    )
    assert {state.replicas for state in after} == {1}
    await _use_a_transaction_and_a_group(bootstrap)


async def _use_a_transaction_and_a_group(bootstrap: str) -> None:
    """Both have topics of their own, which one node must be enough for."""
    topic = Topic.CONCERNS.value
    async with asyncio.timeout(45):
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="one-node")
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"sent", key=b"FICTHT001")
        finally:
            await producer.stop()
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id="one-node",
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            assert (await consumer.getone()).value == b"sent"
            await consumer.commit()
        finally:
            await consumer.stop()
