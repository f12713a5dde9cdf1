# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""How a service reaches Kafka: one set of settings for the consumer and the relay's producer."""

from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from faststream.kafka import KafkaBroker


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the brokers are, and what they can do."""

    bootstrap: str
    client_id: str
    #: False only on the embedded broker, which does not know the idempotent producer; positions make its
    #: duplicates harmless.
    idempotence: bool = True
    #: Longest a broker may wait with its answer to a fetch, in milliseconds.
    fetch_max_wait_ms: int = 500
    #: How long a member may be silent before its partitions go to another, in milliseconds.
    session_timeout_ms: int = 10_000


#: How old what a client knows of topics may be, in milliseconds. A topic that was made anew after its data were lost
#: has no partitions for a consumer until it asks again; by default it would do so after five minutes.
_METADATA_AGE_MS = 10_000


def new_broker(settings: KafkaSettings) -> KafkaBroker:
    """The broker that consumers subscribe through. It never creates a topic: topics are declared and applied."""
    return KafkaBroker(
        # The framework takes a string for one address.
        settings.bootstrap.split(","),
        client_id=settings.client_id,
        consumer_only=True,
        allow_auto_create_topics=False,
        metadata_max_age_ms=_METADATA_AGE_MS,
        logger=None,
    )


def new_producer(settings: KafkaSettings) -> AIOKafkaProducer:
    """The relay's producer: acknowledged by all replicas, in order, without duplicates of its own."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
        client_id=settings.client_id,
        acks="all",
        enable_idempotence=settings.idempotence,
        linger_ms=0,
        max_batch_size=256 * 1024,
        request_timeout_ms=15_000,
    )


async def cluster_id(settings: KafkaSettings) -> str:
    """Id of the cluster, by which a service notices that it reads another cluster's log."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap, client_id=settings.client_id)
    await admin.start()
    try:
        described = await admin.describe_cluster()
    finally:
        await admin.close()
    return str(described["cluster_id"])
