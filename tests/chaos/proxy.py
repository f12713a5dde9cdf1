"""A TCP proxy whose connections can be cut, refused, slowed down and stalled while they are in use."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import cast

from deploy.local.ports import LOOPBACK


@dataclass(frozen=True)
class Weather:
    """How the proxy treats its connections."""

    #: New connections are closed at once.
    refuses: bool = False
    #: Nothing is passed on: to both ends the other one is silent. What was sent is passed on once this ends.
    stalls: bool = False
    #: What each piece of data is held back for, in seconds, in each direction.
    delay_s: float = 0.0


FAIR = Weather()


class Proxy:
    """Passes connections on to a port of the loopback address. All methods belong to the thread of the event loop."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.weather = FAIR
        #: Where it listens; known once it was started.
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[_End] = set()

    async def start(self) -> None:
        """Listen on a port that the system chooses."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> int:
        """Reset every connection, as a firewall that forgets them does; returns how many ends were cut."""
        ends = list(self._open)
        for end in ends:
            end.abort()
        return len(ends)

    def set_weather(self, weather: Weather) -> None:
        """Treat connections so from now on, those that are open too."""
        self.weather = weather
        for end in list(self._open):
            end.flush()

    def entered(self, end: "_End") -> None:
        """An end was connected."""
        self._open.add(end)

    def left(self, end: "_End") -> None:
        """An end is gone."""
        self._open.discard(end)


class _End(asyncio.Protocol):
    """One of the two connections that make up a passage; what arrives here is sent out at the other one."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self.other: _End | None = None
        #: What arrived and is not passed on yet, with the moment from which it may be; None is the end of the stream.
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._proxy.entered(self)

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> bool:
        self._take(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.left(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self.other is not None:
            self.other.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.resume_reading()

    def abort(self) -> None:
        """Reset this connection."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what is written already, then end this connection."""
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Pass on what may be passed on now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.other is None or self.other._transport is None or self._proxy.weather.stalls:
            return
        loop = asyncio.get_running_loop()
        delay_s = self._proxy.weather.delay_s
        while self._waiting:
            arrived, data = self._waiting[0]
            if (wait := arrived + delay_s - loop.time()) > 0:
                self._timer = loop.call_later(wait, self.flush)
                return
            self._waiting.popleft()
            if data is not None:
                self.other._transport.write(data)
            elif self.other._transport.can_write_eof():
                self.other._transport.write_eof()

    def _take(self, data: bytes | None) -> None:
        weather = self._proxy.weather
        other = self.other._transport if self.other is not None else None
        if data is not None and other is not None and not self._waiting and not weather.stalls and not weather.delay_s:
            other.write(data)
            return
        self._waiting.append((asyncio.get_running_loop().time(), data))
        if self._timer is None:
            self.flush()


class _Client(_End):
    """The end at which somebody connected to the proxy."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._proxy.weather.refuses:
            self.abort()
            return
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        target = _End(self._proxy)
        try:
            await asyncio.get_running_loop().create_connection(lambda: target, LOOPBACK, self._proxy.target_port)
        except OSError:
            self.abort()
            return
        if self._transport is None:
            target.abort()
            return
        self.other, target.other = target, self
        self.flush()
        target.flush()
