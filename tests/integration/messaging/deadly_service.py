"""A process that takes events in and that one of them ends. Run it with: DSN BOOTSTRAP GROUP CONCERN_ID

Static membership lets its successor take its partitions over without waiting for the session to time out.
"""

import asyncio
import os
import sys
import uuid
from datetime import timedelta

from shared.contracts.concerns import ConcernClosed
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming.consumer import Consumer
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.parking import RetryPolicy
from shared.messaging.consuming.reactions import Reacting, Reactions
from shared.persistence.pool import open_pool
from tests.integration.messaging.delivery import Workspace, load, save

#: What it exits with when the event has ended it.
ENDED = 7

POLICY = RetryPolicy(attempts=5, first=timedelta(milliseconds=50), longest=timedelta(milliseconds=50))


async def main(dsn: str, bootstrap: str, group: str, deadly: uuid.UUID) -> None:
    reactions = Reactions(load=load, save=save)

    @reactions.on(ConcernClosed)
    def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
        if event.data.concern_id == deadly:
            os._exit(ENDED)
        work.seen.append((event.id, event.envelope.key, event.envelope.sequence))

    consumer = Consumer(
        pool=await open_pool(dsn, name="test"),
        kafka=KafkaSettings(bootstrap, "test", fetch_max_wait_ms=50, session_timeout_ms=6_000),
        group=group,
        source="/test-office/test",
        reactions=reactions,
        batch_size=100,
        policy=POLICY,
        instance_id="deadly",
    )
    await consumer.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], uuid.UUID(sys.argv[4])))
