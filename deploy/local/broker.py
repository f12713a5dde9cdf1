"""Which Kafka the system runs on: one rule for the command line, the demo and the tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import java, ports, process
from deploy.local.errors import UserError

Kind = Literal["apache", "embedded", "external"]

MAXIMUM_BROKERS = 3

#: HOST:PORT, the host a name, an IPv4 address or an IPv6 address in brackets.
_ADDRESS = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}")


@dataclass(frozen=True)
class Choice:
    """The broker to run on, and a sentence on why."""

    kind: Kind
    reason: str
    #: Of an external broker only.
    bootstrap: str | None = None
    #: Of Apache Kafka only.
    java: Path | None = None

    @property
    def title(self) -> str:
        """What to call it in front of people."""
        if self.kind == "apache":
            return f"Apache Kafka {java.kafka_version()}"
        return "the embedded Kafka-protocol broker (Tansu)" if self.kind == "embedded" else f"Kafka at {self.bootstrap}"

    @property
    def client_environment(self) -> dict[str, str]:
        """Settings a service needs for this broker beyond its address."""
        if self.kind != "embedded":
            return {}
        return {
            # Tansu doesn't know InitProducerId,
            "QC_KAFKA_IDEMPOTENCE": "false",
            # answers a waiting fetch only when its wait is over,
            "QC_KAFKA_FETCH_MAX_WAIT_MS": "50",
            # and lets a group begin only after half the session timeout of its first member.
            "QC_KAFKA_SESSION_TIMEOUT_MS": "2000",
        }


def choose(asked: str = "auto", *, brokers: int = 1) -> Choice:
    """Decide by what was asked for (`auto`, `apache`, `embedded` or HOST:PORT) and what this machine has.

    Starts and fetches nothing. Raises UserError if what was asked for can't be had.
    """
    if not 1 <= brokers <= MAXIMUM_BROKERS:
        raise UserError(f"--brokers must be from 1 to {MAXIMUM_BROKERS}, not {brokers}.")
    choice = _choose(asked)
    if brokers > 1 and choice.kind != "apache":
        raise UserError(f"--brokers {brokers} needs Apache Kafka, but the broker is {choice.title}: {choice.reason}.")
    return choice


def _choose(asked: str) -> Choice:
    if asked == "embedded":
        return Choice("embedded", "--kafka embedded was asked for")
    if asked in ("auto", "apache"):
        program, found = java.java()
        lacking = None
        if program is None:
            lacking = found
        elif java.maven() is None and not (asked == "apache" and java.jars_are_there()):
            lacking = "no mvn is on the PATH"
        if lacking is None:
            reason = f"{found} and so is Maven" if asked == "auto" else "--kafka apache was asked for"
            return Choice("apache", reason, java=program)
        if asked == "apache":
            raise UserError(
                f"--kafka apache needs Java {java.MINIMUM_JAVA} or newer and Maven, but {lacking}: "
                f"install them or use --kafka embedded."
            )
        return Choice("embedded", f"Apache Kafka needs Java {java.MINIMUM_JAVA} and Maven, and {lacking}")
    if all(_ADDRESS.fullmatch(part) for part in asked.split(",")):
        return Choice("external", "its address was given", bootstrap=asked)
    raise UserError(f"--kafka must be auto, apache, embedded or HOST:PORT, not {asked!r}.")


def wait_ready(
    bootstrap: str, running: Sequence[process.RunningProcess], *, brokers: int = 1, timeout: float = 60.0
) -> None:
    """Wait until `brokers` brokers have joined and the cluster answers clients.

    Raises ProcessFailed if one of `running` ends first or time runs out.
    """
    for one, address in zip(running, bootstrap.split(","), strict=True):
        port = int(address.rpartition(":")[2])
        process.wait_until(lambda port=port: ports.accepts_connections(port), one, timeout=timeout)
    for one in running:
        process.wait_until(lambda: asyncio.run(_brokers(bootstrap)) >= brokers, one, timeout=timeout)


def require_external(bootstrap: str) -> None:
    """Raise UserError unless a Kafka broker answers at `bootstrap`."""
    # More than once: of a cluster that lacks a broker, the client may have asked the missing one.
    if not any(asyncio.run(_brokers(bootstrap)) for _ in range(3)):
        raise UserError(f"No Kafka broker answers at {bootstrap}: start it or correct --kafka.")


async def _brokers(bootstrap: str) -> int:
    """How many brokers the cluster at `bootstrap` has now; 0 if none answers."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await client.start()
        described = await client.describe_cluster()
        return len(described["brokers"])
    except (TimeoutError, KafkaError, OSError):
        return 0
    finally:
        await client.close()
