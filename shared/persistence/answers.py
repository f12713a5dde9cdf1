"""Answers to commands that came with an idempotency key, saved in the command's own transaction."""

from dataclasses import dataclass
from datetime import datetime

from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """What a command answered when it was carried out."""

    request_hash: bytes
    status: int
    headers: dict[str, str]
    body: str


async def claim(connection: Connection, caller: str, key: str, request_hash: bytes) -> SavedAnswer | None:
    """Take a key for a command, or get the answer of the command it was taken for before.

    Waits while another transaction has the key in hand.
    """
    claimed = await connection.fetchval(
        """
        insert into idempotency_keys (caller, key, request_hash) values ($1, $2, $3)
        on conflict do nothing returning true""",
        caller,
        key,
        request_hash,
    )
    if claimed:
        return None
    row = await connection.fetchrow(
        "select request_hash, status, headers, body from idempotency_keys where caller = $1 and key = $2", caller, key
    )
    assert row is not None  # answers are pruned after days, not between two statements
    return SavedAnswer(**dict(row))


async def save(connection: Connection, caller: str, key: str, answer: SavedAnswer) -> None:
    """Save the answer under a key claimed by this transaction."""
    await connection.execute(
        "update idempotency_keys set status = $3, headers = $4, body = $5 where caller = $1 and key = $2",
        caller,
        key,
        answer.status,
        answer.headers,
        answer.body,
    )


async def prune(connection: Connection, before: datetime) -> None:
    """Forget answers saved before an instant."""
    await connection.execute("delete from idempotency_keys where created_at < $1", before)
