# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The declared topics: created as declared, compared with what there is."""

import asyncio
import time
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.contracts.registry import PARTITIONS, Topic

#: Kept for ever: volumes are small and no event holds personal data. A record may be four times an event's limit.
TOPIC_CONFIG = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": "1048576",
}


#: Copies of all services' dead letters, for whoever watches over them. What others put into our topics may be anything,
#: so these copies are not kept for ever; the letters themselves are in the services' databases.
DEAD_LETTERS_TOPIC = "quality.dead-letters.v1"

_DEAD_LETTERS_CONFIG = {**TOPIC_CONFIG, "retention.ms": str(30 * 24 * 60 * 60 * 1000)}

#: All declared topics, with their configuration.
DECLARED = {**{topic.value: TOPIC_CONFIG for topic in Topic}, DEAD_LETTERS_TOPIC: _DEAD_LETTERS_CONFIG}


class TopicsNotReady(RuntimeError):
    """Topics could not be created or have no leader. The message says which."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A declared topic and what the cluster says of it."""

    name: str
    #: Partitions there are; None if there is no such topic.
    partitions: int | None
    #: Smallest number of replicas any of its partitions has.
    replicas: int

    @property
    def problem(self) -> str | None:
        """What differs from the declaration and how to mend it, or None."""
        if self.partitions is None:
            return f"{self.name} does not exist: run `qc topics apply`"
        if self.partitions != PARTITIONS:
            return (
                f"{self.name} has {self.partitions} partitions instead of {PARTITIONS}: keys would change partition "
                "and lose their order; create it anew and republish"
            )
        return None


async def describe(bootstrap: str) -> list[TopicState]:
    """What the cluster says of every declared topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await _describe(admin)
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient) -> list[TopicState]:
    # Asked for by name, a topic that is missing would be made up by a broker that creates topics on demand.
    known = set(await admin.list_topics())
    there = [name for name in DECLARED if name in known]
    found = {t["topic"]: t for t in (await admin.describe_topics(there) if there else [])}
    states: list[TopicState] = []
    for name in DECLARED:
        partitions = found.get(name, {}).get("partitions") or []
        led = [p for p in partitions if p["leader"] >= 0]
        states.append(
            TopicState(
                name,
                len(led) if partitions else None,
                min((len(p["replicas"]) for p in partitions), default=0),
            )
        )
    return states


async def apply(
    bootstrap: str, *, replication_factor: int = 1, min_insync_replicas: int = 1, timeout_s: float = 30
) -> list[str]:
    """Create the declared topics that are missing and wait until all have leaders; returns those created.

    Idempotent. Raises TopicsNotReady if the cluster refuses or is not ready in time.
    """
    in_sync = {"min.insync.replicas": str(min_insync_replicas)}
    deadline = time.monotonic() + timeout_s
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        missing = [state.name for state in await _describe(admin) if state.partitions is None]
        if missing:
            answer = await admin.create_topics(
                [
                    NewTopic(name, PARTITIONS, replication_factor, topic_configs=DECLARED[name] | in_sync)
                    for name in missing
                ]
            )
            _raise_for(answer)
        while True:
            problems = [state.problem for state in await _describe(admin) if state.problem]
            if not problems:
                return missing
            if time.monotonic() > deadline:
                raise TopicsNotReady("; ".join(problems))
            await asyncio.sleep(0.1)
    except KafkaError as error:
        raise TopicsNotReady(f"the cluster at {bootstrap} refused: {error}") from error
    finally:
        await admin.close()


def _raise_for(answer: object) -> None:
    for topic, code, *rest in getattr(answer, "topic_errors", []):
        error = for_code(code)
        if code != 0 and error is not TopicAlreadyExistsError:
            raise TopicsNotReady(f"{topic} cannot be created: {error.__name__} {rest[0] if rest else ''}".strip())
