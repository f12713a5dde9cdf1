"""Random commands for the life of a concern, and where they may lead.

The days, ids and words are few, so that sequences meet each other again: a state and a command give the same next
state however often they come together, and are worked out once. That lets millions of sequences be walked in minutes
through the code that the service runs:

    python -m tests.unit.intelligence.lives 1000000 --seed 7
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

from services.intelligence.domain.life import Life, moves
from services.intelligence.domain.machines import MACHINES
from services.intelligence.domain.standing import ExitCondition, Suspension
from shared.contracts.concerns import ClosureReason, ExitConditionOwner, ExitConditionState, Register
from shared.contracts.fields import Category
from shared.contracts.training import SuspensionReason
from shared.rules import NotInThisState, RuleBroken

DAYS = [date(2025, 1, 1) + timedelta(days=n) for n in range(2)]
REASONS = ["because", "  "]
#: More than two for one register would only make more of the same.
CONDITIONS = [UUID(int=n) for n in range(2)]

#: A command with all it needs.
Act = Callable[[Life], Life]


@dataclass(frozen=True, slots=True)
class Step:
    """One command, as it can be told to people."""

    name: str
    act: Act = field(compare=False)


def every_step() -> list[Step]:
    """Every command with every choice it has."""
    steps: list[Step] = []

    def add(name: str, act: Act) -> None:
        steps.append(Step(name, act))

    for why in REASONS:
        for day in DAYS:
            for category in Category:
                add(f"rate {category.name} {day} {why!r}", lambda life, c=category, d=day, w=why: life.rate(c, d, w))
            for reason in ClosureReason:
                add(f"close {reason} {day} {why!r}", lambda life, r=reason, d=day, w=why: life.close(r, d, w))
            add(f"merge {day} {why!r}", lambda life, d=day, w=why: life.merge(UUID(int=9), d, w))
            for grounds in (SuspensionReason.POOR_SUPERVISION, SuspensionReason.ROTATION_GAP):
                suspension = Suspension(UUID(int=8), grounds, day)
                add(f"suspend {grounds} {day} {why!r}", lambda life, s=suspension, w=why: life.suspend_training(s, w))
            add(f"restore {day} {why!r}", lambda life, d=day, w=why: life.restore_training(d, w))
            for number in CONDITIONS:
                for state in ExitConditionState:
                    add(
                        f"settle {number.int} {state} {day} {why!r}",
                        lambda life, n=number, s=state, d=day, w=why: life.settle_condition(n, s, d, w),
                    )
            for register in Register:
                _add_of_register(add, register, day, why)
        add(f"reopen {why!r}", lambda life, w=why: life.reopen(w))
        add(f"correct {why!r}", lambda life, w=why: life.correct(w))
        add(f"take over {why!r}", lambda life, w=why: life.take_over(w))
    return steps


def _add_of_register(add: Callable[[str, Act], None], register: Register, day: date, why: str) -> None:
    told = f"{register} {day} {why!r}"
    add(f"escalate {told}", lambda life: life.escalate(register, day, why))
    for conditionally in (False, True):
        name = f"de-escalate {conditionally} {told}"
        add(name, lambda life, c=conditionally: life.de_escalate(register, day, why, conditionally=c))
    add(f"plan {told}", lambda life: life.plan_check(register, day, why))
    add(f"overdue {told}", lambda life: life.fall_overdue(register, day))
    for effective in (False, True):
        add(f"check {effective} {told}", lambda life, e=effective: life.record_check(register, day, why, effective=e))
    for number in CONDITIONS:
        for due in DAYS:
            condition = ExitCondition(number, register, "x", ExitConditionOwner.QUALITY_TEAM, day, due)
            add(f"condition {number.int} {due} {told}", lambda life, c=condition: _set_once(life, c, why))


def _set_once(life: Life, condition: ExitCondition, why: str) -> Life:
    """Ids are given out once: a second condition of the same id is not a command that there can be."""
    if life.condition(condition.id) is not None:
        raise NotInThisState("is there")
    return life.set_condition(condition, why)


#: Every transition that is declared: the machine, from, to.
_DECLARED = {
    *((name, source, target) for name, machine in MACHINES.items() for source, _, target, _ in machine.table()),
    # A condition begins open.
    ("exit condition", None, ExitConditionState.OPEN),
}


def undeclared_moves(before: Life, after: Life) -> list[str]:
    """The transitions between two states that stand in no machine's table."""
    return [
        f"{move['machine']} went from {move['from']} to {move['to']}"
        for move in moves(before, after)
        if (move["machine"], move["from"], move["to"]) not in _DECLARED
    ]


class OutsideTheMachine(AssertionError):
    """A sequence of commands led to a state that may not be."""


@dataclass(slots=True, eq=False)
class _Place:
    """A state, and where the commands lead that were tried on it; to None where one is refused."""

    life: Life
    ways: dict[int, "_Place | None"] = field(default_factory=dict)
    #: The commands that were accepted.
    open: list[int] = field(default_factory=list)


#: States that are kept to be met again, at most: beyond, all are forgotten and the walk begins to learn anew.
_MOST_PLACES = 200_000


@dataclass(slots=True)
class Walker:
    """Walks random sequences and holds every state they reach against what may not be."""

    seed: int
    steps: list[Step] = field(default_factory=every_step)
    sequences: int = 0
    commands: int = 0
    accepted: int = 0
    #: States that were judged. One that was forgotten and met again counts again.
    states: int = 0
    _places: dict[Life, _Place] = field(default_factory=dict)

    def walk(self, sequences: int, longest: int = 30) -> None:
        """Walk so many sequences of 1 to ``longest`` commands. Raises OutsideTheMachine with the way there.

        Most commands are given a reason and half of them are drawn from those that were accepted before, so that
        sequences come to the far ends of the machine and not only to its refusals.
        """
        chance = random.Random(self.seed).random
        with_reason = [number for number, step in enumerate(self.steps) if "'because'" in step.name]
        for _ in range(sequences):
            if len(self._places) > _MOST_PLACES:
                self._places.clear()
            place, way = self._place(Life(), []), list[int]()
            for _ in range(1 + int(chance() * longest)):
                draw = chance()
                if draw < 0.5 and place.open:
                    number = place.open[int(draw * 2 * len(place.open))]
                elif draw > 0.95:
                    number = int((draw - 0.95) * 20 * len(self.steps))
                else:
                    number = with_reason[int(chance() * len(with_reason))]
                self.commands += 1
                after = self._after(place, number, way)
                if after is not None:
                    self.accepted += 1
                    way.append(number)
                    place = after
            self.sequences += 1

    def _after(self, place: _Place, number: int, way: list[int]) -> _Place | None:
        try:
            return place.ways[number]
        except KeyError:
            pass
        try:
            life = self.steps[number].act(place.life)
        except (NotInThisState, RuleBroken):
            after = None
        else:
            if undeclared := undeclared_moves(place.life, life):
                raise OutsideTheMachine(f"{undeclared}, after\n  {self._told([*way, number])}")
            after = self._place(life, [*way, number])
            place.open.append(number)
        place.ways[number] = after
        return after

    def _place(self, life: Life, way: list[int]) -> _Place:
        known = self._places.get(life)
        if known is not None:
            return known
        if faults := life.faults():
            raise OutsideTheMachine(f"{', '.join(faults)}, after\n  {self._told(way)}")
        self.states += 1
        place = self._places[life] = _Place(life)
        return place

    def _told(self, way: list[int]) -> str:
        return "\n  ".join(self.steps[number].name for number in way) + f"\n(seed {self.seed})"


def main() -> None:
    """Walk as many sequences as are asked for, from a seed, and say what was seen."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("sequences", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    walker = Walker(asked.seed)
    walker.walk(asked.sequences)
    print(
        f"seed {walker.seed}: {walker.sequences} sequences of {walker.commands} commands, {walker.accepted} of them "
        f"accepted; {walker.states} states were judged, none outside the machine"
    )


if __name__ == "__main__":
    main()
