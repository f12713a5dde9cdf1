"""The schedule of faults: the same for the same seed and duration, within its limits, and of every kind."""

import itertools
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.paths import PROJECT_ROOT
from tests.chaos.schedule import (
    BROKER_REST_S,
    BROKERS,
    DATABASE_REST_S,
    IN_TRIALS,
    MEMBERS,
    WARM_UP_S,
    Fault,
    Kind,
    plan,
)

seeds = st.integers(0, 2**63)
durations = st.floats(5, 1_800)


def of(faults: list[Fault], prefix: str) -> list[Fault]:
    return [fault for fault in faults if fault.kind.startswith(prefix)]


@given(seeds, durations)
def test_the_same_seed_and_duration_give_the_same_faults(seed: int, duration: float) -> None:
    assert plan(seed, duration) == plan(seed, duration)


def test_another_process_plans_the_same() -> None:
    script = "from tests.chaos.schedule import plan; print(plan(7, 600))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=PROJECT_ROOT,
            env={"PYTHONHASHSEED": str(salt)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in (1, 2)
    }
    assert outputs == {f"{plan(7, 600)}\n"}


@given(seeds, durations)
def test_a_longer_run_begins_like_a_shorter_one(seed: int, duration: float) -> None:
    shorter = plan(seed, duration)
    longer = [fault for fault in plan(seed, duration + 300) if fault.ends <= duration]
    assert set(shorter) <= set(longer)


def test_another_seed_gives_other_faults() -> None:
    assert len({tuple(plan(seed, 120)) for seed in range(50)}) == 50


@given(seeds, durations)
def test_all_begins_after_the_warm_up_and_is_undone_before_the_end(seed: int, duration: float) -> None:
    for fault in plan(seed, duration):
        assert WARM_UP_S <= fault.at <= fault.ends <= duration
        assert fault.target in (*MEMBERS, *BROKERS, "postgres", "")


@given(seeds, durations)
def test_one_broker_at_a_time_and_with_time_to_catch_up(seed: int, duration: float) -> None:
    brokers = of(plan(seed, duration), "broker.")
    for one, following in itertools.pairwise(brokers):
        assert following.at >= one.ends + BROKER_REST_S - 0.01


@given(seeds, durations)
def test_faults_of_the_database_leave_time_to_come_back(seed: int, duration: float) -> None:
    faults = of(plan(seed, duration), "database.")
    for one, following in itertools.pairwise(faults):
        assert following.at >= one.ends + DATABASE_REST_S - 0.01


@given(seeds)
def test_ten_minutes_have_every_kind_of_fault(seed: int) -> None:
    faults = plan(seed, 600)
    assert {fault.kind for fault in faults} == set(Kind) - IN_TRIALS
    assert len(of(faults, "broker.")) >= 18
    assert len(of(faults, "service.")) >= 40
    assert any(fault.lasts > 10 for fault in faults if fault.kind is Kind.SERVICE_FREEZE)
