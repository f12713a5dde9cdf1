"""Start and stop operating-system processes without ever touching one that isn't ours.

A process is remembered by its id *and* the moment it started: ids are used again, and a stack started from
one shell is stopped from another, possibly after a reboot.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.errors import ProcessFailed

#: Seconds between two looks at a process or a port that is being waited for.
POLL_INTERVAL = 0.03

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ProcessId:
    """One run of one process, also after its id has gone to another process."""

    pid: int
    started: str

    def is_running(self) -> bool:
        """Whether exactly this process still runs (a zombie doesn't)."""
        return _started(self.pid) == self.started

    def psutil(self) -> psutil.Process | None:
        """A handle for signals, or None once the process has ended."""
        try:
            handle = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return None
        return handle if self.is_running() else None


def _started(pid: int) -> str | None:
    """What tells this run of `pid` from any other; None if it doesn't run."""
    if sys.platform == "linux":
        # Start in clock ticks since boot, with the boot's id: unlike a wall-clock time it doesn't move when
        # the machine's clock is set.
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        state, *rest = stat.rpartition(")")[2].split()
        threads, start = int(rest[16]), rest[18]
        # The main thread of a killed process may be gone while others still hold its ports and files.
        return None if state in "ZX" and threads <= 1 else f"{boot}/{start}"
    try:
        handle = psutil.Process(pid)
        return None if handle.status() == psutil.STATUS_ZOMBIE else f"{handle.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


@dataclass(frozen=True)
class Command:
    """How a process is started."""

    name: str
    argv: Sequence[str]
    log: Path
    #: Added to this process's own environment.
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    #: The account to run as, for the one program that refuses to be root.
    user: str | None = None
    #: The signal that asks it to end in good order.
    stop_signal: signal.Signals = signal.SIGTERM
    #: Seconds it may take over that before it is killed.
    stop_grace: float = 10.0
    #: On Linux, end it as soon as the thread that started it ends, however that came about.
    die_with_parent: bool = False


@dataclass
class RunningProcess:
    """A process started by `start`."""

    command: Command
    id: ProcessId
    popen: subprocess.Popen[bytes]
    #: Length of the log before it started, in bytes.
    log_start: int = 0

    @property
    def name(self) -> str:
        return self.command.name

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.popen.poll()

    def stop(self) -> None:
        """End it in good order, and by force when that takes longer than its grace."""
        stop(self.id, self.command.stop_signal, self.command.stop_grace)
        self.popen.wait()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL), with whatever it has started itself."""
        stop(self.id, signal.SIGKILL, 0)
        self.popen.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, for example SIGSTOP and SIGCONT for a process that hangs."""
        self.popen.send_signal(number)


def start(command: Command) -> RunningProcess:
    """Start `command` in a session of its own, so that a Ctrl-C in the terminal doesn't reach it.

    Output is appended to `command.log`. Raises ProcessFailed if the program can't be started at all.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **(command.env or {})}
    account: dict[str, object] = {}
    if command.user is not None:
        account = {"user": command.user, "group": group_of(command.user), "extra_groups": []}
    with command.log.open("ab") as log:
        log_start = log.tell()
        try:
            popen = subprocess.Popen(
                list(command.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=command.cwd,
                start_new_session=True,
                preexec_fn=_end_with_parent(command.stop_signal) if command.die_with_parent else None,  # noqa: PLW1509
                **account,  # pyright: ignore[reportArgumentType, reportCallIssue]
            )
        except OSError as error:
            raise ProcessFailed(f"{command.name} can't be started ({error}).") from error
    return RunningProcess(command, ProcessId(popen.pid, _started(popen.pid) or "ended at once"), popen, log_start)


def current() -> ProcessId:
    """This process itself."""
    return ProcessId(os.getpid(), _started(os.getpid()) or "unknown")


def group_of(user: str) -> int:
    """The id of the main group of account `user`."""
    import pwd

    return pwd.getpwnam(user).pw_gid


def _end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return ask_the_kernel


def stop(process: ProcessId, number: signal.Signals, grace: float) -> None:
    """Send `number` to a process and wait `grace` seconds; then kill it and all it started.

    Does nothing if the process has ended, even if its id now belongs to another one.
    """
    _stop([(process, number, grace)])


def stop_together(processes: Sequence[tuple[ProcessId, Command]]) -> None:
    """End processes that need no order among them: all are asked at once, and each is given its own grace."""
    _stop([(one, command.stop_signal, command.stop_grace) for one, command in processes])


def _stop(targets: Sequence[tuple[ProcessId, signal.Signals, float]]) -> None:
    asked: list[tuple[ProcessId, psutil.Process, list[psutil.Process], float]] = []
    for one, number, grace in targets:
        handle = one.psutil()
        if handle is None:
            continue
        # Remembered before it ends: afterwards nothing says that they were its children.
        descendants: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            descendants = handle.children(recursive=True)
        _send(handle, number)
        asked.append((one, handle, descendants, time.monotonic() + grace))
    for one, handle, descendants, deadline in asked:
        while one.is_running() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
        if one.is_running():
            _send(handle, signal.SIGKILL)
        # psutil knows a descendant by its start time too, so a reused id is not signalled.
        for descendant in descendants:
            _send(descendant, signal.SIGKILL)
        while one.is_running():
            time.sleep(POLL_INTERVAL)


def _send(handle: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        handle.send_signal(number)


def wait_until(ready: Callable[[], bool], process: RunningProcess, *, timeout: float) -> None:
    """Wait until `ready()` holds.

    Raises ProcessFailed when the process ends first or `timeout` seconds have passed.
    """
    deadline = time.monotonic() + timeout
    while not ready():
        code = process.exit_code()
        if code is not None:
            raise ProcessFailed(f"{process.name} ended with exit code {code} while starting{_last_words(process)}.")
        if time.monotonic() > deadline:
            raise ProcessFailed(f"{process.name} was not ready after {timeout:.0f} s{_last_words(process)}.")
        time.sleep(POLL_INTERVAL)


def _last_words(running: RunningProcess) -> str:
    """The last line it logged and where to read on, as the end of a sentence."""
    log = running.command.log
    lines = log.read_bytes()[running.log_start :].decode(errors="replace").strip().splitlines()
    said = f', having said "{lines[-1].strip()[:200]}"' if lines else ""
    return f"{said} (log: {log})"
