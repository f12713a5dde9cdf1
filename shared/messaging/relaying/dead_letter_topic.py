# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""Dead letters copied to a topic, for whoever watches over all services. The table is where they are decided on."""

from typing import Any

from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import instant
from shared.messaging.consuming.dead_letters import record_of
from shared.messaging.records import Record
from shared.messaging.topics import DEAD_LETTERS_TOPIC, TOPIC_CONFIG
from shared.persistence.pool import Connection

#: Most letters copied by one call.
_AT_ONCE = 100

#: Most bytes of key, value and headers, so that the record fits with all the broker adds to it.
_LARGEST = int(TOPIC_CONFIG["max.message.bytes"]) - 16 * 1024

Headers = list[tuple[str, bytes]]


async def publish(connection: Connection, producer: AIOKafkaProducer, source: str) -> int:
    """Copy dead letters that were not copied yet, oldest first; returns how many, at most 100.

    Each has the record's own key, value and headers, and headers ``dl_*`` beside them that say where it lay and why
    it is here. Call it outside a transaction, in one process at a time; one that ends in between copies some of
    them again, under the same ``dl_id``. ``source`` is the CloudEvents source of the service whose letters they are.
    Raises KafkaError, and what the database raises.
    """
    rows = await connection.fetch(
        "select * from dead_letters where published_at is null order by id limit $1", _AT_ONCE
    )
    if not rows:
        return 0
    promises = [await _send(producer, record_of(row), _about(row, source)) for row in rows]
    for promise in promises:
        await promise
    await connection.execute(
        "update dead_letters set published_at = now() where id = any($1::bigint[])", [row["id"] for row in rows]
    )
    return len(rows)


def _about(row: Any, source: str) -> Headers:
    attributes = {
        "dl_id": str(row["id"]),
        "dl_service": source,
        "dl_topic": row["topic"],
        "dl_partition": str(row["partition"]),
        "dl_offset": str(row["broker_offset"]),
        "dl_reason": row["reason"],
        "dl_error": row["error"],
        "dl_attempts": str(row["attempts"]),
        "dl_at": instant(row["dead_at"]),
    }
    return [(name, value.encode()) for name, value in attributes.items()]


async def _send(producer: AIOKafkaProducer, record: Record, about: Headers) -> Any:
    value, key = record.value, record.key
    # The client library takes no name that is not UTF-8.
    headers = [
        (name.encode(errors="surrogateescape").decode(errors="backslashreplace"), text) for name, text in record.headers
    ]
    size = sum(len(name.encode()) + len(text or b"") + 10 for name, text in headers + about) + len(key or b"")
    if size > _LARGEST:
        # Headers of others may be as large as a value.
        headers, about, key = [], [*about, ("dl_headers_omitted", b"true")], None
        size = 0
    if size + len(value or b"") > _LARGEST:
        value, about = None, [*about, ("dl_value_omitted", str(len(value or b"")).encode())]
    if value is None and key is None:
        # The client library sends no record that has neither.
        value = b""
    return await producer.send(DEAD_LETTERS_TOPIC, value=value, key=key, headers=headers + about)
