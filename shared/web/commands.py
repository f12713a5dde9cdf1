"""Commands over HTTP: one transaction each, and the same answer when the same request is sent again."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Protocol
from uuid import UUID

import asyncpg
import stamina
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from shared.messaging.unit_of_work import UnitOfWork, unit_of_work
from shared.persistence import answers
from shared.persistence.answers import SavedAnswer
from shared.persistence.pool import Connection, Pool
from shared.security.callers import Caller
from shared.security.pseudonyms import pseudonym
from shared.security.roles import Permission
from shared.service.settings import ServiceSettings
from shared.web.callers import allowed
from shared.web.etags import etag
from shared.web.problems import Unavailable, Unprocessable

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9._:-]+$",
        description="Any text of your own, new for each command: a repeat with the same key gets the first answer "
        "and changes nothing. Where answers name people, which are not kept, it gets what is there now.",
    ),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers."""

    body: BaseModel
    status: int = 200
    #: Version of what was changed, for the ``ETag``.
    version: int | None = None
    #: Path of what was made.
    location: str | None = None

    def response(self) -> Response:
        """As an HTTP response."""
        headers: dict[str, str] = {}
        if self.version is not None:
            headers["ETag"] = etag(self.version)
        if self.location is not None:
            headers["Location"] = self.location
        return Response(self.body.model_dump_json(), self.status, headers, media_type="application/json")


#: What a command does.
Act = Callable[[UnitOfWork], Awaitable[Answer]]

#: How the answer to a repeat is made, given the ``Location`` of the first one if it had any.
ReadAgain = Callable[[UnitOfWork, str | None], Awaitable[Answer]]


def made_at(location: str | None) -> UUID:
    """The id of what a command made, from the ``Location`` of its answer."""
    assert location is not None  # only asked of commands that make something
    return UUID(location.rpartition("/")[2])


class Command:
    """One request to change something: who sends it, when, and how to carry it out."""

    def __init__(self, *, request: Request, body: bytes, caller: Caller, key: str | None) -> None:
        self.caller = caller
        self.now = datetime.now(UTC)
        self._key = key
        self._pool = pool_of(request)
        self._host = host_of(request)
        self._hash = _hash(request, body)

    @property
    def pseudonym(self) -> str:
        """The caller's pseudonym, for events: the same in every service of the office, and no name of anybody."""
        return pseudonym(self._host.settings.pseudonym_key.get_secret_value(), self.caller.subject)

    async def run(self, act: Act, *, again: ReadAgain | None = None) -> Response:
        """Carry the command out in one transaction, or give the saved answer if it was carried out before.

        Where answers hold personal data, ``again`` is given: nothing of them is saved but status and headers, and a
        repeat is answered by what ``again`` finds now, so that what was erased or changed meanwhile stays so.
        A problem raised by ``act`` rolls everything back, the key too: the corrected request may use it again.
        Raises Unprocessable if the key came with another request before.
        """
        response: Response | None = None
        # Two commands may lock rows in different orders; the one that is rolled back is simply done again.
        async for attempt in stamina.retry_context(on=asyncpg.TransactionRollbackError, attempts=4, wait_initial=0.02):
            with attempt:
                response = await self._once(act, again)
        assert response is not None  # the last attempt raises
        return response

    async def _once(self, act: Act, again: ReadAgain | None) -> Response:
        async with unit_of_work(self._pool, self._host.source, self.now) as work:
            if self._key is None:
                return (await act(work)).response()
            saved = await answers.claim(work.connection, self.caller.subject, self._key, self._hash)
            if saved is not None:
                return await self._repeated(work, saved, again)
            response = (await act(work)).response()
            await self._save(work.connection, self._key, response, has_personal_data=again is not None)
            return response

    async def _repeated(self, work: UnitOfWork, saved: SavedAnswer, again: ReadAgain | None) -> Response:
        if saved.request_hash != self._hash:
            raise Unprocessable(
                "This Idempotency-Key came with another request before; use a new one for a new command.",
                errors=[("header.Idempotency-Key", "was used for another request")],
            )
        if again is None:
            response = Response(saved.body, saved.status, saved.headers, media_type="application/json")
        else:
            location = saved.headers.get("location")
            response = replace(await again(work, location), status=saved.status, location=location).response()
        response.headers["Idempotency-Replayed"] = "true"
        return response

    async def _save(self, connection: Connection, key: str, response: Response, *, has_personal_data: bool) -> None:
        kept = {name: response.headers[name] for name in ("etag", "location") if name in response.headers}
        body = "" if has_personal_data else bytes(response.body).decode()
        answer = SavedAnswer(self._hash, response.status_code, kept, body)
        await answers.save(connection, self.caller.subject, key, answer)


def command(permission: Permission) -> Callable[..., Awaitable[Command]]:
    """A dependency that gives the command if the caller has the permission; else 401 or 403.

    Use it as ``command: Annotated[Command, Depends(command(Permission.MANAGE_CONCERNS))]``.
    """

    async def build(
        request: Request,
        caller: Annotated[Caller, Depends(allowed(permission))],
        idempotency_key: IdempotencyKey = None,
    ) -> Command:
        return Command(request=request, body=await request.body(), caller=caller, key=idempotency_key)

    return build


class Host(Protocol):
    """What requests need of the service that hosts them, as ``app.state.service``."""

    #: The pool, or None while the database has not been reached yet.
    pool: Pool | None
    #: CloudEvents source of the service.
    source: str
    settings: ServiceSettings


def host_of(request: Request) -> Host:
    """The service that hosts a request."""
    return request.app.state.service


def pool_of(request: Request) -> Pool:
    """The service's pool. Raises Unavailable while the database has not been reached yet."""
    pool = host_of(request).pool
    if pool is None:
        raise Unavailable(
            "The service is still waiting for its database; send the same request again.", headers={"Retry-After": "1"}
        )
    return pool


def _hash(request: Request, body: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (
        request.method.encode(),
        request.url.path.encode(),
        request.url.query.encode(),
        request.headers.get("if-match", "").encode(),
        body,
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
