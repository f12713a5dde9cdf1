"""The system under chaos: three brokers, replicas, and a proxy on every way that can be cut."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import uvloop
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import health, ports, process
from deploy.local.errors import ProcessFailed, UserError
from deploy.local.ports import LOOPBACK, Ports
from deploy.local.stack import SERVICE_TIMEOUT, SERVICES, Options, Stack
from deploy.local.supervisor import Entry, Role, Supervisor
from shared.contracts.registry import Topic
from tests.chaos.proxy import Proxy
from tests.chaos.schedule import BROKERS, REPLICAS

T = TypeVar("T")

#: Offsets of ports that `deploy.local.ports` leaves free: replicas, and the brokers' way in through the proxy.
_REPLICA_PORT = 5
_PROXIED_PORT = 23

FULL_DISK = Path("/dev/full")


def stage_of(member: str) -> str:
    """The service of which a process is a replica: ``visits`` for ``visits-2``."""
    return member.partition("-")[0]


def moment_file(data_dir: Path, name: str) -> Path:
    """The file by which a process of `tests.chaos.unguarded` is told to strike itself."""
    return data_dir / f"moment-{name}"


class Background:
    """An event loop in a thread of its own, for proxies and load; the main thread does what blocks."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop, and wait for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin something in the loop and go on."""

        async def create() -> "asyncio.Task[T]":
            return asyncio.get_running_loop().create_task(work)

        return self.run(create())

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the loop's thread, and wait for it."""

        async def work() -> T:
            return function()

        return self.run(work())

    def stop(self) -> None:
        """End what still goes on in the loop, the loop and its thread."""

        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


@dataclass(frozen=True)
class Launch:
    """How services are started, where that is not as usual."""

    #: Arguments of Python in place of ``-m services.<name>``, by the name of the process.
    argv: Callable[[str], list[str]] | None = None
    #: More of the environment, by the name of the process.
    env: Callable[[str], dict[str, str]] | None = None
    replicas: tuple[str, ...] = REPLICAS
    #: How long a member may be silent, in milliseconds.
    session_timeout_ms: int = 10_000
    #: Whether members have names that outlive them (static membership).
    named: bool = True


class _Adapting(Supervisor):
    """A supervisor that changes commands before they are started."""

    def __init__(self, folder: Path, adapt: Callable[[process.Command, Role], process.Command]) -> None:
        super().__init__(folder)
        self._adapt = adapt

    def start(self, command: process.Command, role: Role) -> process.RunningProcess:
        return super().start(self._adapt(command, role), role)


class Cluster(Stack):
    """A stack whose services reach PostgreSQL and Kafka through proxies only.

    Everything but the proxies is done in the thread that made it, with which its processes end.
    """

    def __init__(self, options: Options, background: Background, launch: Launch | None = None, **stack: Any) -> None:
        super().__init__(options, **stack)
        self.launch = launch or Launch()
        self._background = background
        self._supervisor = _Adapting(options.data_dir, self._adapt)
        own = options.ports
        self.members = (*SERVICES, *self.launch.replicas)
        self.database_proxies = {name: Proxy(own.postgres) for name in self.members}
        self.broker_proxies = {
            name: Proxy(own.base + _PROXIED_PORT + place) for place, name in enumerate(BROKERS[: options.brokers])
        }
        #: Logs that have no room, by process.
        self.full_logs: set[str] = set()

    @property
    def _proxies(self) -> list[Proxy]:
        return [*self.database_proxies.values(), *self.broker_proxies.values()]

    # Start and stop

    def _start(self, choice: Any) -> None:
        # Their ports are what brokers tell clients, so they come first.
        self._background.run(_start_all(self._proxies))
        super()._start(choice)
        for name in self.launch.replicas:
            self._supervisor.start(self._replica_command(name), Role.SERVICE)
        for name in self.launch.replicas:
            self.wait_ready(name)

    def stop(self, report: Callable[[str], None] = lambda name: None) -> None:
        super().stop(report)
        self._background.run(_stop_all(self._proxies))

    # The processes

    @property
    def urls(self) -> dict[str, str]:
        """Base URL of every member's HTTP API, replicas too."""
        return super().urls | {name: f"http://{LOOPBACK}:{self._port(name)}" for name in self.launch.replicas}

    def _port(self, member: str) -> int:
        if member in SERVICES:
            return self.options.ports.service(SERVICES.index(member))
        return self.options.ports.base + _REPLICA_PORT + self.launch.replicas.index(member)

    def is_ready(self, name: str) -> bool:
        if name in self.launch.replicas:
            return health.not_ready(self._port(name)) is None
        return super().is_ready(name)

    def not_ready(self) -> dict[str, str]:
        """What keeps members from being ready, by member."""
        found = {name: health.not_ready(self._port(name)) for name in self.members}
        return {name: reason for name, reason in found.items() if reason is not None}

    def entry(self, name: str) -> Entry:
        """A process and how it was started. Raises UserError if there is none of that name."""
        return self._supervisor.known().entry(name)

    def begin_again(self, name: str) -> None:
        """Start a process that has ended, and do not wait for it."""
        self.restart(name, wait=False)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        self._supervisor.signal(name, number)

    def wait_ready(self, name: str, *, within: float = SERVICE_TIMEOUT) -> None:
        """Wait until a member is ready. Raises ProcessFailed if it ends or takes too long."""
        entry = self.entry(name)
        deadline = time.monotonic() + within
        while (missing := health.not_ready(self._port(name))) is not None:
            if not entry.is_running():
                raise ProcessFailed(f"{name} has ended (log: {entry.command.log}).")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{name} was not ready after {within:.0f} s: {missing} (log: {entry.command.log}).")
            time.sleep(0.1)

    # What is changed of the commands

    def _replica_command(self, name: str) -> process.Command:
        usual = self._service_command(stage_of(name))
        changed = {"QC_HTTP_PORT": str(self._port(name)), "QC_INSTANCE_ID": name, "QC_DATABASE_URL": self.dsn(name)}
        return replace(usual, name=name, log=self._logs / f"{name}.log", env={**(usual.env or {}), **changed})

    def _adapt(self, command: process.Command, role: Role) -> process.Command:
        if role is Role.BROKER:
            return self._adapt_broker(command)
        return self._adapt_service(command) if role is Role.SERVICE else command

    def _adapt_broker(self, command: process.Command) -> process.Command:
        if "--override" in command.argv:
            return command
        own, place = self.options.ports, BROKERS.index(command.name)
        inside = f"PLAINTEXT://{LOOPBACK}:{own.kafka(place)}"
        control = f"CONTROLLER://{LOOPBACK}:{own.kafka_controller(place)}"
        proxy = self.broker_proxies[command.name]
        settings = {
            "listeners": f"{inside},{control},PROXIED://{LOOPBACK}:{proxy.target_port}",
            "advertised.listeners": f"{inside},PROXIED://{LOOPBACK}:{proxy.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
            # Among themselves and for the referee they are reached directly.
            "inter.broker.listener.name": "PLAINTEXT",
            "group.min.session.timeout.ms": "1000",
        }
        overrides = [part for key, value in settings.items() for part in ("--override", f"{key}={value}")]
        return replace(command, argv=[*command.argv, *overrides])

    def _adapt_service(self, command: process.Command) -> process.Command:
        name, env = command.name, dict(command.env or {})
        address = urlsplit(self.dsn(stage_of(name)))
        through = f"{address.username}:{address.password}@{LOOPBACK}:{self.database_proxies[name].port}"
        env |= {
            "QC_DATABASE_URL": urlunsplit(address._replace(netloc=through)),
            "QC_KAFKA_BOOTSTRAP": ",".join(f"{LOOPBACK}:{one.port}" for one in self.broker_proxies.values()),
            "QC_KAFKA_SESSION_TIMEOUT_MS": str(self.launch.session_timeout_ms),
            **(self.launch.env(name) if self.launch.env else {}),
        }
        if not self.launch.named:
            env.pop("QC_INSTANCE_ID", None)
        if self.launch.argv is not None:
            command = replace(command, argv=[command.argv[0], *self.launch.argv(name)])
        usual_log = self._logs / f"{name}.log"
        return replace(command, env=env, log=FULL_DISK if name in self.full_logs else usual_log)

    def dsn(self, service: str) -> str:
        """URL of the database of a service, or of a replica's service, past the proxies."""
        return super().dsn(stage_of(service))

    # Kafka

    def replicas_behind(self) -> int:
        """Partitions of our topics that lack a replica in sync; -1 if no broker answers."""
        try:
            return asyncio.run(_replicas_behind(self.bootstrap))
        except (KafkaError, OSError, TimeoutError):
            return -1


async def _start_all(proxies: list[Proxy]) -> None:
    for proxy in proxies:
        await proxy.start()


async def _stop_all(proxies: list[Proxy]) -> None:
    for proxy in proxies:
        await proxy.stop()


async def _replicas_behind(bootstrap: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=3_000)
    try:
        await admin.start()
        topics = await admin.describe_topics([topic.value for topic in Topic])
    finally:
        await admin.close()
    return sum(len(p["isr"]) < len(p["replicas"]) for topic in topics for p in topic["partitions"])


def options(*, data_dir: Path, base: int, brokers: int = 3) -> Options:
    """The stack of a run. Raises UserError if there is no room for its ports."""
    if base + ports.SPAN > 65_535:
        raise UserError(f"QC_PORT_BASE {base} is too high: leave {ports.SPAN} ports above it.")
    # Durable: a killed database must have kept all that it acknowledged.
    return Options(
        kafka="apache", brokers=brokers, data_dir=data_dir, ports=Ports(base), durable=True, die_with_parent=True
    )
