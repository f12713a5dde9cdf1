"""Which faults come when: a pure function of the seed and the duration, so that a run can be played again."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from random import Random
from typing import Any

from deploy.local.stack import SERVICES

#: Seconds at the beginning without faults: everything is to be under way before anything breaks.
WARM_UP_S = 3.0

BROKERS = ("kafka-0", "kafka-1", "kafka-2")

#: Replicas that run beside the first one of their service.
REPLICAS = ("visits-2",)
MEMBERS = (*SERVICES, *REPLICAS)

#: Seconds between the end of one broker's fault and the beginning of the next: its replicas have to catch up, or two
#: of three would be gone at once.
BROKER_REST_S = 15.0

#: Seconds between the end of one fault of the database and the next: services have to come back before it goes again.
DATABASE_REST_S = 12.0


class Kind(StrEnum):
    """What can be done to the system."""

    SERVICE_KILL = "service.kill"
    """SIGKILL; started again when the fault ends."""
    SERVICE_FREEZE = "service.freeze"
    """SIGSTOP, and SIGCONT when the fault ends."""
    SERVICE_TERMINATE = "service.terminate"
    """SIGTERM, as a roll-out does; started again when the fault ends."""
    SERVICE_FREEZE_IN_BATCH = "service.freeze_in_batch"
    """SIGSTOP between two statements of a transaction; thawed, it commits and dies. Only in trials of guards."""
    SERVICE_KILL_IN_BATCH = "service.kill_in_batch"
    """SIGKILL between two statements of a transaction. Only in trials of guards."""
    SERVICE_LOG_FULL = "service.log_full"
    """Killed and started again with its log on a full disk; once more, with room, when the fault ends."""
    BROKER_KILL = "broker.kill"
    BROKER_FREEZE = "broker.freeze"
    BROKER_CUT = "broker.cut"
    """All clients' connections are reset, and refused until the fault ends."""
    BROKER_SLOW = "broker.slow"
    BROKER_STALL = "broker.stall"
    """Clients' connections stay open and nothing comes through."""
    DATABASE_RESTART = "database.restart"
    """In good order, cutting everybody off."""
    DATABASE_ABORT = "database.abort"
    """SIGQUIT: ended at once, recovered from its log."""
    DATABASE_KILL = "database.kill"
    """SIGKILL of the server, which leaves its children to find out."""
    DATABASE_FREEZE = "database.freeze"
    DATABASE_CUT = "database.cut"
    """One service's connections to it are reset, and refused until the fault ends."""
    DATABASE_SLOW = "database.slow"
    DATABASE_STALL = "database.stall"
    RECORDS_AGAIN = "records.again"
    """Earlier records are put into their topics once more, as they were."""
    RECORDS_FOREIGN = "records.foreign"
    """Records that no service of this system made are put into the topics."""


#: What only a trial of a guard does, by a schedule of its own.
IN_TRIALS = frozenset({Kind.SERVICE_FREEZE_IN_BATCH, Kind.SERVICE_KILL_IN_BATCH})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done to the system."""

    #: Seconds after the beginning of the run.
    at: float
    kind: Kind
    #: A process, a service whose connections are meant, or nothing for what is done to the topics.
    target: str
    #: Seconds until it is undone; 0 for what needs no undoing.
    lasts: float = 0.0
    #: Seconds a piece of data is held back, for what is slow.
    delay_s: float = 0.0
    #: How many records.
    count: int = 0
    #: Decides what the records are.
    seed: int = 0

    @property
    def ends(self) -> float:
        """When it is undone, in seconds after the beginning of the run."""
        return self.at + self.lasts

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan(seed: int, duration: float) -> list[Fault]:
    """The faults of a run, in the order in which they begin; all are undone before ``duration`` seconds are over.

    There are four lanes, each with one fault after the other: services, brokers, the database, and the topics. So at
    no time is more than one broker, or more than one replica, out of action by the schedule's own doing.
    """
    lanes = (_services, _brokers, _database, _records)
    # Each lane draws from a source of its own: a change to one leaves the others as they were.
    faults = [fault for lane in lanes for fault in lane(Random(f"{lane.__name__} {seed}"), duration)]
    return sorted(faults, key=lambda fault: (fault.at, fault.kind, fault.target))


def _services(random: Random, duration: float) -> Iterator[Fault]:
    def draw(kind: Kind, at: float) -> Fault:
        target = random.choice(MEMBERS)
        match kind:
            case Kind.SERVICE_FREEZE:
                # Sometimes longer than a session lasts, so that its partitions go to another member.
                lasts = random.choice((random.uniform(0.5, 4), random.uniform(11, 14)))
            case Kind.SERVICE_LOG_FULL:
                lasts = random.uniform(3, 6)
            case _:
                lasts = random.uniform(0, 3)
        return Fault(at, kind, target, _round(lasts))

    kinds = (
        *(Kind.SERVICE_KILL, Kind.SERVICE_KILL, Kind.SERVICE_FREEZE),
        *(Kind.SERVICE_TERMINATE, Kind.SERVICE_LOG_FULL),
    )
    return _lane(random, duration, kinds, draw, rest=(4.0, 10.0))


def _brokers(random: Random, duration: float) -> Iterator[Fault]:
    def draw(kind: Kind, at: float) -> Fault:
        target = random.choice(BROKERS)
        match kind:
            case Kind.BROKER_SLOW:
                return Fault(at, kind, target, _round(random.uniform(4, 10)), _round(random.uniform(0.02, 0.3)))
            case Kind.BROKER_KILL | Kind.BROKER_FREEZE:
                return Fault(at, kind, target, _round(random.uniform(1, 10)))
            case _:
                return Fault(at, kind, target, _round(random.uniform(0, 6)))

    kinds = (
        *(Kind.BROKER_KILL, Kind.BROKER_KILL, Kind.BROKER_FREEZE, Kind.BROKER_FREEZE),
        *(Kind.BROKER_CUT, Kind.BROKER_SLOW, Kind.BROKER_STALL),
    )
    return _lane(random, duration, kinds, draw, rest=(BROKER_REST_S, BROKER_REST_S + 10))


def _database(random: Random, duration: float) -> Iterator[Fault]:
    def draw(kind: Kind, at: float) -> Fault:
        match kind:
            case Kind.DATABASE_CUT | Kind.DATABASE_STALL:
                return Fault(at, kind, random.choice(MEMBERS), _round(random.uniform(0, 5)))
            case Kind.DATABASE_SLOW:
                delay_s = _round(random.uniform(0.005, 0.05))
                return Fault(at, kind, random.choice(MEMBERS), _round(random.uniform(3, 8)), delay_s)
            case _:
                return Fault(at, kind, "postgres", _round(random.uniform(0, 2)))

    kinds = (
        *(Kind.DATABASE_RESTART, Kind.DATABASE_ABORT, Kind.DATABASE_KILL, Kind.DATABASE_FREEZE),
        *(Kind.DATABASE_CUT, Kind.DATABASE_CUT, Kind.DATABASE_SLOW, Kind.DATABASE_STALL),
    )
    return _lane(random, duration, kinds, draw, rest=(DATABASE_REST_S, DATABASE_REST_S + 12))


def _records(random: Random, duration: float) -> Iterator[Fault]:
    def draw(kind: Kind, at: float) -> Fault:
        count = random.randint(20, 200) if kind is Kind.RECORDS_AGAIN else random.randint(3, 12)
        return Fault(at, kind, "", count=count, seed=random.getrandbits(32))

    return _lane(random, duration, (Kind.RECORDS_AGAIN, Kind.RECORDS_FOREIGN), draw, rest=(3.0, 9.0))


def _lane(
    random: Random,
    duration: float,
    kinds: tuple[Kind, ...],
    draw: Callable[[Kind, float], Fault],
    rest: tuple[float, float],
) -> Iterator[Fault]:
    """One fault after the other. Kinds are dealt like cards, so a long run has all of them and each in its share."""
    deck: list[Kind] = []
    at = WARM_UP_S + random.uniform(0, rest[0])
    while True:
        if not deck:
            deck = random.sample(kinds, len(kinds))
        fault = draw(deck.pop(), _round(at))
        if fault.ends > duration:
            return
        yield fault
        at = fault.ends + random.uniform(*rest)


def _round(seconds: float) -> float:
    # To the millisecond: a schedule is read by people too.
    return round(seconds, 3)
