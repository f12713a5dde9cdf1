"""Which database and which cluster an operator's command works on, and who does so and why.

The databases are those of QC_INTELLIGENCE_DATABASE_URL, QC_VISITS_DATABASE_URL, QC_FUNDING_DATABASE_URL and
QC_NOTIFY_DATABASE_URL, or else of the stack on this machine.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError

from deploy.cli.token import office
from deploy.local import broker
from deploy.local.errors import UserError
from deploy.local.stack import SERVICES, attach
from shared.messaging.broker import KafkaSettings
from shared.messaging.operator_actions import Operator
from shared.persistence.pool import Connection, connect

T = TypeVar("T")


class ServiceName(StrEnum):
    """A service, as commands name it."""

    INTELLIGENCE = "intelligence"
    VISITS = "visits"
    FUNDING = "funding"
    NOTIFY = "notify"


Service = Annotated[
    ServiceName, typer.Option("--service", metavar="NAME", help="intelligence, visits, funding or notify.")
]
Services = Annotated[
    list[ServiceName] | None,
    typer.Option("--service", metavar="NAME", help="Only this service; again for another. All by default."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Its database; by default QC_<SERVICE>_DATABASE_URL, else the stack's of this machine."
    ),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="The cluster; by default QC_KAFKA_BOOTSTRAP, else the stack's of this machine."
    ),
]
Actor = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Opaque id of who does this; by default the user of this machine. It is kept."),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why. It is kept; name no person in it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")]

#: What an option that takes an instant may be given.
INSTANT = "an instant such as 2026-03-04T05:00Z, an age such as 90m, 6h or 3d, or all."

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

#: A longer reason is no reason but a report.
_LONGEST_REASON = 500


def operator(actor: str | None, reason: str) -> Operator:
    """Who acts, and why. Raises UserError for an empty or over-long reason, or an actor that is no id."""
    reason = reason.strip()
    if not 1 <= len(reason) <= _LONGEST_REASON:
        raise UserError(f"Give a --reason of 1 to {_LONGEST_REASON} characters: it is kept with what is done.")
    name = actor or _user()
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", name):
        raise UserError("The --actor must be an opaque id of letters, digits and . _ : - (no name, no address).")
    return Operator(name, reason)


def database_url(service: str, given: str | None = None) -> str:
    """Address of a service's database. Raises UserError if none is known."""
    variable = f"QC_{service.upper()}_DATABASE_URL"
    if found := given or os.environ.get(variable):
        return found
    try:
        return attach().dsn(service)
    except UserError as error:
        raise UserError(
            f"Which database {service} has is not known: give --database-url or set {variable} (no stack runs here)."
        ) from error


def names(services: list[ServiceName] | None, given_url: str | None) -> list[str]:
    """The services that are meant, in the order of the cycle. Raises UserError if one address is given for several."""
    wanted = [name for name in SERVICES if not services or name in services]
    if given_url is not None and len(wanted) > 1:
        raise UserError("--database-url is the address of one service's database: say which with --service.")
    return wanted


def kafka(given: str | None = None) -> KafkaSettings:
    """The cluster, as a tool reaches it. Raises UserError if none is known or it does not answer."""
    address = given or os.environ.get("QC_KAFKA_BOOTSTRAP")
    environment: dict[str, str] = dict(os.environ)
    if address is None:
        stack = attach()
        address, environment = stack.bootstrap, {**stack.broker.client_environment, **environment}
    broker.require_external(address)
    return KafkaSettings(
        address,
        f"{office()}.qc",
        idempotence=environment.get("QC_KAFKA_IDEMPOTENCE", "true").lower() != "false",
        fetch_max_wait_ms=int(environment.get("QC_KAFKA_FETCH_MAX_WAIT_MS", "500")),
    )


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do asynchronous work; what a database or the cluster refuses becomes one sentence. Raises UserError."""
    try:
        return asyncio.run(work())
    except asyncpg.UndefinedTableError as error:
        raise UserError(
            "The database lacks tables of this version: is it the right one, and was its service started since the "
            f"update? ({error})"
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UserError(f"The database cannot be used ({type(error).__name__}: {error}).") from error
    except KafkaError as error:
        raise UserError(f"The cluster did not answer ({error!r}): look at its brokers and try again.") from error


@asynccontextmanager
async def connected(service: str, given: str | None) -> AsyncGenerator[Connection]:
    """A connection to a service's own database, as that service. Raises UserError if its address is not known."""
    connection = await connect(database_url(service, given), name=f"qc ({service})")
    try:
        yield connection
    finally:
        await connection.close()


def _user() -> str:
    try:
        return f"user:{getpass.getuser()}"
    except (OSError, KeyError) as error:
        raise UserError("The user of this machine has no name: give --actor.") from error


def instant(text: str) -> datetime | None:
    """The instant an option means; None for all. Raises UserError."""
    if text == "all":
        return None
    if text[:-1].isdecimal() and text[-1] in _UNITS:
        return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no instant: write {INSTANT}") from error
    if found.tzinfo is None:
        raise UserError(f"{text!r} does not say which time zone: add a Z for UTC.")
    return found
