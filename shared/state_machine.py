"""State machines: all that may happen to a thing, declared in one table and checked whenever it happens.

A machine is data: its states, and transitions that say by which command, from which states, to which one, under which
guards, and whether a reason must be given. It is checked when it is declared, so that a table that contradicts itself
or leads nowhere does not even import. A machine is pure: it holds no state of anything and does no I/O.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from shared.rules import NotInThisState, RuleBroken

S = TypeVar("S", bound=StrEnum)
T = TypeVar("T")

#: Judges what a machine is about: None if the transition may take place, else why not and what would mend it, as the
#: end of a sentence.
Guard = Callable[[T], str | None]


class BadMachine(Exception):
    """A machine was declared that contradicts itself. The message says where; mend the declaration."""


@dataclass(frozen=True, slots=True)
class Transition(Generic[S, T]):
    """One row of a machine's table."""

    command: StrEnum
    sources: Sequence[S]
    #: None where the command changes something else and the state stays.
    target: S | None
    guards: Sequence[Guard[T]] = ()
    #: False only where a clock or another machine brings it about, and the history says so.
    needs_reason: bool = True


class Machine(Generic[S, T]):
    """The checked table of transitions of one kind of thing. ``T`` is what its guards judge."""

    def __init__(
        self,
        name: str,
        states: type[S],
        *,
        initial: S,
        transitions: Iterable[Transition[S, T]],
        final: Iterable[S] = (),
        words: Mapping[StrEnum, str] | None = None,
    ) -> None:
        """``name`` is how messages call the thing; ``final`` are the states that nothing leads out of, on purpose.

        ``words`` say commands, as what follows “to”, and states in messages; what they leave out is said by its name.

        Raises BadMachine if a command could lead two ways from one state, if a state cannot be reached, or if one that
        is not final cannot be left or a final one can.
        """
        self.name = name
        self.states = states
        self.initial = initial
        self.final = frozenset(final)
        self._words = dict(words or {})
        self._rows: dict[tuple[S, StrEnum], Transition[S, T]] = {}
        for row in transitions:
            for source in row.sources:
                if (source, row.command) in self._rows:
                    raise BadMachine(f"{name}: {row.command} leads two ways from {source}; declare it once")
                self._rows[source, row.command] = row
        self._check()

    def move(self, state: S, command: StrEnum, about: T, reason: str | None) -> S:
        """The state after a command.

        Raises NotInThisState if the command does not fit the state or a guard says no, RuleBroken without a reason
        where one is needed.
        """
        row = self._rows.get((state, command))
        if row is None:
            raise NotInThisState(self._refusal(state, command))
        for guard in row.guards:
            if (why_not := guard(about)) is not None:
                raise NotInThisState(f"{self.name} cannot {self._said(command)}: {why_not}.")
        if row.needs_reason and not (reason and reason.strip()):
            raise RuleBroken("rationale", f"is needed to {_words(command)}; say why")
        return state if row.target is None else row.target

    def commands(self, state: S) -> list[StrEnum]:
        """The commands that fit a state, whatever their guards may say, in the order of the table."""
        return [command for source, command in self._rows if source == state]

    def table(self) -> Iterator[tuple[S, StrEnum, S, bool]]:
        """Every transition: from, command, to, and whether a reason is needed."""
        for (source, command), row in self._rows.items():
            yield source, command, source if row.target is None else row.target, row.needs_reason

    def _refusal(self, state: S, command: StrEnum) -> str:
        sources = [source for source, other in self._rows if other == command]
        if not sources:
            return f"{self.name} knows no command {_words(command)}."
        fitting = " or ".join(map(self._said, sources))
        return f"{self.name} is {self._said(state)}; to {self._said(command)} it has to be {fitting}."

    def _said(self, name: StrEnum) -> str:
        return self._words.get(name) or _words(name)

    def _check(self) -> None:
        left: Mapping[S, set[S]] = {state: set() for state in self.states}
        for source, _, target, _ in self.table():
            left[source].add(target)
        reached, pending = {self.initial}, [self.initial]
        while pending:
            for target in left[pending.pop()] - reached:
                reached.add(target)
                pending.append(target)
        if lost := [state for state in self.states if state not in reached]:
            raise BadMachine(f"{self.name}: nothing leads to {', '.join(lost)}; declare a transition or drop the state")
        for state in self.states:
            if (state in self.final) != (not left[state]):
                raise BadMachine(f"{self.name}: {state} is {'final but left' if left[state] else 'never left'}")


def _words(name: str) -> str:
    return name.replace("_", " ")
