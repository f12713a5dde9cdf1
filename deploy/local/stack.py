"""The whole system on one machine: PostgreSQL, a broker, the topics, a mail sink and the four services."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import apache_kafka, broker, health, java, paths, ports, postgres, process, secret_values, tansu
from deploy.local.errors import ProcessFailed, UserError
from deploy.local.secret_values import SecretValues
from deploy.local.supervisor import Broker, Role, State, Supervisor
from shared.messaging import topics

#: In the order of the cycle; the place in it gives the port.
SERVICES = ("intelligence", "visits", "funding", "notify")

DATABASE = "postgres"
MAIL = "mail"
MAIL_SENDER = "quality-cycle@localhost.test"

#: Seconds a service may take to its readiness, on a machine busy with something else too.
SERVICE_TIMEOUT = 60.0
SERVICE_GRACE = 10.0


@dataclass(frozen=True)
class Options:
    """What to run and where."""

    #: auto, apache, embedded or HOST:PORT.
    kafka: str = "auto"
    #: Brokers of Apache Kafka, 1 to 3.
    brokers: int = 1
    data_dir: Path = field(default_factory=paths.data_dir)
    ports: ports.Ports = field(default_factory=ports.from_environment)
    #: Whether a crash of the machine may lose nothing; tests do without.
    durable: bool = True
    #: Whether the processes end with the one that started them, however that ends. For tests.
    die_with_parent: bool = False
    #: Of `SERVICES`, those to run.
    services: tuple[str, ...] = SERVICES
    #: Each service is run as the module of its name in this package.
    package: str = "services"


@dataclass(frozen=True)
class Step:
    """Something that has become ready."""

    what: str
    detail: str
    #: Since the start of the stack.
    seconds: float


Report = Callable[[Step], None]


def _silent(_: Step) -> None:
    pass


class Stack:
    """One stack. As a context manager it is started on entry and stopped on exit, however that comes about."""

    def __init__(self, options: Options | None = None, report: Report = _silent) -> None:
        self.options = options or Options()
        self._report = report
        self._supervisor = Supervisor(self.options.data_dir)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # What others need to talk to it

    @property
    def bootstrap(self) -> str:
        """Address of the broker, HOST:PORT[,HOST:PORT]. Raises UserError if the stack isn't running."""
        return self.broker.bootstrap

    @property
    def broker(self) -> Broker:
        """The broker of the running stack. Raises UserError if the stack isn't running."""
        known = self._supervisor.known().broker
        if known is None:
            raise UserError("The stack has no broker yet: it is still starting.")
        return known

    @property
    def secrets(self) -> SecretValues:
        """The stack's secrets. Raises UserError if it was never started."""
        known = secret_values.load(self.options.data_dir)
        if known is None:
            raise UserError(f"There are no secrets in {self.options.data_dir} yet: run `qc up` first.")
        return known

    @property
    def urls(self) -> dict[str, str]:
        """Base URL of each service's HTTP API."""
        return {name: f"http://{ports.LOOPBACK}:{self._service_port(name)}" for name in self.options.services}

    @property
    def mail_url(self) -> str:
        """Base URL of the mail sink's page and JSON list."""
        return f"http://{ports.LOOPBACK}:{self.options.ports.mail_http}"

    def dsn(self, service: str) -> str:
        """URL of a service's database, as that service."""
        name = f"qc_{service}"
        password = self.secrets.databases[service]
        return f"postgresql://{name}:{password}@{ports.LOOPBACK}:{self.options.ports.postgres}/{name}"

    def state(self) -> State | None:
        """What is on record of the stack's processes; None if there is no stack."""
        return self._supervisor.state()

    def is_ready(self, name: str) -> bool:
        """Whether a process does its work: a service by its readiness, another one by accepting connections."""
        own = self.options.ports
        if name in self.options.services:
            return health.not_ready(self._service_port(name)) is None
        if name == DATABASE:
            return ports.accepts_connections(own.postgres)
        if name == MAIL:
            return ports.accepts_connections(own.smtp) and ports.accepts_connections(own.mail_http)
        return ports.accepts_connections(own.kafka(int(name.rpartition("-")[2])))

    # Start and stop

    def start(self) -> None:
        """Start everything and wait until all is ready; if that fails or is interrupted, nothing is left running.

        Raises UserError for what the caller can mend and ProcessFailed for a process that didn't come up.
        """
        self._began = time.monotonic()
        folder = self.options.data_dir
        choice = broker.choose(self.options.kafka, brokers=self.options.brokers)
        paths.make_writable(folder)
        self._supervisor.begin(State(port_base=self.options.ports.base, starter=process.current()))
        try:
            self._start(choice)
            self._supervisor.update(lambda state: state.model_copy(update={"starter": None}))
        except BaseException:
            self.stop()
            raise

    def _start(self, choice: broker.Choice) -> None:
        options, own = self.options, self.options.ports
        ports.require_free(self._wanted_ports(choice))
        if choice.bootstrap is not None:
            broker.require_external(choice.bootstrap)
        secret = secret_values.load_or_make(options.data_dir, options.services)
        if choice.kind == "apache" and not java.jars_are_there():
            self._say("Maven", f"is fetching Apache Kafka {java.kafka_version()}, once")
        # All that takes its time by itself is started before any of it is waited for.
        running_postgres = self._supervisor.start(self._postgres_command(secret), Role.DATABASE)
        mail = self._supervisor.start(self._mail_command(), Role.MAIL)
        brokers, bootstrap = self._start_broker(choice)

        server = postgres.wait_ready(running_postgres, port=own.postgres, password=secret.postgres)
        passwords = {f"qc_{name}": secret.databases[name] for name in options.services}
        asyncio.run(server.create_owned_databases(passwords))
        self._say("PostgreSQL 18", f"on port {own.postgres}, {len(passwords)} databases")

        if choice.kind != "external":
            broker.wait_ready(bootstrap, brokers, brokers=options.brokers)
        self._say("Kafka", f"{choice.title} at {bootstrap}, because {choice.reason}")
        self._apply_topics()

        self._wait_for_mail(mail)
        self._say("Mail sink", f"SMTP on port {own.smtp}, page at {self.mail_url}")

        started = [self._supervisor.start(self._service_command(name), Role.SERVICE) for name in options.services]
        for one in started:
            self._wait_for_service(one)
            self._say(one.name, self.urls[one.name])

    def stop(self, report: Callable[[str], None] = lambda name: None) -> None:
        """Stop what still runs: services first, then the broker, mail and PostgreSQL."""
        self._supervisor.stop_all(report)

    def kill(self, name: str) -> None:
        """End a process at once (SIGKILL). `restart` brings it back. Raises UserError if there is none of that name."""
        self._supervisor.kill(name)

    def pause(self, name: str) -> None:
        """Make a process hang (SIGSTOP) until `resume`. Raises UserError if it isn't running."""
        self._supervisor.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused process go on (SIGCONT). Raises UserError if it isn't running."""
        self._supervisor.signal(name, signal.SIGCONT)

    def terminate(self, name: str) -> None:
        """Stop one process in good order and leave it stopped. Raises UserError if there is none of that name."""
        self._supervisor.stop(name)

    def restart(self, name: str, *, wait: bool = True) -> None:
        """Start a process again, after stopping it in good order if it runs; `wait` until it is ready.

        Raises UserError if there is none of that name, ProcessFailed if it doesn't become ready.
        """
        entry = self._supervisor.known().entry(name)
        self._supervisor.stop(name)
        command = entry.command
        embedded = entry.role is Role.BROKER and self.broker.kind == "embedded"
        if embedded:
            # It has forgotten everything, so it must not come back under the id it had.
            command = self._tansu_command()
        running = self._supervisor.start(command, entry.role)
        if not wait:
            return
        if entry.role is Role.SERVICE:
            self._wait_for_service(running)
        elif entry.role is Role.DATABASE:
            postgres.wait_ready(running, port=self.options.ports.postgres, password=self.secrets.postgres)
        elif entry.role is Role.MAIL:
            self._wait_for_mail(running)
        else:
            process.wait_until(lambda: self.is_ready(name), running, timeout=apache_kafka.START_TIMEOUT)
            if embedded:
                broker.wait_ready(self.bootstrap, [running])
                self._apply_topics()

    def wait(self, ended: Callable[[str], None]) -> None:
        """Return once the stack has been stopped from elsewhere; say through `ended` when a process has ended."""
        known: set[str] = set()
        while (state := self.state()) is not None:
            running = {one.name for one in state.processes if one.is_running()}
            for name in sorted(known - running):
                ended(name)
            known = running
            time.sleep(0.5)

    # The parts

    def _say(self, what: str, detail: str) -> None:
        self._report(Step(what, detail, time.monotonic() - self._began))

    def _service_port(self, name: str) -> int:
        return self.options.ports.service(SERVICES.index(name))

    def _wanted_ports(self, choice: broker.Choice) -> list[tuple[int, str]]:
        own, count = self.options.ports, self.options.brokers
        wanted = [(self._service_port(name), f"the {name} service") for name in self.options.services]
        wanted += [(own.postgres, "PostgreSQL"), (own.smtp, "the mail sink"), (own.mail_http, "the mail sink's page")]
        if choice.kind != "external":
            wanted += [(own.kafka(i), "the Kafka broker") for i in range(count)]
        if choice.kind == "apache":
            wanted += [(own.kafka_controller(i), "the Kafka controller") for i in range(count)]
        return wanted

    @property
    def _logs(self) -> Path:
        return self.options.data_dir / "logs"

    def _postgres_command(self, secret: SecretValues) -> process.Command:
        return postgres.prepare(
            self.options.data_dir / "postgres",
            port=self.options.ports.postgres,
            log=self._logs / f"{DATABASE}.log",
            password=secret.postgres,
            durable=self.options.durable,
            die_with_parent=self.options.die_with_parent,
        )

    def _start_broker(self, choice: broker.Choice) -> tuple[list[process.RunningProcess], str]:
        own = self.options.ports
        if choice.bootstrap is not None:
            commands, bootstrap = (), choice.bootstrap
        elif choice.java is not None:
            cluster = apache_kafka.prepare(
                self.options.data_dir / "kafka",
                endpoints=[
                    apache_kafka.Endpoint(own.kafka(i), own.kafka_controller(i)) for i in range(self.options.brokers)
                ],
                logs=self._logs,
                jars=java.kafka_jars(),
                program=choice.java,
                die_with_parent=self.options.die_with_parent,
            )
            commands, bootstrap = cluster.commands, cluster.bootstrap
        else:
            commands, bootstrap = (self._tansu_command(),), f"{ports.LOOPBACK}:{own.kafka(0)}"
        known = Broker(
            kind=choice.kind,
            title=choice.title,
            reason=choice.reason,
            bootstrap=bootstrap,
            brokers=self.options.brokers,
            client_environment=choice.client_environment,
        )
        self._supervisor.update(lambda state: state.model_copy(update={"broker": known}))
        return [self._supervisor.start(command, Role.BROKER) for command in commands], bootstrap

    def _tansu_command(self) -> process.Command:
        return tansu.prepare(
            port=self.options.ports.kafka(0), logs=self._logs, die_with_parent=self.options.die_with_parent
        )

    def _apply_topics(self) -> None:
        replicas = min(3, self.options.brokers)
        try:
            asyncio.run(
                topics.apply(self.bootstrap, replication_factor=replicas, min_insync_replicas=2 if replicas == 3 else 1)
            )
        except topics.TopicsNotReady as error:
            raise ProcessFailed(f"The topics could not be made: {error}") from error
        self._say("Topics", "made as declared, every partition has a leader")

    def _mail_command(self) -> process.Command:
        own = self.options.ports
        return process.Command(
            name=MAIL,
            argv=[
                *(sys.executable, "-m", "deploy.local.mailsink"),
                *("--smtp-port", str(own.smtp), "--http-port", str(own.mail_http)),
                *("--folder", str(self.options.data_dir / "mail")),
            ],
            log=self._logs / f"{MAIL}.log",
            cwd=paths.PROJECT_ROOT,
            stop_grace=3.0,
            die_with_parent=self.options.die_with_parent,
        )

    def _wait_for_mail(self, running: process.RunningProcess) -> None:
        process.wait_until(lambda: self.is_ready(MAIL), running, timeout=SERVICE_TIMEOUT)

    def _service_command(self, name: str) -> process.Command:
        secret = self.secrets
        environment = {
            "PYTHONUNBUFFERED": "1",
            "QC_DATABASE_URL": self.dsn(name),
            "QC_KAFKA_BOOTSTRAP": self.bootstrap,
            **self.broker.client_environment,
            "QC_HTTP_HOST": ports.LOOPBACK,
            "QC_HTTP_PORT": str(self._service_port(name)),
            "QC_JWT_SECRET": secret.jwt,
            "QC_PSEUDONYM_KEY": secret.pseudonym_key,
        }
        if self.broker.kind == "apache":
            # After a crash the partitions wait for the same member to return, instead of for its session to run
            # out. (With static members Tansu takes longer instead.)
            environment["QC_INSTANCE_ID"] = "local"
        if name == "notify":
            environment |= {
                "QC_SMTP_HOST": ports.LOOPBACK,
                "QC_SMTP_PORT": str(self.options.ports.smtp),
                "QC_SMTP_SENDER": MAIL_SENDER,
            }
        return process.Command(
            name=name,
            argv=[sys.executable, "-m", f"{self.options.package}.{name}"],
            log=self._logs / f"{name}.log",
            env=environment,
            cwd=paths.PROJECT_ROOT,
            stop_grace=SERVICE_GRACE,
            die_with_parent=self.options.die_with_parent,
        )

    def _wait_for_service(self, running: process.RunningProcess) -> None:
        port = self._service_port(running.name)
        try:
            process.wait_until(lambda: health.not_ready(port) is None, running, timeout=SERVICE_TIMEOUT)
        except ProcessFailed as error:
            if running.exit_code() is None and (missing := health.not_ready(port)):
                raise ProcessFailed(f"{str(error).rstrip('.')}; not ready: {missing}.") from error
            raise


def attach(data_dir: Path | None = None) -> Stack:
    """The stack that runs in `data_dir`, started by whichever shell. Raises UserError if there is none."""
    folder = data_dir or paths.data_dir()
    state = Supervisor(folder).known()
    running = {one.name for one in state.processes if one.role is Role.SERVICE}
    services = tuple(name for name in SERVICES if name in running)
    brokers = state.broker.brokers if state.broker else 1
    return Stack(
        Options(data_dir=folder, ports=ports.Ports(state.port_base), brokers=brokers, services=services or SERVICES)
    )
