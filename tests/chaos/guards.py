"""For each guard of delivery the faults that show quickly, and without luck, that it is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.cluster import Launch, moment_file, stage_of
from tests.chaos.load import PROVIDERS
from tests.chaos.run import Plan
from tests.chaos.schedule import Fault, Kind
from tests.chaos.unguarded import MOMENT_FILE


@dataclass(frozen=True)
class Trial:
    """A guard, and how its absence shows."""

    #: Name of the guard, as `GUARD_OFF` takes it.
    guard: str
    #: What the guard is for, in a sentence.
    purpose: str
    faults: tuple[Fault, ...]
    #: Checks of the referee, or of the suite, of which at least one finds its absence.
    found_by: frozenset[str]
    duration: float = 16.0
    replicas: tuple[str, ...] = ()
    session_timeout_ms: int = 10_000
    providers: int = PROVIDERS
    #: Commands a second, at most.
    rate: float = 60.0


_TRIALS = (
    Trial(
        "positions",
        "drops what was applied before, and holds what comes too early",
        tuple(Fault(at, Kind.RECORDS_AGAIN, "", count=150, seed=int(at)) for at in (6.0, 9.0, 12.0)),
        frozenset({"streams.parked", "effects.changed_twice", "effects.untold", "concerns.differ"}),
    ),
    Trial(
        "fence",
        "lets only one of two members that believe they hold a partition change anything",
        (Fault(7.0, Kind.SERVICE_FREEZE_IN_BATCH, "visits-2", lasts=14.0),),
        frozenset({"events.held", "effects.changed_twice", "concerns.differ"}),
        duration=34.0,
        rate=25.0,
        replicas=("visits-2",),
        session_timeout_ms=3_000,
        # What the frozen member takes back must be missed before the next rebalance reads it again.
        providers=8,
    ),
    Trial(
        "sequence",
        "gives numbers without gaps, in the order of commits",
        tuple(Fault(at, Kind.SERVICE_KILL_IN_BATCH, "intelligence", lasts=0.5) for at in (6.0, 12.0)),
        frozenset({"topic.gap", "outbox.skipped"}),
        duration=18.0,
    ),
    Trial(
        "transaction",
        "saves the state, what follows from it and the position together or not at all",
        tuple(Fault(at, Kind.SERVICE_KILL_IN_BATCH, "visits", lasts=0.5) for at in (6.0, 12.0)),
        frozenset({"concerns.missing", "concerns.differ", "requirements.missing"}),
        duration=18.0,
    ),
    Trial(
        "relay-order",
        "sends the events of a key in their order",
        (
            Fault(6.0, Kind.BROKER_STALL, "kafka-0", lasts=2.5),
            Fault(11.0, Kind.BROKER_CUT, "kafka-0", lasts=2.5),
        ),
        frozenset({"topic.order"}),
    ),
)

TRIALS = {trial.guard: trial for trial in _TRIALS}


def plan_of(
    trial: Trial, *, seed: int, data_dir: Path, port_base: int, rate: float = 60.0, guard_off: bool = True
) -> Plan:
    """A run of a trial; ``guard_off=False`` runs the same with all guards in place."""
    guard = trial.guard if guard_off else "none"
    return Plan(
        seed=seed,
        duration=trial.duration,
        faults=list(trial.faults),
        rate=min(rate, trial.rate),
        # What is looked for is a finding, not speed.
        least_rate=0.0,
        data_dir=data_dir,
        port_base=port_base,
        launch=Launch(
            argv=lambda name: ["-m", "tests.chaos.unguarded", stage_of(name), guard, trial.guard],
            env=_moment_file(data_dir),
            replicas=trial.replicas,
            session_timeout_ms=trial.session_timeout_ms,
        ),
        providers=trial.providers,
        # A frozen member keeps the locks of the commands it has in hand, and others would wait for those.
        uncalled=frozenset(trial.replicas),
        # Without its guard it may never be quiet.
        patience_s=25.0 if guard_off else 120.0,
        guard_off=guard,
    )


def _moment_file(data_dir: Path) -> Callable[[str], dict[str, str]]:
    return lambda name: {MOMENT_FILE: str(moment_file(data_dir, name))}
