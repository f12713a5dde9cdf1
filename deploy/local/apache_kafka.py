"""Genuine Apache Kafka: one or more KRaft brokers that are controllers too, each a process of its own."""

from __future__ import annotations

import base64
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from deploy.local import ports, process
from deploy.local.errors import ProcessFailed, UserError

#: Heap and compiler for a broker that lives for minutes: small, and quick to start rather than quick at its
#: best.
JVM_OPTIONS = ("-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    # Says at start which settings hold and when the broker is up.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)
START_TIMEOUT = 60.0


@dataclass(frozen=True)
class Endpoint:
    """The two ports of one broker on loopback."""

    client: int
    controller: int


@dataclass(frozen=True)
class Cluster:
    """A cluster that has been formatted and can be started."""

    cluster_id: str
    bootstrap: str
    #: One per broker, in the order of the endpoints.
    commands: tuple[process.Command, ...]


def prepare(
    folder: Path,
    *,
    endpoints: list[Endpoint],
    logs: Path,
    jars: Path,
    program: Path,
    die_with_parent: bool = False,
) -> Cluster:
    """Format the storage of a cluster under `folder` unless it has been, and say how to start each broker.

    Settings are written anew each time, so ports may change between runs; the number of brokers may not.
    Raises UserError if the folder holds a cluster of another size, ProcessFailed if formatting fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster_id = _cluster_id(folder, len(endpoints))
    class_path = str(jars / "*")
    properties = [folder / f"broker-{index}.properties" for index in range(len(endpoints))]
    for index, path in enumerate(properties):
        text = "".join(f"{key}={value}\n" for key, value in _settings(folder, endpoints, index).items())
        path.write_text(text, encoding="utf-8")
    _format(
        [p for p in properties if not (_storage(p) / "meta.properties").exists()],
        cluster_id,
        program,
        class_path,
    )
    commands = tuple(
        process.Command(
            name=f"kafka-{index}",
            argv=[str(program), *JVM_OPTIONS, *_LOGGING, "-cp", class_path, "kafka.Kafka", str(path)],
            log=logs / f"kafka-{index}.log",
            cwd=folder,
            stop_grace=15.0,
            die_with_parent=die_with_parent,
        )
        for index, path in enumerate(properties)
    )
    bootstrap = ",".join(f"{ports.LOOPBACK}:{endpoint.client}" for endpoint in endpoints)
    return Cluster(cluster_id, bootstrap, commands)


def _storage(properties: Path) -> Path:
    return properties.with_suffix("")


def _cluster_id(folder: Path, brokers: int) -> str:
    """The id kept beside the data; a cluster keeps it, and its size, for life."""
    file = folder / "cluster"
    if file.exists():
        cluster_id, size = file.read_text(encoding="ascii").split()
        if int(size) != brokers:
            raise UserError(
                f"The Kafka data in {folder} belong to a cluster of {size} broker(s), not {brokers}: "
                f"start with --brokers {size} or remove that folder."
            )
        return cluster_id
    # Kafka's own form: 16 bytes in URL-safe base 64 without padding, never starting with a dash.
    cluster_id = "-"
    while cluster_id.startswith("-"):
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii")
    file.write_text(f"{cluster_id} {brokers}\n", encoding="ascii")
    return cluster_id


def _settings(folder: Path, endpoints: list[Endpoint], index: int) -> dict[str, str | int]:
    own = endpoints[index]
    count = len(endpoints)
    replicas = min(3, count)
    in_sync = 2 if replicas == 3 else 1
    voters = ",".join(f"{i}@{ports.LOOPBACK}:{endpoint.controller}" for i, endpoint in enumerate(endpoints))
    return {
        "process.roles": "broker,controller",
        "node.id": index,
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{ports.LOOPBACK}:{own.client},CONTROLLER://{ports.LOOPBACK}:{own.controller}",
        "advertised.listeners": f"PLAINTEXT://{ports.LOOPBACK}:{own.client}",
        "log.dirs": _storage(folder / f"broker-{index}.properties").as_posix(),
        # A missing topic is a mistake to be seen, not one partition to be made up.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # The defaults (50) are for hundreds of groups; each partition takes time when the first group joins.
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.num.partitions": 4,
        # All members of a group start together here: nobody has to be waited for.
        "group.initial.rebalance.delay.ms": 0,
        # The default (128 MiB) is a third of this heap.
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        # A killed broker's partitions move, or it may come back itself, after 3 s instead of 9.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "controller.quorum.fetch.timeout.ms": 1500,
        "controller.quorum.election.timeout.ms": 500,
    }


def _format(properties: list[Path], cluster_id: str, program: Path, class_path: str) -> None:
    running: list[tuple[Path, subprocess.Popen[str]]] = []
    try:
        for path in properties:
            argv = [str(program), *JVM_OPTIONS, "-cp", class_path, "kafka.tools.StorageTool", "format"]
            argv += ["--cluster-id", cluster_id, "--config", str(path), "--ignore-formatted"]
            popen = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            running.append((path, popen))
        for path, popen in running:
            output, _ = popen.communicate()
            if popen.returncode != 0:
                raise ProcessFailed(
                    f"Apache Kafka could not format {_storage(path)} "
                    f"(exit code {popen.returncode}): {output.strip()[-300:]}"
                )
    finally:
        for _, popen in running:
            if popen.poll() is None:
                popen.kill()
                popen.wait()
