"""Requests that are still in hand when the service has to end."""

import asyncio
import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from shared.web.middleware import RequestMiddleware

SCOPE: Scope = {"type": "http", "method": "POST", "path": "/people", "headers": []}
STARTED: Message = {"type": "http.response.start", "status": 200, "headers": []}


async def cut_off(*said_before: Message) -> list[Message]:
    """What a caller hears of a request that says something, hangs, and is cut off."""
    heard: list[Message] = []
    hangs = asyncio.Event()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        for message in said_before:
            await send(message)
        hangs.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        heard.append(message)

    task = asyncio.ensure_future(RequestMiddleware(app)(SCOPE, receive, send))
    await hangs.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        heard.append({"type": "cancelled"})
    return heard


async def test_a_request_cut_off_is_answered_with_503_and_how_to_go_on() -> None:
    start, body = await cut_off()

    assert start["status"] == 503
    headers = dict(start["headers"])
    assert (headers[b"content-type"], headers[b"retry-after"]) == (b"application/problem+json", b"2")
    assert "send the same request again" in json.loads(body["body"])["detail"]


async def test_an_answer_that_has_begun_is_broken_off_and_never_followed_by_another() -> None:
    assert [message["type"] for message in await cut_off({**STARTED})] == ["http.response.start", "cancelled"]


@pytest.mark.parametrize("status", [200, 404])
async def test_a_request_that_ends_in_time_keeps_its_answer(status: int) -> None:
    heard: list[Message] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({**STARTED, "status": status})
        await send({"type": "http.response.body", "body": b"said"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        heard.append(message)

    await RequestMiddleware(app)(SCOPE, receive, send)
    assert (heard[0]["status"], heard[1]["body"]) == (status, b"said")
