"""Carries out a schedule of faults, and heals everything at the end."""

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

from deploy.local.errors import ProcessFailed, UserError
from deploy.local.stack import DATABASE
from tests.chaos.cluster import FULL_DISK, Background, Cluster, moment_file
from tests.chaos.proxy import FAIR, Proxy, Weather
from tests.chaos.records import Intruder
from tests.chaos.schedule import Fault, Kind

#: How long a broker that came back may take until its replicas have caught up, in seconds.
_CATCH_UP_S = 45.0

#: How long a killed database may take until it can be started again, in seconds.
_DATABASE_S = 40.0


#: How long a process may take until it comes to the moment at which it is to be struck, in seconds.
_STRIKE_S = 20.0


@dataclass(slots=True)
class Done:
    """What became of a fault."""

    fault: Fault
    #: Seconds after the beginning of the run at which it began and was undone.
    began: float = 0.0
    ended: float = 0.0
    #: Why it was left out, or what was noticed.
    note: str | None = None
    was_left_out: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "fault": self.fault.as_dict()}


@dataclass
class Nemesis:
    """Breaks a cluster as a schedule says.

    Each lane of the schedule has a thread of its own, because undoing one fault may take its time while another
    begins. The threads live until `close`: processes end with the thread that started them.
    """

    cluster: Cluster
    background: Background
    intruder: Intruder
    faults: Sequence[Fault]
    duration: float
    done: list[Done] = field(default_factory=list[Done])
    #: Errors that ended a lane: the suite's own, not the system's.
    errors: list[BaseException] = field(default_factory=list[BaseException])

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._began = time.monotonic()
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._running: list[Future[None]] = []

    def begin(self) -> None:
        """Begin; times count from now."""
        self._began = time.monotonic()
        for lane in sorted({_lane(fault) for fault in self.faults}):
            self._lanes[lane] = ThreadPoolExecutor(1, thread_name_prefix=f"chaos {lane}")
            own = [fault for fault in self.faults if _lane(fault) == lane]
            self._running.append(self._lanes[lane].submit(self._play, own))

    @property
    def counts(self) -> Counter[str]:
        """How many faults of each kind were carried out."""
        return Counter(one.fault.kind.value for one in self.done if not one.was_left_out)

    def abandon(self) -> None:
        """Begin nothing more and wait for nothing more: the cluster is about to be stopped."""
        self._stop.set()
        self._abandoned.set()

    def stop(self) -> None:
        """Begin no more faults; those under way are undone now. Waits for that."""
        self._stop.set()
        for future in self._running:
            if (error := future.exception()) is not None:
                self.errors.append(error)

    def heal(self) -> None:
        """Let everything run and every way be open, whatever is broken. Waits until all members are ready."""
        self._call(self._fair_weather)
        self.cluster.full_logs.clear()
        state = self.cluster.state()
        assert state is not None
        for name in (DATABASE, *self.cluster.broker_proxies, *self.cluster.members):
            entry = self.cluster.entry(name)
            if not entry.is_running():
                self.cluster.begin_again(name)
            else:
                _signal_all(self.cluster, name, signal.SIGCONT)
        self._catch_up()
        for name in self.cluster.members:
            self.cluster.wait_ready(name, within=90)

    def close(self) -> None:
        """End the lanes. The processes they started end with them, so the cluster is stopped first."""
        self.abandon()
        for lane in self._lanes.values():
            lane.shutdown(wait=True, cancel_futures=True)

    # One lane

    def _play(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            done = Done(fault)
            if not self._until(fault.at):
                return
            late = self._now - fault.at
            if late + fault.ends > self.duration + 5:
                self.done.append(Done(fault, note=f"{late:.0f} s late, and the run is over", was_left_out=True))
                continue
            done.began = self._now
            undo = self._inflict(fault, done)
            self.done.append(done)
            self._until(done.began + fault.lasts)
            undo()
            done.ended = self._now

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def _until(self, moment: float) -> bool:
        """Wait for a moment; False if the nemesis is to stop."""
        return not self._stop.wait(max(0.0, moment - self._now))

    def _inflict(self, fault: Fault, done: Done) -> Callable[[], None]:
        """Begin a fault; returns what undoes it."""
        cluster, target = self.cluster, fault.target
        match fault.kind:
            case Kind.SERVICE_KILL:
                cluster.kill(target)
                return lambda: cluster.begin_again(target)
            case Kind.SERVICE_TERMINATE:
                began = time.monotonic()
                cluster.terminate(target)
                done.note = f"ended after {time.monotonic() - began:.1f} s"
                return lambda: cluster.begin_again(target)
            case Kind.SERVICE_LOG_FULL:
                return self._fill_log(target, done)
            case Kind.SERVICE_FREEZE_IN_BATCH:
                self._strike(target)
                return lambda: _signal_all(cluster, target, signal.SIGCONT)
            case Kind.SERVICE_KILL_IN_BATCH:
                self._strike(target)
                return lambda: cluster.begin_again(target)
            case Kind.BROKER_KILL:
                cluster.kill(target)
                return lambda: self._bring_back(target)
            case Kind.SERVICE_FREEZE | Kind.BROKER_FREEZE | Kind.DATABASE_FREEZE:
                return self._freeze(target)
            case Kind.DATABASE_RESTART:
                cluster.terminate(target)
                return self._start_database
            case Kind.DATABASE_ABORT:
                return self._end_database(signal.SIGQUIT)
            case Kind.DATABASE_KILL:
                return self._end_database(signal.SIGKILL)
            case Kind.BROKER_CUT | Kind.BROKER_SLOW | Kind.BROKER_STALL:
                return self._disturb(cluster.broker_proxies[target], fault)
            case Kind.DATABASE_CUT | Kind.DATABASE_SLOW | Kind.DATABASE_STALL:
                return self._disturb(cluster.database_proxies[target], fault)
            case Kind.RECORDS_AGAIN:
                self.intruder.put_again(fault.count, fault.seed)
            case Kind.RECORDS_FOREIGN:
                self.intruder.put_foreign(fault.count, fault.seed)
        return lambda: None

    # Processes

    def _freeze(self, target: str) -> Callable[[], None]:
        _signal_all(self.cluster, target, signal.SIGSTOP)

        def thaw() -> None:
            _signal_all(self.cluster, target, signal.SIGCONT)
            if target in self.cluster.broker_proxies:
                self._catch_up()

        return thaw

    def _strike(self, target: str) -> None:
        """Have a process strike itself, and wait until it has. Raises TimeoutError if it never comes to that moment."""
        entry = self.cluster.entry(target)
        moment_file(self.cluster.options.data_dir, target).touch()
        deadline = time.monotonic() + _STRIKE_S
        while (handle := entry.id.psutil()) is not None and handle.status() != psutil.STATUS_STOPPED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{target} has not come to the moment at which it was to be struck")
            if self._abandoned.wait(0.02):
                return

    def _bring_back(self, broker: str) -> None:
        self.cluster.begin_again(broker)
        self._catch_up()

    def _catch_up(self) -> None:
        """Wait until every partition has all its replicas: before that no other broker may go."""
        deadline = time.monotonic() + _CATCH_UP_S
        while self.cluster.replicas_behind() != 0 and time.monotonic() < deadline:
            if self._abandoned.wait(0.5):
                return

    def _fill_log(self, target: str, done: Done) -> Callable[[], None]:
        if not FULL_DISK.exists():
            done.note, done.was_left_out = f"this system has no {FULL_DISK}", True
            return lambda: None
        self.cluster.kill(target)
        self.cluster.full_logs.add(target)
        self.cluster.begin_again(target)

        def make_room() -> None:
            self.cluster.kill(target)
            self.cluster.full_logs.discard(target)
            self.cluster.begin_again(target)

        return make_room

    def _end_database(self, number: signal.Signals) -> Callable[[], None]:
        self.cluster.signal(DATABASE, number)
        while self.cluster.entry(DATABASE).is_running():
            time.sleep(0.02)
        return self._start_database

    def _start_database(self) -> None:
        """Start it; what its former self has left behind has to end first."""
        deadline = time.monotonic() + _DATABASE_S
        while True:
            try:
                self.cluster.restart(DATABASE)
            except ProcessFailed:
                if time.monotonic() > deadline or self._abandoned.wait(0.3):
                    raise
            else:
                return

    # Ways

    def _disturb(self, proxy: Proxy, fault: Fault) -> Callable[[], None]:
        weather = {
            "cut": Weather(refuses=True),
            "slow": Weather(delay_s=fault.delay_s),
            "stall": Weather(stalls=True),
        }[fault.kind.rpartition(".")[2]]

        def begin() -> None:
            proxy.set_weather(weather)
            if weather.refuses:
                proxy.cut()

        self._call(begin)
        return lambda: self._call(lambda: proxy.set_weather(FAIR))

    def _fair_weather(self) -> None:
        for proxy in (*self.cluster.database_proxies.values(), *self.cluster.broker_proxies.values()):
            proxy.set_weather(FAIR)

    def _call(self, function: Callable[[], None]) -> None:
        self.background.call(function)


def _lane(fault: Fault) -> str:
    return fault.kind.partition(".")[0]


def _signal_all(cluster: Cluster, name: str, number: signal.Signals) -> None:
    """Send a signal to a process and to all it has started."""
    with contextlib.suppress(psutil.NoSuchProcess, UserError):
        handle = cluster.entry(name).id.psutil()
        if handle is None:
            return
        handle.send_signal(number)
        for child in handle.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)
