"""Ids of events that follow from another event: the same cause gives the same ids again.

So what is repeated, because a database was restored to the past, tells the world nothing twice.
"""

import hashlib
from uuid import UUID

#: Events of one type and subject that one cause may bring about and that are still recognised as its own.
_MOST = 100

_TIME_BYTES = 6
_VERSION = 7 << 76
_VERSION_MASK = 0xF << 76
_VARIANT = 2 << 62
_VARIANT_MASK = 3 << 62


def derived(cause: UUID, source: str, event_type: str, subject: str, index: int) -> UUID:
    """Id of the ``index``-th event of a type about a subject that a source emits because of another event: a UUIDv7.

    Its instant is that of the cause's id; the rest is a digest of all five.
    """
    digest = hashlib.sha256(f"{cause}\n{source}\n{event_type}\n{subject}\n{index}".encode()).digest()
    value = int.from_bytes(cause.bytes[:_TIME_BYTES] + digest[: 16 - _TIME_BYTES], "big")
    value = (value & ~_VERSION_MASK) | _VERSION
    return UUID(int=(value & ~_VARIANT_MASK) | _VARIANT)


def is_derived(event_id: UUID, cause: UUID | None, source: str, event_type: str, subject: str) -> bool:
    """True if this id was derived from ``cause``: repeating what followed from that gives it again."""
    if cause is None or event_id.bytes[:_TIME_BYTES] != cause.bytes[:_TIME_BYTES]:
        return False
    return any(derived(cause, source, event_type, subject, index) == event_id for index in range(_MOST))
