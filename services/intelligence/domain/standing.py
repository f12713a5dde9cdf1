"""How a concern stands: everything of it that its state machines move."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from shared.contracts.concerns import ClosureReason, ExitConditionOwner, ExitConditionState, Register, RegisterState
from shared.contracts.fields import Category
from shared.contracts.training import SuspensionReason


class Stage(StrEnum):
    """Where a concern is in its life."""

    RAISED = "raised"
    """Nobody has confirmed a category."""
    RATED = "rated"
    CLOSED = "closed"
    REOPENED = "reopened"
    """Open again; it waits for a new rating."""
    MERGED = "merged"
    """Another concern goes on in its place. For good."""


#: The stages in which a concern is open.
OPEN = (Stage.RAISED, Stage.RATED, Stage.REOPENED)


class CheckState(StrEnum):
    """What is known of whether what was done about a concern is effective, for one register."""

    NONE = "none"
    DUE = "due"
    OVERDUE = "overdue"
    EFFECTIVE = "effective"
    NOT_EFFECTIVE = "not_effective"


class TrainingState(StrEnum):
    """Whether learners are trained where a concern lies."""

    RUNNING = "running"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class ExitCondition:
    """What has to be met for a concern to leave a register."""

    id: UUID
    register: Register
    #: What is to be reached. Free text: it stays in this service.
    wording: str
    owner: ExitConditionOwner
    set_on: date
    due_on: date
    state: ExitConditionState = ExitConditionState.OPEN
    settled_on: date | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a concern stands in one of the three registers."""

    register: Register
    state: RegisterState = RegisterState.OFF
    #: First day of the present state; None if it was never on.
    since: date | None = None
    check: CheckState = CheckState.NONE
    check_due_on: date | None = None
    #: Day of the last check's result, if there is a result that counts.
    checked_on: date | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """A suspension of training that has not ended."""

    id: UUID
    reason: SuspensionReason
    suspended_on: date


_OFF_ALL = tuple(Standing(register) for register in Register)


@dataclass(frozen=True, slots=True)
class State:
    """The state of one concern."""

    stage: Stage = Stage.RAISED
    category: Category | None = None
    #: First day of a category that is significant or higher, while it is.
    significant_since: date | None = None
    closed_on: date | None = None
    closure_reason: ClosureReason | None = None
    merged_into: UUID | None = None
    #: In the order of Register.
    standings: tuple[Standing, ...] = _OFF_ALL
    conditions: tuple[ExitCondition, ...] = ()
    suspension: Suspension | None = None

    @property
    def is_open(self) -> bool:
        """True unless it is closed or merged."""
        return self.stage in OPEN

    @property
    def training(self) -> TrainingState:
        """Whether training goes on where it lies."""
        return TrainingState.RUNNING if self.suspension is None else TrainingState.SUSPENDED

    def standing(self, register: Register) -> Standing:
        """How it stands in a register."""
        return next(standing for standing in self.standings if standing.register is register)

    def conditions_of(self, register: Register) -> list[ExitCondition]:
        """The exit conditions of a register, oldest first."""
        return [condition for condition in self.conditions if condition.register is register]

    def condition(self, condition_id: UUID) -> ExitCondition | None:
        """The exit condition with this id, if it is one of this concern's."""
        return next((condition for condition in self.conditions if condition.id == condition_id), None)


def is_unsettled(condition: ExitCondition) -> bool:
    """True if a condition still stands between a concern and its leaving a register for good."""
    return condition.state in (ExitConditionState.OPEN, ExitConditionState.MISSED)
