"""A client of HTTP/1.1 that costs little: requests of a few hundred bytes, answers with a length, kept connections."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class NoAnswer(ConnectionError):
    """The server could not be reached, or did not answer; whether it did what was asked is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Client:
    """Keeps connections to servers and sends requests over them, one at a time on each."""

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s``: how long a server may take to answer."""
        self._timeout_s = timeout_s
        self._idle: dict[tuple[str, int], list[_Connection]] = defaultdict(list)

    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request, once. Raises NoAnswer."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._connect(host, port)
                connection.writer.write(request)
                answer = await _read(connection.reader)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            if connection is not None:
                connection.writer.transport.abort()
            raise NoAnswer(f"{method} {url}: {type(error).__name__}") from error
        except BaseException:
            if connection is not None:
                connection.writer.transport.abort()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            connection.writer.close()
        else:
            self._idle[host, port].append(connection)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    async def _connect(self, host: str, port: int) -> _Connection:
        idle = self._idle[host, port]
        while idle:
            connection = idle.pop()
            if not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return _Connection(*await asyncio.open_connection(host, port))


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
    return Answer(int(status_line.split(" ", 2)[1]), headers, body)
