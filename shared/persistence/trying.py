"""A transaction that can be tried without keeping what it does."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shared.persistence.pool import Connection


@asynccontextmanager
async def transaction(connection: Connection, *, keep: bool) -> AsyncGenerator[None]:
    """A transaction that is committed at its end if what it does is to be kept, and rolled back otherwise."""
    opened = connection.transaction()
    await opened.start()
    try:
        yield
    except BaseException:
        await opened.rollback()
        raise
    if keep:
        await opened.commit()
    else:
        await opened.rollback()
