"""Reading over HTTP: a connection from the pool, for the time of one request."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends, Request

from shared.persistence.pool import Connection
from shared.web.commands import pool_of


async def _connection(request: Request) -> AsyncGenerator[Connection]:
    async with pool_of(request).acquire() as connection, connection.transaction(readonly=True):
        yield connection


#: A dependency: a read-only transaction on the service's database.
Reading = Annotated[Connection, Depends(_connection)]


async def _remembering(request: Request) -> AsyncGenerator[Connection]:
    async with pool_of(request).acquire() as connection, connection.transaction():
        yield connection


#: A dependency: a transaction for an answer that is remembered, because later answers have to fit to it.
Remembering = Annotated[Connection, Depends(_remembering)]
