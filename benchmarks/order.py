"""Proof that a topic holds what was saved, in order: read back record by record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class OrderBroken(RuntimeError):
    """A topic does not hold what was saved in the order of its numbers. The message says where."""


def check_order(records: Sequence[Any], saved: int) -> None:
    """Prove that a topic holds what was saved, once, each key's records in the order of their numbers.

    Raises OrderBroken.
    """
    if len(records) != saved:
        raise OrderBroken(f"{saved} events were saved, and the topic holds {len(records)}")
    last: dict[bytes, int] = {}
    for record in records:
        sequence = int(dict(record.headers)["ce_sequence"])
        if sequence != last.get(record.key, 0) + 1:
            raise OrderBroken(f"after number {last.get(record.key, 0)} of {record.key!r} came {sequence}")
        last[record.key] = sequence
