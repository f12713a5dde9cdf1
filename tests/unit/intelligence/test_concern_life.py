"""The life of a concern: whatever is asked of it in whatever order, it stays within its machines."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.intelligence.domain.life import Life, moves
from services.intelligence.domain.machines import CHECK, CONCERN, MACHINES, REGISTER, TRAINING, Command
from services.intelligence.domain.standing import CheckState, ExitCondition, Stage, Suspension, TrainingState
from shared.contracts.concerns import (
    ClosureReason,
    ExitConditionOwner,
    ExitConditionState,
    Register,
    RegisterState,
)
from shared.contracts.fields import Category
from shared.contracts.training import RestorationReason, SuspensionReason, TrainingBasis
from shared.rules import NotInThisState, RuleBroken
from shared.state_machine import Machine
from tests.unit.intelligence.lives import OutsideTheMachine, Walker, every_step, undeclared_moves

EARLIER, DAY, LATER = date(2025, 2, 1), date(2025, 3, 1), date(2025, 4, 1)
NATIONAL = Register.NATIONAL_REGISTER
REGIONAL = Register.REGIONAL_REGISTER

#: Random sequences in one run. Ten million take minutes: LIFE_SEQUENCES=10000000, or several runs with other seeds.
SEQUENCES = int(os.environ.get("LIFE_SEQUENCES", "20000"))

#: Sequences that hypothesis makes up, and shrinks where one fails.
EXAMPLES = int(os.environ.get("LIFE_EXAMPLES", "100"))


def rated(category: Category = Category.MAJOR) -> Life:
    return Life().rate(category, DAY, "x")


def on(register: Register = NATIONAL) -> Life:
    return rated().escalate(register, DAY, "x")


def condition(number: int = 1, register: Register = NATIONAL) -> ExitCondition:
    return ExitCondition(UUID(int=number), register, "x", ExitConditionOwner.EDUCATION_LEAD, DAY, LATER)


def checked(life: Life, register: Register = NATIONAL) -> Life:
    return life.plan_check(register, LATER, "x").record_check(register, DAY, "x", effective=True)


#: As long as what is asked for takes on a busy machine, in seconds.
at_length = pytest.mark.timeout(120 + SEQUENCES // 1_000 + EXAMPLES)


# Whatever is asked ---------------------------------------------------------------------------------------------------


@at_length
def test_random_sequences_of_commands_never_leave_the_machine() -> None:
    walker = Walker(seed=int(os.environ.get("LIFE_SEED", random.SystemRandom().randrange(2**32))))
    walker.walk(SEQUENCES)
    assert walker.accepted > SEQUENCES  # it did not only see refusals


@at_length
@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(every_step()), max_size=60))
def test_any_list_of_commands_never_leaves_the_machine(steps: list) -> None:
    life = Life()
    for step in steps:
        try:
            after = step.act(life)
        except (NotInThisState, RuleBroken):
            continue
        assert after.faults() == []
        assert undeclared_moves(life, after) == []
        life = after


class LifeOfAConcern(RuleBasedStateMachine):
    """Commands with free choices, as people make them; what is refused changes nothing."""

    days = st.dates(date(2025, 1, 1), date(2025, 12, 31))
    reasons = st.sampled_from(["because", "because", "because", " "])
    registers = st.sampled_from(Register)

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.given_out = 0

    def ask(self, act) -> None:
        try:
            after = act(self.life)
        except (NotInThisState, RuleBroken):
            return
        assert undeclared_moves(self.life, after) == []
        self.life = after

    @rule(category=st.sampled_from(Category), day=days, why=reasons)
    def rate(self, category, day, why) -> None:
        self.ask(lambda life: life.rate(category, day, why))

    @rule(register=registers, day=days, why=reasons)
    def escalate(self, register, day, why) -> None:
        self.ask(lambda life: life.escalate(register, day, why))

    @rule(register=registers, day=days, why=reasons, conditionally=st.booleans())
    def de_escalate(self, register, day, why, conditionally) -> None:
        self.ask(lambda life: life.de_escalate(register, day, why, conditionally=conditionally))

    @rule(register=registers, due=days, why=reasons)
    def plan(self, register, due, why) -> None:
        self.ask(lambda life: life.plan_check(register, due, why))

    @rule(register=registers, day=days, why=reasons, effective=st.booleans())
    def check(self, register, day, why, effective) -> None:
        self.ask(lambda life: life.record_check(register, day, why, effective=effective))

    @rule(register=registers, day=days)
    def overdue(self, register, day) -> None:
        self.ask(lambda life: life.fall_overdue(register, day))

    @rule(register=registers, set_on=days, due=days, why=reasons)
    def set_condition(self, register, set_on, due, why) -> None:
        self.given_out += 1
        new = ExitCondition(UUID(int=self.given_out), register, "x", ExitConditionOwner.UNIVERSITY, set_on, due)
        self.ask(lambda life: life.set_condition(new, why))

    @precondition(lambda self: self.given_out)
    @rule(number=st.integers(1, 9), state=st.sampled_from(ExitConditionState), day=days, why=reasons)
    def settle(self, number, state, day, why) -> None:
        self.ask(lambda life: life.settle_condition(UUID(int=number), state, day, why))

    @rule(reason=st.sampled_from(SuspensionReason), day=days, why=reasons)
    def suspend(self, reason, day, why) -> None:
        self.ask(lambda life: life.suspend_training(Suspension(UUID(int=1), reason, day), why))

    @rule(day=days, why=reasons)
    def restore(self, day, why) -> None:
        self.ask(lambda life: life.restore_training(day, why))

    @rule(reason=st.sampled_from(ClosureReason), day=days, why=reasons)
    def close(self, reason, day, why) -> None:
        self.ask(lambda life: life.close(reason, day, why))

    @rule(why=reasons)
    def reopen(self, why) -> None:
        self.ask(lambda life: life.reopen(why))

    @rule(day=days, why=reasons, chance=st.integers(0, 5))
    def merge(self, day, why, chance) -> None:
        if chance == 0:  # or few sequences would get past it
            self.ask(lambda life: life.merge(UUID(int=99), day, why))

    @invariant()
    def it_is_within_the_machine(self) -> None:
        assert self.life.faults() == []


TestLifeOfAConcern = at_length(LifeOfAConcern.TestCase)
TestLifeOfAConcern.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("machine", "state", "command"),
    [
        (CONCERN, Stage.RATED, Command.CLOSE),
        (CONCERN, Stage.RATED, Command.MERGE),
        (REGISTER, RegisterState.ON, Command.DE_ESCALATE),
        (REGISTER, RegisterState.ON, Command.DE_ESCALATE_CONDITIONALLY),
        (REGISTER, RegisterState.OFF, Command.ESCALATE),
        (CHECK, CheckState.NONE, Command.PLAN_CHECK),
        (TRAINING, TrainingState.RUNNING, Command.SUSPEND_TRAINING),
    ],
)
def test_a_guard_that_is_missing_is_found_by_walking(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, state: StrEnum, command: Command
) -> None:
    row = machine._rows[state, command]
    monkeypatch.setitem(machine._rows, (state, command), replace(row, guards=()))
    with pytest.raises(OutsideTheMachine):
        Walker(seed=1).walk(20_000)


def test_the_judge_of_states_sees_what_may_not_be() -> None:
    """Without this, a walk that finds nothing would prove nothing."""
    assert Life().faults() == []
    wrong = [
        replace(Life(), stage=Stage.RATED),
        replace(Life(), category=Category.MINOR),
        replace(rated(), significant_since=None),
        replace(rated(), stage=Stage.CLOSED),
        replace(rated(), closed_on=DAY),
        replace(rated(), stage=Stage.MERGED, closed_on=DAY, closure_reason=ClosureReason.MERGED),
        replace(rated(), suspension=Suspension(UUID(int=1), SuspensionReason.POOR_SUPERVISION, DAY)),
        replace(on(REGIONAL), stage=Stage.CLOSED, closed_on=DAY, closure_reason=ClosureReason.RESOLVED),
        replace(rated(), standings=on().standings[:2]),
        replace(on(), standings=tuple(replace(one, state=RegisterState.OFF) for one in on().standings)),
        replace(rated(), conditions=(condition(),)),
    ]
    assert [life for life in wrong if not life.faults()] == []


# Three registers, independently --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(Register), st.booleans()), max_size=20))
def test_each_register_opens_and_closes_without_regard_to_the_others(asked: list) -> None:
    life = rated()
    expected = dict.fromkeys(Register, RegisterState.OFF)
    for register, put_on in asked:
        before = life
        try:
            if put_on:
                life = life.escalate(register, DAY, "x")
                expected[register] = RegisterState.ON
            else:
                life = checked(life, register).de_escalate(register, DAY, "x")
                expected[register] = RegisterState.OFF
        except NotInThisState:
            assert (expected[register] is RegisterState.ON) is put_on
        others = [one for one in Register if one is not register]
        assert [life.standing(one) for one in others] == [before.standing(one) for one in others]
        assert {one: life.standing(one).state for one in Register} == expected


def test_a_concern_closed_here_may_stay_on_the_national_register_and_leave_it_later() -> None:
    closed = on().close(ClosureReason.RESOLVED, DAY, "x")
    assert closed.standing(NATIONAL).state is RegisterState.ON
    assert checked(closed).de_escalate(NATIONAL, DAY, "x").standing(NATIONAL).state is RegisterState.OFF


def test_a_concern_on_the_regional_register_is_not_closed() -> None:
    with pytest.raises(NotInThisState, match="regional register"):
        on(REGIONAL).close(ClosureReason.RESOLVED, DAY, "x")


@pytest.mark.parametrize(
    ("register", "category", "may"),
    [
        (REGIONAL, Category.NONE, False),
        (REGIONAL, Category.MINOR, True),
        (NATIONAL, Category.MINOR, False),
        (NATIONAL, Category.SIGNIFICANT, True),
        (Register.ENHANCED_MONITORING, Category.MINOR, False),
        (Register.ENHANCED_MONITORING, Category.SIGNIFICANT, True),
    ],
)
def test_a_register_takes_concerns_from_its_category_on(register: Register, category: Category, may: bool) -> None:
    if may:
        assert rated(category).escalate(register, DAY, "x").standing(register).state is RegisterState.ON
    else:
        with pytest.raises(NotInThisState, match="takes concerns of category"):
            rated(category).escalate(register, DAY, "x")


def test_only_a_rated_concern_is_escalated() -> None:
    for life in (Life(), rated().close(ClosureReason.RESOLVED, DAY, "x"), _reopened()):
        with pytest.raises(NotInThisState, match="confirm a category first"):
            life.escalate(NATIONAL, DAY, "x")


def _reopened() -> Life:
    return rated().close(ClosureReason.RESOLVED, DAY, "x").reopen("x")


# Exit conditions and the effectiveness check -------------------------------------------------------------------------


def test_an_effectiveness_check_comes_before_de_escalation() -> None:
    with pytest.raises(NotInThisState, match="effectiveness check"):
        on().de_escalate(NATIONAL, DAY, "x")
    ineffective = on().plan_check(NATIONAL, LATER, "x").record_check(NATIONAL, DAY, "x", effective=False)
    with pytest.raises(NotInThisState, match="effectiveness check"):
        ineffective.de_escalate(NATIONAL, DAY, "x")
    assert checked(ineffective).de_escalate(NATIONAL, DAY, "x").standing(NATIONAL).state is RegisterState.OFF


@pytest.mark.parametrize(
    ("field", "act"),
    [
        (
            "checked_on",
            lambda: on().plan_check(NATIONAL, LATER, "x").record_check(NATIONAL, EARLIER, "x", effective=True),
        ),
        (
            "de_escalated_on",
            lambda: (
                on()
                .plan_check(NATIONAL, LATER, "x")
                .record_check(NATIONAL, LATER, "x", effective=True)
                .de_escalate(NATIONAL, DAY, "x")
            ),
        ),
        ("escalated_on", lambda: checked(on()).de_escalate(NATIONAL, LATER, "x").escalate(NATIONAL, DAY, "x")),
        (
            "closed_on",
            lambda: (
                checked(on(REGIONAL), REGIONAL)
                .de_escalate(REGIONAL, LATER, "x")
                .close(ClosureReason.RESOLVED, DAY, "x")
            ),
        ),
    ],
)
def test_days_follow_one_another_as_what_happened_on_them(field: str, act: Callable[[], Life]) -> None:
    with pytest.raises(RuleBroken, match="is before") as refused:
        act()
    assert refused.value.field == field


def test_a_condition_met_before_the_removal_on_conditions_ends_it_no_earlier_than_that() -> None:
    removed = checked(on().set_condition(condition(), "x")).de_escalate(NATIONAL, LATER, "x", conditionally=True)
    met = removed.settle_condition(UUID(int=1), ExitConditionState.MET, DAY, "x")
    assert met.standing(NATIONAL).since == LATER


def test_what_was_effective_once_does_not_count_for_the_next_time() -> None:
    again = checked(on()).de_escalate(NATIONAL, DAY, "x").escalate(NATIONAL, DAY, "x")
    with pytest.raises(NotInThisState, match="effectiveness check"):
        again.de_escalate(NATIONAL, DAY, "x")


def test_a_missed_condition_undoes_an_effective_check() -> None:
    missed = checked(on().set_condition(condition(), "x")).settle_condition(
        UUID(int=1), ExitConditionState.MISSED, date(2025, 4, 2), "x"
    )
    assert missed.standing(NATIONAL).check is CheckState.NONE


def test_a_refusal_says_in_plain_words_what_is_and_what_would_fit() -> None:
    with pytest.raises(
        NotInThisState, match=r"^The effectiveness check is not planned; to have a result it has to be due"
    ):
        on().record_check(NATIONAL, DAY, "x", effective=True)
    with pytest.raises(
        NotInThisState, match="entry in the register is on; to be put there it has to be off or removed"
    ):
        on().escalate(NATIONAL, DAY, "x")


@pytest.mark.parametrize("name", MACHINES)
def test_every_command_of_a_person_is_said_in_words(name: str) -> None:
    machine: Machine[Any, Any] = MACHINES[name]
    for command in {command for _, command, _, needed in machine.table() if needed}:
        for state in {target for _, _, target, _ in machine.table()} | {machine.initial}:
            if command not in machine.commands(state):
                with pytest.raises(NotInThisState, match=r"; to (?:be|get|have|take over) .+ it has to be"):
                    machine.move(state, command, None, "x")


def test_a_condition_that_is_not_met_keeps_a_concern_on_the_register() -> None:
    life = checked(on().set_condition(condition(), "x"))
    with pytest.raises(NotInThisState, match="taken off: 1 exit condition is not met; settle"):
        life.de_escalate(NATIONAL, DAY, "x")
    met = life.settle_condition(UUID(int=1), ExitConditionState.MET, DAY, "x")
    assert met.de_escalate(NATIONAL, DAY, "x").standing(NATIONAL).state is RegisterState.OFF


def test_removal_on_conditions_ends_with_the_last_of_them() -> None:
    life = checked(on().set_condition(condition(1), "x").set_condition(condition(2), "x"))
    removed = life.de_escalate(NATIONAL, DAY, "x", conditionally=True)
    assert removed.standing(NATIONAL).state is RegisterState.REMOVED_CONDITIONALLY
    one_left = removed.settle_condition(UUID(int=1), ExitConditionState.MET, DAY, "x")
    assert one_left.standing(NATIONAL).state is RegisterState.REMOVED_CONDITIONALLY
    missed = one_left.settle_condition(UUID(int=2), ExitConditionState.MISSED, date(2025, 4, 2), "x")
    assert missed.standing(NATIONAL).state is RegisterState.REMOVED_CONDITIONALLY
    assert missed.escalate(NATIONAL, LATER, "x").standing(NATIONAL).state is RegisterState.ON
    met_late = missed.settle_condition(UUID(int=2), ExitConditionState.MET, date(2025, 4, 9), "x")
    assert met_late.standing(NATIONAL).state is RegisterState.OFF
    assert [move["machine"] for move in moves(missed, met_late)] == ["register", "exit condition"]


def test_removal_on_conditions_needs_conditions() -> None:
    with pytest.raises(NotInThisState, match="no exit condition is open"):
        checked(on()).de_escalate(NATIONAL, DAY, "x", conditionally=True)


def test_a_condition_is_not_missed_before_its_day_has_passed() -> None:
    life = on().set_condition(condition(), "x")
    with pytest.raises(RuleBroken, match="2025-04-01 has passed"):
        life.settle_condition(UUID(int=1), ExitConditionState.MISSED, LATER, "x")


def test_the_day_of_a_check_has_passed_the_day_after() -> None:
    life = on().plan_check(NATIONAL, LATER, "x")
    with pytest.raises(NotInThisState):
        life.fall_overdue(NATIONAL, LATER)
    assert life.fall_overdue(NATIONAL, date(2025, 4, 2)).standing(NATIONAL).check is CheckState.OVERDUE


# Training ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", SuspensionReason)
def test_training_is_suspended_on_grounds_of_quality_alone(reason: SuspensionReason) -> None:
    life = rated(Category.TRAINING_SUSPENDED)
    suspension = Suspension(UUID(int=1), reason, DAY)
    if reason.basis is TrainingBasis.QUALITY:
        assert life.suspend_training(suspension, "x").suspension == suspension
    else:
        with pytest.raises(RuleBroken, match="workforce planning"):
            life.suspend_training(suspension, "x")


def test_training_is_suspended_only_under_its_category_and_the_category_stays_meanwhile() -> None:
    suspension = Suspension(UUID(int=1), SuspensionReason.POOR_SUPERVISION, DAY)
    with pytest.raises(NotInThisState, match="category is not 4"):
        rated(Category.MAJOR).suspend_training(suspension, "x")
    suspended = rated(Category.TRAINING_SUSPENDED).suspend_training(suspension, "x")
    with pytest.raises(RuleBroken, match="stays 4"):
        suspended.rate(Category.MINOR, DAY, "x")
    with pytest.raises(NotInThisState, match="training is suspended"):
        suspended.close(ClosureReason.RESOLVED, DAY, "x")
    with pytest.raises(RuleBroken, match="is before"):
        suspended.restore_training(date(2025, 2, 1), "x")
    restored = suspended.restore_training(LATER, "x")
    assert restored.rate(Category.MINOR, LATER, "x").category is Category.MINOR


def test_every_reason_code_tells_quality_from_workforce_planning() -> None:
    planned = {reason for reason in SuspensionReason if reason.basis is TrainingBasis.WORKFORCE_PLANNING}
    assert planned == {"rotation_gap", "planned_reduction", "reconfiguration", "post_left_fallow"}
    ended = {reason for reason in RestorationReason if reason.basis is TrainingBasis.WORKFORCE_PLANNING}
    assert ended == {"placements_moved", "service_reconfigured"}


# Reasons and marks ---------------------------------------------------------------------------------------------------


def test_only_the_clock_and_other_machines_need_no_reason() -> None:
    without = {command for machine in MACHINES.values() for _, command, _, needed in machine.table() if not needed}
    assert without == {Command.FALL_OVERDUE, Command.FULFIL, Command.LAPSE}


def test_a_command_of_a_person_without_a_reason_is_refused() -> None:
    blank = [step for step in every_step() if "'  '" in step.name]
    lives = [Life(), rated(), on(), checked(on()), rated(Category.TRAINING_SUSPENDED), _reopened()]
    for step in blank:
        if step.name.startswith("overdue"):
            continue
        for life in lives:
            with pytest.raises((NotInThisState, RuleBroken)):
                step.act(life)


def test_a_concern_is_marked_from_the_day_it_is_significant_until_it_is_not() -> None:
    assert rated(Category.MINOR).significant_since is None
    life = rated(Category.SIGNIFICANT)
    assert life.rate(Category.MAJOR, LATER, "x").significant_since == DAY
    assert life.rate(Category.MINOR, LATER, "x").significant_since is None


def test_a_merged_concern_is_never_opened_again() -> None:
    merged = rated().merge(UUID(int=7), DAY, "x")
    for step in every_step():
        if step.name.startswith(("rate", "close", "merge", "reopen", "correct", "escalate", "suspend", "take over")):
            with pytest.raises((NotInThisState, RuleBroken)):
                step.act(merged)
