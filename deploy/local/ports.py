"""Which port each process listens on, and whether it can be had."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.local.errors import UserError

LOOPBACK = "127.0.0.1"
DEFAULT_BASE = 8400
#: The highest offset in use is a third KRaft controller at base + 32.
SPAN = 33


@dataclass(frozen=True)
class Ports:
    """The ports of one stack, all counted from `base`, so that two stacks differ in one number."""

    base: int = DEFAULT_BASE

    @property
    def postgres(self) -> int:
        return self.base + 10

    @property
    def smtp(self) -> int:
        return self.base + 12

    @property
    def mail_http(self) -> int:
        return self.base + 13

    def service(self, index: int) -> int:
        """HTTP port of the service at `index` (0-3) in the order of the cycle."""
        return self.base + 1 + index

    def kafka(self, broker: int) -> int:
        """Client port of Kafka broker number `broker` (0-2)."""
        return self.base + 20 + broker

    def kafka_controller(self, broker: int) -> int:
        """KRaft controller port of Kafka broker number `broker` (0-2)."""
        return self.base + 30 + broker


def from_environment() -> Ports:
    """The ports counted from `QC_PORT_BASE`, by default 8400.

    Raises UserError if the setting isn't a number that leaves all ports between 1024 and 65535.
    """
    text = os.environ.get("QC_PORT_BASE", str(DEFAULT_BASE))
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535 - SPAN:
        raise UserError(f"QC_PORT_BASE must be a number from 1024 to {65535 - SPAN}, not {text!r}.")
    return Ports(int(text))


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too; without it a port whose last connections linger in TIME_WAIT looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(wanted: Iterable[tuple[int, str]]) -> None:
    """Check `(port, what wants it)` pairs.

    Raises UserError naming the first port in use, what wanted it and the setting that moves it.
    """
    for port, wanted_by in wanted:
        if not is_free(port):
            raise UserError(
                f"Port {port}, which {wanted_by} needs, is in use by another program: "
                f"stop that program or set QC_PORT_BASE to another number."
            )


def free_ports(count: int) -> list[int]:
    """`count` different ports that are free at this moment, for tests and throw-away servers."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def accepts_connections(port: int) -> bool:
    """Whether something accepts TCP connections on `port` of the loopback address."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            # Where nobody listens, a connection can by chance be given the same port and meet itself.
            return connection.getsockname() != connection.getpeername()
    except OSError:
        return False
