"""A relay in a process of its own, for tests that kill or freeze it: `python -m … DSN BOOTSTRAP SOURCE`."""

import asyncio
import sys
from datetime import timedelta

from shared.messaging.broker import KafkaSettings
from shared.messaging.relaying.relay import Relay


async def main(dsn: str, bootstrap: str, source: str, idempotence: str) -> None:
    """Relay until the process ends."""
    kafka = KafkaSettings(bootstrap, "test-process", idempotence=idempotence == "True")
    await Relay(dsn=dsn, kafka=kafka, name="other", source=source, retention=timedelta(days=14)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
