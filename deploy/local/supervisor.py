"""Keeps account of a stack's processes in a file, so that any shell can look at them, restart and stop them."""

from __future__ import annotations

import contextlib
import fcntl
import signal
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.local import interrupts, process
from deploy.local.errors import UserError
from deploy.local.secret_values import write_private

FILE_NAME = "stack.json"


class Role(StrEnum):
    """What a process is to the others, in the order in which they are stopped."""

    #: First, so that what they still have to send finds its broker and database.
    SERVICE = "service"
    BROKER = "broker"
    MAIL = "mail"
    DATABASE = "database"


class Entry(BaseModel):
    """One process, and all that it takes to start it again. Holds secrets in `command.env`."""

    model_config = ConfigDict(frozen=True)

    role: Role
    id: process.ProcessId
    command: process.Command

    @property
    def name(self) -> str:
        return self.command.name

    def is_running(self) -> bool:
        return self.id.is_running()


class Broker(BaseModel):
    """The broker that the stack runs on."""

    model_config = ConfigDict(frozen=True)

    kind: str
    title: str
    reason: str
    bootstrap: str
    brokers: int
    #: What a service needs in its environment for this kind of broker.
    client_environment: dict[str, str]


class State(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(frozen=True)

    port_base: int
    #: Who is starting the stack; None once it is ready.
    starter: process.ProcessId | None = None
    broker: Broker | None = None
    processes: tuple[Entry, ...] = ()

    def entry(self, name: str) -> Entry:
        """The process called `name`. Raises UserError naming those there are."""
        for one in self.processes:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.processes) or "none"
        raise UserError(f"There is no process {name!r} in this stack; there are: {names}.")


class Supervisor:
    """The processes of the stack whose state is kept in `folder`.

    The file is the truth and not this object: two shells may act on one stack.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._lock = folder / "stack.lock"

    def state(self) -> State | None:
        """What is known of the stack; None if there is none. Raises UserError if the file makes no sense."""
        try:
            return State.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise UserError(
                f"{self._file} can't be read ({type(error).__name__}): stop the processes it named and remove it."
            ) from None

    def begin(self, state: State) -> None:
        """Take the folder for a new stack. Raises UserError if one still runs there."""
        with self._locked():
            known = self.state()
            if known is not None and known.starter is not None and known.starter.is_running():
                raise UserError(
                    f"Another command (process {known.starter.pid}) is starting a stack in {self._file.parent}: "
                    f"wait for it, or set QC_DATA_DIR and QC_PORT_BASE for another one beside it."
                )
            running = [one.name for one in known.processes if one.is_running()] if known else []
            if running:
                raise UserError(
                    f"A stack is already running in {self._file.parent} ({', '.join(running)}): "
                    f"stop it with `qc down`, or set QC_DATA_DIR and QC_PORT_BASE for another one beside it."
                )
            self._save(state)

    def update(self, change: Callable[[State], State]) -> State:
        """Change what is known of the stack. Raises UserError if it was stopped meanwhile."""
        with self._locked():
            state = self.state()
            if state is None:
                raise UserError(f"The stack in {self._file.parent} was stopped by another command.")
            changed = change(state)
            self._save(changed)
            return changed

    def start(self, command: process.Command, role: Role) -> process.RunningProcess:
        """Start a process and put it on record; one of the same name on record must have ended."""
        # Between the start and the record nothing may interrupt, or nobody would know of the process.
        with interrupts.held():
            running = process.start(command)
            entry = Entry(role=role, id=running.id, command=command)
            try:
                self.update(lambda state: _with(state, entry))
            except BaseException:
                running.kill()
                raise
        return running

    def stop_all(self, report: Callable[[str], None] = lambda name: None) -> None:
        """Stop every process on record that still runs, role by role, and forget the stack."""
        with interrupts.held():
            # Until nothing runs: another shell may start one process again while this one stops the others.
            while (state := self.state()) is not None:
                for role in Role:
                    entries = [one for one in reversed(state.processes) if one.role is role and one.is_running()]
                    process.stop_together([(one.id, one.command) for one in entries])
                    for one in entries:
                        report(one.name)
                with self._locked():
                    known = self.state()
                    if known is None or not any(one.is_running() for one in known.processes):
                        self._file.unlink(missing_ok=True)

    def kill(self, name: str) -> None:
        """End one process as a crash would, and leave it on record. Raises UserError if it isn't on record."""
        process.stop(self.known().entry(name).id, signal.SIGKILL, 0)

    def stop(self, name: str) -> None:
        """End one process in good order, and leave it on record. Raises UserError if it isn't on record."""
        entry = self.known().entry(name)
        process.stop(entry.id, entry.command.stop_signal, entry.command.stop_grace)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one process. Raises UserError if it isn't on record or has ended."""
        handle = self.known().entry(name).id.psutil()
        if handle is None:
            raise UserError(f"{name} is not running: start it with `qc restart {name}`.")
        handle.send_signal(number)

    def known(self) -> State:
        """What is known of the stack. Raises UserError if there is none."""
        state = self.state()
        if state is None:
            raise UserError(f"No stack is running in {self._file.parent}: start one with `qc up`.")
        return state

    def _save(self, state: State) -> None:
        write_private(self._file, state.model_dump(mode="json"))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _with(state: State, entry: Entry) -> State:
    others = tuple(one for one in state.processes if one.name != entry.name)
    return state.model_copy(update={"processes": (*others, entry)})
