"""Waking the relay of this process as soon as there is something to send.

Only a hint, and one that costs the transaction nothing: a notification inside it would make PostgreSQL commit one
transaction after the other. A relay also looks by itself.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

#: What the relays of this process wait for, by the CloudEvents source they send for.
_waiting: dict[str, set[asyncio.Event]] = {}


@contextmanager
def listening(source: str, event: asyncio.Event) -> Generator[None]:
    """Let an event be set whenever something was committed for this source, as long as the block runs."""
    events = _waiting.setdefault(source, set())
    events.add(event)
    try:
        yield
    finally:
        events.discard(event)
        if not events:
            _waiting.pop(source, None)


def is_heard(source: str) -> bool:
    """True if a relay of this process sends for a source, or waits to."""
    return source in _waiting


def up(source: str) -> None:
    """Wake the relays of a source. Call it after the commit."""
    for event in _waiting.get(source, ()):
        event.set()
