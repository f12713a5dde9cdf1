"""The suite itself: a short run passes, and a run without one of the guards of delivery does not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.paths import PROJECT_ROOT
from tests.chaos.guards import TRIALS, plan_of
from tests.chaos.run import Plan, Result, carry_out, clear, summary
from tests.chaos.schedule import Kind
from tests.chaos.schedule import plan as plan_faults
from tests.fixtures.infrastructure import free_port_base

pytestmark = pytest.mark.needs_apache

#: Its first seconds have what matters most: see the first test.
SEED, SECONDS = 159, 20.0


@pytest.fixture
def data_dir(open_folder: Path) -> Iterator[Path]:
    folder = open_folder / "chaos"
    yield folder
    if folder.exists():
        clear(folder)


def run(plan: Plan) -> Result:
    lines: list[str] = []
    result = carry_out(plan, lines.append)
    print("\n".join([*lines, summary(result)]))
    return result


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_while_services_brokers_and_the_database_fail(data_dir: Path) -> None:
    faults = plan_faults(SEED, SECONDS)
    kinds = {fault.kind for fault in faults}
    assert {Kind.BROKER_KILL, Kind.SERVICE_KILL, Kind.DATABASE_KILL, Kind.RECORDS_AGAIN, Kind.RECORDS_FOREIGN} <= kinds
    result = run(
        Plan(
            seed=SEED,
            duration=SECONDS,
            faults=faults,
            rate=30.0,
            # Beside other tests: how fast it is on a machine of its own is for the long run to say.
            least_rate=1.0,
            data_dir=data_dir,
            port_base=free_port_base(),
        )
    )
    assert [f"{one.what}: {one.detail}" for one in result.findings] == []
    assert result.intruder.foreign
    assert result.nemesis.counts[Kind.BROKER_KILL] == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ctrl_c_stops_everything(open_folder: Path) -> None:
    base = free_port_base()
    environment = {**os.environ, "QC_DATA_DIR": str(open_folder), "QC_PORT_BASE": str(base)}
    argv = [sys.executable, "-m", "tests.chaos", "--duration", "60", "--seed", "1"]
    with subprocess.Popen(
        argv,
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background of a script hands on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        assert "SEED=1" in first
        for line in running.stdout:
            if "commands" in line and "faults, last" in line:
                break
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(60) == 130
    assert "Seed 1." in rest
    assert all(ports.is_free(base + offset) for offset in range(ports.SPAN))


def without(guard: str, data_dir: Path, *, guard_off: bool = True) -> Result:
    trial = TRIALS[guard]
    return run(plan_of(trial, seed=1, data_dir=data_dir, port_base=free_port_base(), guard_off=guard_off))


def found_without(guard: str, data_dir: Path) -> set[str]:
    """What was found, and was looked for."""
    found = {one.what for one in without(guard, data_dir).findings}
    assert "the suite failed" not in found
    return found & TRIALS[guard].found_by


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guard", ["relay-order"])
def test_the_referee_sees_that_a_guard_is_missing(data_dir: Path, guard: str) -> None:
    assert found_without(guard, data_dir)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("guard", ["positions", "fence", "sequence", "transaction"])
def test_the_referee_sees_that_another_guard_is_missing(data_dir: Path, guard: str) -> None:
    assert found_without(guard, data_dir)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("guard", sorted(TRIALS))
def test_with_its_guard_in_place_the_same_faults_do_no_harm(data_dir: Path, guard: str) -> None:
    result = without(guard, data_dir, guard_off=False)
    assert [f"{one.what}: {one.detail}" for one in result.findings] == []
