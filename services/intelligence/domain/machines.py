"""The life of a concern as checked state machines: what may happen to it, when, and on which grounds.

One machine for the concern itself; one, three times and independently, for the regional register, the national
register and enhanced monitoring; one for the check that what was done is effective; one for an exit condition; one for
training. Sources: the regional and the national register open and close independently, and a closed concern can be
reopened (Oxford ophthalmology); removal can be conditional, with an owner, a due date, and met or missed (East of
England Ambulance); an effectiveness check comes before de-escalation; a suspension of training is a last resort (HEE
policy on suspension).
"""

from enum import StrEnum

from services.intelligence.domain.standing import (
    OPEN,
    CheckState,
    ExitCondition,
    Stage,
    Standing,
    State,
    TrainingState,
    is_unsettled,
)
from shared.contracts.concerns import ExitConditionState, Register, RegisterState
from shared.contracts.fields import Category
from shared.state_machine import Machine, Transition


class Command(StrEnum):
    """What can be done to a concern, by people or by the clock."""

    RATE = "rate"
    CORRECT = "correct"
    TAKE_OVER = "take_over"
    CLOSE = "close"
    MERGE = "merge"
    REOPEN = "reopen"
    ESCALATE = "escalate"
    DE_ESCALATE = "de-escalate"
    DE_ESCALATE_CONDITIONALLY = "de-escalate_conditionally"
    FULFIL = "fulfil"
    SET_CONDITION = "set_condition"
    MEET = "meet"
    MISS = "miss"
    WITHDRAW = "withdraw"
    PLAN_CHECK = "plan_check"
    FALL_OVERDUE = "fall_overdue"
    FIND_EFFECTIVE = "find_effective"
    FIND_NOT_EFFECTIVE = "find_not_effective"
    LAPSE = "lapse"
    SUSPEND_TRAINING = "suspend_training"
    RESTORE_TRAINING = "restore_training"


#: Least confirmed category for each register. Significant concerns go to the national register [published]; the other
#: two thresholds are this project's configuration.
LEAST_CATEGORY = {
    Register.REGIONAL_REGISTER: Category.MINOR,
    Register.NATIONAL_REGISTER: Category.SIGNIFICANT,
    Register.ENHANCED_MONITORING: Category.SIGNIFICANT,
}

#: From this category on a concern is marked for the national team and the General Medical Council.
SIGNIFICANT = Category.SIGNIFICANT


# Guards ------------------------------------------------------------------------------------------------------------


def _training_runs(life: State) -> str | None:
    return "training is suspended for it; restore it first" if life.suspension is not None else None


def _off_the_regional_register(life: State) -> str | None:
    if life.standing(Register.REGIONAL_REGISTER).state is RegisterState.OFF:
        return None
    return "it is on the regional register, or off it on conditions that are not all settled; take it off first"


def _off_all_registers(life: State) -> str | None:
    if all(standing.state is RegisterState.OFF for standing in life.standings):
        return None
    return "it is on a register; merge the other concern into this one instead, or take it off first"


def _is_rated(life: State) -> str | None:
    return None if life.stage is Stage.RATED else f"the concern is {life.stage}; confirm a category first"


def _category_is_suspension(life: State) -> str | None:
    if life.category is Category.TRAINING_SUSPENDED:
        return None
    return "the concern's category is not 4, training suspended; confirm that category with its grounds first"


def _least_category(view: tuple[State, Standing]) -> str | None:
    life, standing = view
    if (why_not := _is_rated(life)) is not None:
        return why_not
    least = LEAST_CATEGORY[standing.register]
    if life.category is not None and life.category >= least:
        return None
    return f"the {_words(standing.register)} takes concerns of category {least.value} and above"


def _found_effective(view: tuple[State, Standing]) -> str | None:
    if view[1].check is CheckState.EFFECTIVE:
        return None
    return "an effectiveness check comes before de-escalation; plan one and record that what was done is effective"


def _no_condition_left(view: tuple[State, Standing]) -> str | None:
    life, standing = view
    left = sum(is_unsettled(condition) for condition in life.conditions_of(standing.register))
    if not left:
        return None
    still = "1 exit condition is" if left == 1 else f"{left} exit conditions are"
    return f"{still} not met; settle what is left first, or take it off on conditions"


def _conditions_open_and_none_missed(view: tuple[State, Standing]) -> str | None:
    life, standing = view
    states = [condition.state for condition in life.conditions_of(standing.register)]
    if ExitConditionState.MISSED in states:
        return "an exit condition was missed; let it be met or withdraw it first"
    if ExitConditionState.OPEN not in states:
        return "no exit condition is open; set one, or take it off without conditions"
    return None


def _is_on(view: tuple[State, Standing]) -> str | None:
    return None if view[1].state is RegisterState.ON else f"the concern is not on the {_words(view[1].register)}"


def _words(name: str) -> str:
    return name.replace("_", " ")


# The machines ------------------------------------------------------------------------------------------------------

C = Command

CONCERN: Machine[Stage, State] = Machine(
    "The concern",
    Stage,
    initial=Stage.RAISED,
    final=[Stage.MERGED],
    transitions=[
        Transition(C.RATE, OPEN, Stage.RATED),
        Transition(C.CORRECT, OPEN, None),
        Transition(C.TAKE_OVER, OPEN, None),
        Transition(C.CLOSE, OPEN, Stage.CLOSED, [_training_runs, _off_the_regional_register]),
        Transition(C.MERGE, OPEN, Stage.MERGED, [_training_runs, _off_all_registers]),
        Transition(C.REOPEN, [Stage.CLOSED], Stage.REOPENED),
    ],
    words={
        C.RATE: "be rated",
        C.CORRECT: "be corrected",
        C.TAKE_OVER: "take over another one",
        C.CLOSE: "be closed",
        C.MERGE: "be merged into another one",
        C.REOPEN: "be reopened",
    },
)

_R = RegisterState

REGISTER: Machine[RegisterState, tuple[State, Standing]] = Machine(
    "The concern's entry in the register",
    RegisterState,
    initial=_R.OFF,
    transitions=[
        Transition(C.ESCALATE, [_R.OFF, _R.REMOVED_CONDITIONALLY], _R.ON, [_least_category]),
        Transition(C.SET_CONDITION, [_R.ON], None),
        Transition(C.DE_ESCALATE, [_R.ON], _R.OFF, [_found_effective, _no_condition_left]),
        Transition(
            C.DE_ESCALATE_CONDITIONALLY,
            [_R.ON],
            _R.REMOVED_CONDITIONALLY,
            [_found_effective, _conditions_open_and_none_missed],
        ),
        Transition(C.FULFIL, [_R.REMOVED_CONDITIONALLY], _R.OFF, [_no_condition_left], needs_reason=False),
    ],
    words={
        C.ESCALATE: "be put there",
        C.SET_CONDITION: "get an exit condition",
        C.DE_ESCALATE: "be taken off",
        C.DE_ESCALATE_CONDITIONALLY: "be taken off on conditions",
        C.FULFIL: "be taken off for good",
    },
)

_K = CheckState

CHECK: Machine[CheckState, tuple[State, Standing]] = Machine(
    "The effectiveness check",
    CheckState,
    initial=_K.NONE,
    transitions=[
        Transition(C.PLAN_CHECK, list(_K), _K.DUE, [_is_on]),
        Transition(C.FALL_OVERDUE, [_K.DUE], _K.OVERDUE, needs_reason=False),
        Transition(C.FIND_EFFECTIVE, [_K.DUE, _K.OVERDUE], _K.EFFECTIVE, [_is_on]),
        Transition(C.FIND_NOT_EFFECTIVE, [_K.DUE, _K.OVERDUE], _K.NOT_EFFECTIVE, [_is_on]),
        Transition(C.LAPSE, list(_K), _K.NONE, needs_reason=False),
    ],
    words={
        C.PLAN_CHECK: "be planned",
        C.FIND_EFFECTIVE: "have a result",
        C.FIND_NOT_EFFECTIVE: "have a result",
        _K.NONE: "not planned",
    },
)

_E = ExitConditionState

CONDITION: Machine[ExitConditionState, ExitCondition] = Machine(
    "The exit condition",
    ExitConditionState,
    initial=_E.OPEN,
    final=[_E.MET, _E.WITHDRAWN],
    transitions=[
        Transition(C.MEET, [_E.OPEN, _E.MISSED], _E.MET),
        Transition(C.MISS, [_E.OPEN], _E.MISSED),
        Transition(C.WITHDRAW, [_E.OPEN, _E.MISSED], _E.WITHDRAWN),
    ],
    words={C.MEET: "be met", C.MISS: "be missed", C.WITHDRAW: "be withdrawn"},
)

TRAINING: Machine[TrainingState, State] = Machine(
    "Training",
    TrainingState,
    initial=TrainingState.RUNNING,
    transitions=[
        Transition(
            C.SUSPEND_TRAINING,
            [TrainingState.RUNNING],
            TrainingState.SUSPENDED,
            [_is_rated, _category_is_suspension],
        ),
        Transition(C.RESTORE_TRAINING, [TrainingState.SUSPENDED], TrainingState.RUNNING),
    ],
    words={C.SUSPEND_TRAINING: "be suspended", C.RESTORE_TRAINING: "be restored"},
)

#: By the name that the history and the documentation use.
MACHINES = {
    "concern": CONCERN,
    "register": REGISTER,
    "effectiveness check": CHECK,
    "exit condition": CONDITION,
    "training": TRAINING,
}
