"""Dead letters: records that can never be applied, kept as they came, with the reason."""

from collections.abc import Sequence

from shared.messaging.records import Undeliverable
from shared.persistence.pool import Connection


async def keep(connection: Connection, undeliverable: Sequence[Undeliverable]) -> None:
    """Keep records with their bytes, headers and error, in the transaction that moves past them."""
    await connection.executemany(
        """
        insert into dead_letters (topic, partition, broker_offset, broker_time, key, header_names, header_values,
                                  value, event_id, reason, error, digest)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict (topic, partition, broker_offset, digest) do nothing""",
        [
            (
                letter.record.topic,
                letter.record.partition,
                letter.record.offset,
                letter.record.time,
                letter.record.key,
                [name.encode(errors="surrogateescape") for name, _ in letter.record.headers],
                [value for _, value in letter.record.headers],
                letter.record.value,
                letter.envelope.id if letter.envelope else None,
                letter.defect.value,
                letter.error,
                letter.record.digest,
            )
            for letter in undeliverable
        ],
    )
