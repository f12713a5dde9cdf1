"""The life of a concern: what each command makes of it, by its state machines and the order of its days."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from services.intelligence.domain import machines
from services.intelligence.domain.machines import Command
from services.intelligence.domain.standing import (
    CheckState,
    ExitCondition,
    Stage,
    Standing,
    State,
    Suspension,
    is_unsettled,
)
from shared.contracts.concerns import ClosureReason, ExitConditionState, Register, RegisterState
from shared.contracts.fields import Category
from shared.contracts.training import TrainingBasis
from shared.rules import NotInThisState, RuleBroken

#: Most exit conditions of one concern, settled ones among them: more could not be followed up.
MOST_CONDITIONS = 100

#: What somebody finds has become of an exit condition, as a command.
_SETTLING = {
    ExitConditionState.MET: Command.MEET,
    ExitConditionState.MISSED: Command.MISS,
    ExitConditionState.WITHDRAWN: Command.WITHDRAW,
}


@dataclass(frozen=True, slots=True)
class Life(State):
    """The state of one concern. Every method gives the state after a command, or raises and changes nothing.

    They raise NotInThisState for what does not fit the state, and RuleBroken, naming the field, for what a rule
    forbids. ``why`` is the reason in the words of whoever does it.
    """

    # The concern itself ----------------------------------------------------------------------------------------------

    def rate(self, category: Category, on: date, why: str) -> "Life":
        """Confirm a category."""
        if self.suspension is not None and category is not Category.TRAINING_SUSPENDED:
            raise RuleBroken("category", "stays 4 while training is suspended; restore it before it is rated lower")
        significant = category >= machines.SIGNIFICANT
        return replace(
            self,
            stage=machines.CONCERN.move(self.stage, Command.RATE, self, why),
            category=category,
            significant_since=(self.significant_since or on) if significant else None,
        )

    def correct(self, why: str) -> "Life":
        """Put its scope right; the state stays."""
        return replace(self, stage=machines.CONCERN.move(self.stage, Command.CORRECT, self, why))

    def take_over(self, why: str) -> "Life":
        """Go on in the place of another concern, or of a proposal; the state stays."""
        return replace(self, stage=machines.CONCERN.move(self.stage, Command.TAKE_OVER, self, why))

    def close(self, reason: ClosureReason, on: date, why: str) -> "Life":
        """Close it on this office's register. The national register and enhanced monitoring may go on."""
        stage = machines.CONCERN.move(self.stage, Command.CLOSE, self, why)
        _require_not_before("closed_on", on, self.standing(Register.REGIONAL_REGISTER).since)
        return replace(self, stage=stage, closed_on=on, closure_reason=reason)

    def merge(self, into: UUID, on: date, why: str) -> "Life":
        """Let another concern go on in its place."""
        stage = machines.CONCERN.move(self.stage, Command.MERGE, self, why)
        return replace(self, stage=stage, closed_on=on, closure_reason=ClosureReason.MERGED, merged_into=into)

    def reopen(self, why: str) -> "Life":
        """Open it again. Its category stays until it is rated anew."""
        stage = machines.CONCERN.move(self.stage, Command.REOPEN, self, why)
        return replace(self, stage=stage, closed_on=None, closure_reason=None)

    # The registers ---------------------------------------------------------------------------------------------------

    def escalate(self, register: Register, on: date, why: str) -> "Life":
        """Put it on a register. What was found effective before no longer counts."""
        standing = self.standing(register)
        state = machines.REGISTER.move(standing.state, Command.ESCALATE, (self, standing), why)
        check = machines.CHECK.move(standing.check, Command.LAPSE, (self, standing), None)
        _require_not_before("escalated_on", on, standing.since)
        return self._with(Standing(register, state, on, check))

    def de_escalate(self, register: Register, on: date, why: str, *, conditionally: bool = False) -> "Life":
        """Take it off a register, for good or on the conditions that are still open."""
        standing = self.standing(register)
        command = Command.DE_ESCALATE_CONDITIONALLY if conditionally else Command.DE_ESCALATE
        state = machines.REGISTER.move(standing.state, command, (self, standing), why)
        _require_not_before("de_escalated_on", on, standing.since)
        _require_not_before("de_escalated_on", on, standing.checked_on)
        return self._with(replace(standing, state=state, since=on))

    def plan_check(self, register: Register, due_on: date, why: str) -> "Life":
        """Plan the check of whether what was done is effective; an earlier result no longer counts."""
        standing = self.standing(register)
        check = machines.CHECK.move(standing.check, Command.PLAN_CHECK, (self, standing), why)
        return self._with(replace(standing, check=check, check_due_on=due_on, checked_on=None))

    def record_check(self, register: Register, on: date, why: str, *, effective: bool) -> "Life":
        """Record what the check found."""
        standing = self.standing(register)
        command = Command.FIND_EFFECTIVE if effective else Command.FIND_NOT_EFFECTIVE
        check = machines.CHECK.move(standing.check, command, (self, standing), why)
        # What was found before it was put there is no ground for taking it off.
        _require_not_before("checked_on", on, standing.since)
        return self._with(replace(standing, check=check, checked_on=on))

    def fall_overdue(self, register: Register, today: date) -> "Life":
        """Note that the day of a check has passed."""
        standing = self.standing(register)
        check = machines.CHECK.move(standing.check, Command.FALL_OVERDUE, (self, standing), None)
        if standing.check_due_on is None or standing.check_due_on >= today:
            raise NotInThisState(f"The effectiveness check is due on {standing.check_due_on}, which has not passed.")
        return self._with(replace(standing, check=check))

    # Exit conditions -------------------------------------------------------------------------------------------------

    def set_condition(self, condition: ExitCondition, why: str) -> "Life":
        """Make leaving a register depend on a condition."""
        standing = self.standing(condition.register)
        machines.REGISTER.move(standing.state, Command.SET_CONDITION, (self, standing), why)
        _require_not_before("due_on", condition.due_on, condition.set_on)
        if len(self.conditions) >= MOST_CONDITIONS:
            raise NotInThisState(f"The concern has {MOST_CONDITIONS} exit conditions; more cannot be followed up.")
        return replace(self, conditions=(*self.conditions, condition))

    def settle_condition(self, condition_id: UUID, state: ExitConditionState, on: date, why: str) -> "Life":
        """Say that a condition was met, missed or withdrawn.

        One that is missed undoes an earlier finding that what was done is effective. The last one that is settled
        takes a concern that was removed conditionally off the register for good.
        """
        condition = self.condition(condition_id)
        if condition is None:
            raise RuleBroken("condition_id", f"the concern has no exit condition {condition_id}")
        if state not in _SETTLING:
            raise RuleBroken("state", "is what it was; say met, missed or withdrawn")
        settled = machines.CONDITION.move(condition.state, _SETTLING[state], condition, why)
        if state is ExitConditionState.MISSED and on <= condition.due_on:
            raise RuleBroken("state", f"cannot be missed before {condition.due_on} has passed; withdraw it instead")
        _require_not_before("settled_on", on, condition.set_on)
        conditions = tuple(
            replace(one, state=settled, settled_on=on) if one.id == condition_id else one for one in self.conditions
        )
        return replace(self, conditions=conditions)._after_settling(condition.register, settled, on)

    def _after_settling(self, register: Register, settled: ExitConditionState, on: date) -> "Life":
        standing = self.standing(register)
        view = (self, standing)
        if settled is ExitConditionState.MISSED and standing.state is RegisterState.ON:
            check = machines.CHECK.move(standing.check, Command.LAPSE, view, None)
            return self._with(replace(standing, check=check, check_due_on=None, checked_on=None))
        if standing.state is RegisterState.REMOVED_CONDITIONALLY and not any(
            is_unsettled(one) for one in self.conditions_of(register)
        ):
            state = machines.REGISTER.move(standing.state, Command.FULFIL, view, None)
            # A condition may have been met before the conditional removal, and that noted after it.
            return self._with(replace(standing, state=state, since=max(on, standing.since or on)))
        return self

    # Training --------------------------------------------------------------------------------------------------------

    def suspend_training(self, suspension: Suspension, why: str) -> "Life":
        """Suspend training where the concern lies. Source: HEE policy; workforce planning is no ground for it."""
        if suspension.reason.basis is TrainingBasis.WORKFORCE_PLANNING:
            raise RuleBroken(
                "reason",
                f"{suspension.reason} is workforce planning, and no ground for a suspension of training; "
                "plan the change of posts with the provider instead",
            )
        machines.TRAINING.move(self.training, Command.SUSPEND_TRAINING, self, why)
        return replace(self, suspension=suspension)

    def restore_training(self, on: date, why: str) -> "Life":
        """End the suspension."""
        machines.TRAINING.move(self.training, Command.RESTORE_TRAINING, self, why)
        if self.suspension is not None:
            _require_not_before("restored_on", on, self.suspension.suspended_on)
        return replace(self, suspension=None)

    # What may not be -------------------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What of this state no sequence of commands may lead to; empty if all is well."""
        return [fault for fault, is_so in self._faults() if is_so]

    def _faults(self) -> Iterator[tuple[str, bool]]:
        stage = self.stage
        yield "raised, yet rated", stage is Stage.RAISED and self.category is not None
        yield "rated without a category", stage is Stage.RATED and self.category is None
        yield "closed and open at once", self.is_open != (self.closed_on is None)
        yield "a closure without its reason", (self.closed_on is None) != (self.closure_reason is None)
        yield "merged without the other", (stage is Stage.MERGED) != (self.merged_into is not None)
        yield "merged for another reason", stage is Stage.MERGED and self.closure_reason is not ClosureReason.MERGED
        significant = self.category is not None and self.category >= machines.SIGNIFICANT
        yield "marked otherwise than its category says", significant != (self.significant_since is not None)
        yield "not three registers", tuple(one.register for one in self.standings) != tuple(Register)
        yield "more conditions than can be followed up", len(self.conditions) > MOST_CONDITIONS
        if self.suspension is not None:
            yield "training suspended without a rated concern", stage is not Stage.RATED
            yield "training suspended without its category", self.category is not Category.TRAINING_SUSPENDED
            yield "training suspended by workforce planning", self.suspension.reason.basis is not TrainingBasis.QUALITY
        regional = self.standing(Register.REGIONAL_REGISTER).state
        yield "closed on the regional register", stage is Stage.CLOSED and regional is not RegisterState.OFF
        yield (
            "merged on a register",
            stage is Stage.MERGED and any(one.state is not RegisterState.OFF for one in self.standings),
        )
        for standing in self.standings:
            yield from self._faults_of(standing)
        for one in self.conditions:
            yield "an exit condition settled without a day", (one.state is _OPEN) != (one.settled_on is None)
            yield "an exit condition due before it was set", one.due_on < one.set_on

    def _faults_of(self, standing: Standing) -> Iterator[tuple[str, bool]]:
        state, check = standing.state, standing.check
        left = [one for one in self.conditions_of(standing.register) if is_unsettled(one)]
        yield "on a register from no day on", state is not RegisterState.OFF and standing.since is None
        yield "on a register without ever being rated", standing.since is not None and self.category is None
        yield "off a register with conditions left", state is RegisterState.OFF and bool(left)
        yield "off on conditions, and none left", state is RegisterState.REMOVED_CONDITIONALLY and not left
        taken_off = state is RegisterState.REMOVED_CONDITIONALLY or (
            state is RegisterState.OFF and standing.since is not None
        )
        yield "taken off without an effective check", taken_off and check is not CheckState.EFFECTIVE
        if standing.since is not None and standing.checked_on is not None:
            yield "checked before it was there", state is RegisterState.ON and standing.checked_on < standing.since
            yield "taken off before the check", taken_off and standing.since < standing.checked_on
        yield "a check of a register it was never on", standing.since is None and check is not CheckState.NONE
        has_result = check in (CheckState.EFFECTIVE, CheckState.NOT_EFFECTIVE)
        yield "a check's result without its day", has_result != (standing.checked_on is not None)
        yield "a check planned for no day", (check is CheckState.NONE) != (standing.check_due_on is None)

    def _with(self, standing: Standing) -> "Life":
        return replace(
            self, standings=tuple(standing if one.register is standing.register else one for one in self.standings)
        )


_OPEN = ExitConditionState.OPEN


def moves(before: Life, after: Life) -> list[dict[str, Any]]:
    """Every machine that a command moved, with its state before and after, for the history."""
    found: list[dict[str, Any]] = []

    def note(machine: str, old: Any, new: Any, **which: str) -> None:
        if old != new:
            found.append({"machine": machine, **which, "from": old, "to": new})

    note("concern", before.stage, after.stage)
    for old, new in zip(before.standings, after.standings, strict=True):
        note("register", old.state, new.state, register=new.register)
        note("effectiveness check", old.check, new.check, register=new.register)
    known = {one.id: one.state for one in before.conditions}
    for one in after.conditions:
        note("exit condition", known.get(one.id), one.state, register=one.register, id=str(one.id))
    note("training", before.training, after.training)
    return found


def _require_not_before(field: str, day: date, earliest: date | None) -> None:
    if earliest is not None and day < earliest:
        raise RuleBroken(field, f"is before {earliest}")
