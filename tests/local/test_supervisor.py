"""The account of a stack's processes."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import interrupts, process
from deploy.local.errors import UserError
from deploy.local.supervisor import FILE_NAME, Role, State, Supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    made.stop_all()


def _sleeper(folder: Path, name: str) -> process.Command:
    return process.Command(
        name=name,
        argv=[sys.executable, "-c", "import time; time.sleep(60)"],
        log=folder / f"{name}.log",
        env={"QC_JWT_SECRET": "not for others"},
    )


def test_another_shell_sees_restarts_and_stops_what_this_one_started(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400))
    first = supervisor.start(_sleeper(tmp_path, "visits"), Role.SERVICE)
    other = Supervisor(tmp_path)
    entry = other.known().entry("visits")
    assert entry.id == first.id
    other.kill("visits")
    assert not first.id.is_running()
    second = other.start(entry.command, entry.role)
    assert supervisor.known().entry("visits").id == second.id
    assert len(supervisor.known().processes) == 1
    other.stop_all()
    assert not second.id.is_running()
    assert supervisor.state() is None


def test_processes_are_stopped_services_first_and_the_database_last(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400))
    for name, role in [
        ("postgres", Role.DATABASE),
        ("mail", Role.MAIL),
        ("kafka-0", Role.BROKER),
        ("intelligence", Role.SERVICE),
        ("visits", Role.SERVICE),
    ]:
        supervisor.start(_sleeper(tmp_path, name), role)
    stopped: list[str] = []
    supervisor.stop_all(stopped.append)
    assert stopped == ["visits", "intelligence", "kafka-0", "mail", "postgres"]


def test_a_folder_in_use_is_refused_and_nothing_in_it_is_touched(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400))
    running = supervisor.start(_sleeper(tmp_path, "visits"), Role.SERVICE)
    with pytest.raises(UserError, match=r"already running .*visits.*qc down"):
        Supervisor(tmp_path).begin(State(port_base=8500))
    assert running.id.is_running()


def test_a_folder_whose_stack_is_being_started_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400, starter=process.current()))
    with pytest.raises(UserError, match=rf"process {os.getpid()}\) is starting"):
        Supervisor(tmp_path).begin(State(port_base=8400))


def test_after_a_crash_of_the_machine_the_old_account_is_no_hindrance(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400, starter=process.current()))
    running = supervisor.start(_sleeper(tmp_path, "visits"), Role.SERVICE)
    file = tmp_path / FILE_NAME
    kept = file.read_text()
    # The same ids on record, but of processes that started before the crash.
    file.write_text(kept.replace(running.id.started, "before").replace(process.current().started, "before"))
    Supervisor(tmp_path).begin(State(port_base=8400))
    assert running.id.is_running(), "it has the id of ours, and is another's"
    running.kill()


def test_a_start_that_was_overtaken_by_a_stop_leaves_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400))
    Supervisor(tmp_path).stop_all()
    with pytest.raises(UserError, match="stopped by another command"):
        supervisor.start(_sleeper(tmp_path, "visits"), Role.SERVICE)
    assert supervisor.state() is None


def test_the_account_holds_secrets_and_is_its_owners_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400))
    supervisor.start(_sleeper(tmp_path, "visits"), Role.SERVICE)
    file = tmp_path / FILE_NAME
    assert "not for others" in json.loads(file.read_text())["processes"][0]["command"]["env"].values()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_name_nobody_has_is_answered_with_those_there_are(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.begin(State(port_base=8400))
    supervisor.start(_sleeper(tmp_path, "visits"), Role.SERVICE)
    with pytest.raises(UserError, match=r"'visit'.*there are: visits"):
        supervisor.kill("visit")


def test_an_interrupt_waits_until_what_it_would_cut_in_two_is_done() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        done = True
    assert done


def test_a_process_started_again_while_the_others_are_stopped_is_stopped_too(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.begin(State(port_base=8400))
    command = _sleeper(tmp_path, "visits")
    supervisor.start(command, Role.SERVICE)
    supervisor.start(_sleeper(tmp_path, "postgres"), Role.DATABASE)
    again: list[process.RunningProcess] = []

    def restart_meanwhile(name: str) -> None:
        if name == "visits" and not again:
            again.append(Supervisor(tmp_path).start(command, Role.SERVICE))

    supervisor.stop_all(restart_meanwhile)
    assert len(again) == 1
    assert not again[0].id.is_running()
    assert supervisor.state() is None
