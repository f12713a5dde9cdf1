"""The four services as their users call them: over HTTP, with a token per role."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from deploy.cli.token import default_subject, office
from deploy.local.errors import UserError
from shared.security import tokens
from shared.security.roles import Role

#: How long a service that was killed is waited for, in seconds.
PATIENCE_S = 90.0


class DemoFailed(UserError):
    """The cycle could not be played to its end. The message says at which step and why."""

    exit_code = 1


class Api:
    """Calls the services. A command is repeated, under one idempotency key, until the service answers."""

    def __init__(self, urls: dict[str, str], secret: str, say: Callable[[str], None]) -> None:
        """``secret`` signs the callers' tokens."""
        self._urls = urls
        self._secret = secret
        self._say = say
        self._http = httpx.AsyncClient(timeout=30)
        self._tokens: dict[tuple[Role, str | None], str] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, service: str, path: str, *, role: Role = Role.READER, **query: Any) -> Any:
        """What a service answers to a query, as JSON."""
        answer = await self._send("GET", service, path, role=role, params=query)
        return _accepted(answer, f"GET {service} {path}").json()

    async def post(
        self,
        service: str,
        path: str,
        body: Any = None,
        *,
        role: Role,
        subject: str | None = None,
        version: int | None = None,
    ) -> Any:
        """Carry out a command; what the service answers, as JSON. Raises DemoFailed if it refuses."""
        answer = await self.try_post(service, path, body, role=role, subject=subject, version=version)
        return _accepted(answer, f"POST {service} {path}").json()

    async def try_post(
        self,
        service: str,
        path: str,
        body: Any = None,
        *,
        role: Role,
        subject: str | None = None,
        version: int | None = None,
    ) -> httpx.Response:
        """Carry out a command that may be refused."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self._send("POST", service, path, role=role, subject=subject, headers=headers, json=body)

    async def send_csv(self, service: str, path: str, text: str, *, role: Role, name: str) -> Any:
        """Send a file; the service's report. It is known by its content, so it needs no key."""
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        answer = await self._send(
            "POST", service, path, role=role, headers=headers, content=text.encode(), params={"name": name}
        )
        return _accepted(answer, f"POST {service} {path}").json()

    async def _send(
        self,
        method: str,
        service: str,
        path: str,
        *,
        role: Role,
        subject: str | None = None,
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        sent = {**(headers or {}), "Authorization": f"Bearer {self._token(role, subject)}"}
        deadline = time.monotonic() + PATIENCE_S
        told = False
        while True:
            try:
                answer = await self._http.request(method, self._urls[service] + path, headers=sent, **arguments)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
                reason = "is not available"
            except httpx.TransportError as error:
                reason = type(error).__name__
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"{service} has not answered for {PATIENCE_S:.0f} s ({reason}): see `qc logs {service}`."
                )
            if not told:
                self._say(f"{service} does not answer ({reason}); waiting for it to come back ...")
                told = True
            await asyncio.sleep(0.25)

    def _token(self, role: Role, subject: str | None) -> str:
        key = (role, subject)
        if key not in self._tokens:
            self._tokens[key] = tokens.issue(
                secret=self._secret,
                subject=subject or default_subject(role),
                roles=[role],
                office=office(),
                now=datetime.now(UTC),
            )
        return self._tokens[key]


def _accepted(answer: httpx.Response, what: str) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        problem = answer.json()
        detail = f"{problem['detail']} {problem.get('errors') or ''}".strip()
    except (ValueError, KeyError):
        detail = answer.text[:300]
    raise DemoFailed(f"{what} was refused with {answer.status_code}: {detail}")
