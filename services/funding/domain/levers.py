"""What each lever may do with the money, and for which reasons it may be used."""

from enum import Enum, auto

from services.funding.domain.errors import RuleBroken
from shared.contracts.fields import AdjustmentReason, Lever


class AmountDoesNotFit(RuleBroken):
    """The sign of an amount does not fit the lever or the reason."""


class ReasonDoesNotFit(RuleBroken):
    """A lever may not be used for this reason."""


class Direction(Enum):
    """Which way a lever moves money, seen from the provider."""

    GIVES = auto()
    TAKES = auto()
    #: Both ways: the money follows the learners, away from one provider and to another.
    FOLLOWS = auto()
    #: No money at all.
    NONE = auto()


_DIRECTIONS: dict[Lever, Direction] = {
    Lever.IMPROVEMENT_GRANT: Direction.GIVES,
    Lever.NO_CHANGE: Direction.NONE,
    Lever.ACTION_PLAN: Direction.NONE,
    Lever.CONTRACT_NOTICE: Direction.NONE,
    Lever.WITHHOLD: Direction.TAKES,
    Lever.RECLAIM: Direction.TAKES,
    Lever.MOVE_PLACEMENTS: Direction.FOLLOWS,
    Lever.SUSPEND: Direction.TAKES,
    Lever.TERMINATE: Direction.TAKES,
}

#: Training can end, or stop for a time, before or after the money does.
_MAY_BE_ZERO = frozenset({Lever.SUSPEND, Lever.TERMINATE, Lever.MOVE_PLACEMENTS})


def direction(lever: Lever) -> Direction:
    """Which way the lever moves money."""
    return _DIRECTIONS[lever]


def severity(lever: Lever) -> int:
    """Place of the lever from improvement through mild to severe."""
    return list(Lever).index(lever)


def may_be_zero(lever: Lever) -> bool:
    """True if the lever can be used without moving money."""
    return direction(lever) is Direction.NONE or lever in _MAY_BE_ZERO


def is_reversal(lever: Lever, pence: int) -> bool:
    """True if the amount gives back what the lever took, or takes back what it gave."""
    way = direction(lever)
    return (way is Direction.TAKES and pence > 0) or (way is Direction.GIVES and pence < 0)


def check(lever: Lever, pence: int, reason: AdjustmentReason) -> None:
    """Refuse what a lever cannot mean.

    The sign fits the lever, but for a reinstatement, which gives back, and a correction, which may go either way.
    Workforce planning never suspends training: a suspension is a last resort on grounds of quality, and not used
    for rotation gaps, planned reductions, reconfiguration or posts left fallow (source: policy of Health Education
    England). Raises AmountDoesNotFit or ReasonDoesNotFit.
    """
    _check_reason(lever, reason)
    way = direction(lever)
    if way is Direction.NONE and pence != 0:
        raise _amount(lever, pence, "moves no money; make the amount 0 or choose another lever")
    if pence == 0 and not may_be_zero(lever):
        raise _amount(lever, pence, "moves money; an amount of 0 says nothing")
    if reason is AdjustmentReason.QUALITY_REINSTATEMENT:
        if pence <= 0:
            raise _amount(lever, pence, "gives back in a reinstatement; make the amount positive")
    elif reason is not AdjustmentReason.CORRECTION:
        if way is Direction.GIVES and pence < 0:
            raise _amount(lever, pence, "gives money; make the amount positive, or the reason a correction")
        if way is Direction.TAKES and pence > 0:
            raise _amount(
                lever, pence, "takes money; make the amount negative, or the reason a reinstatement or a correction"
            )


def _check_reason(lever: Lever, reason: AdjustmentReason) -> None:
    way = direction(lever)
    if reason is AdjustmentReason.WORKFORCE_PLANNING and lever is Lever.SUSPEND:
        raise ReasonDoesNotFit(
            "Training is suspended on grounds of quality only, never for workforce planning; choose another lever.",
            field="reason",
        )
    if reason is AdjustmentReason.QUALITY_REINSTATEMENT and way not in (Direction.TAKES, Direction.FOLLOWS):
        raise ReasonDoesNotFit(
            f"A reinstatement gives back what was taken, and {lever.value} takes nothing; "
            "name the lever that took the money.",
            field="reason",
        )
    if reason is AdjustmentReason.QUALITY_GOOD_PRACTICE and lever not in (Lever.IMPROVEMENT_GRANT, Lever.NO_CHANGE):
        raise ReasonDoesNotFit(
            f"Good practice is no reason to use {lever.value}; it is one for an improvement grant or no change.",
            field="reason",
        )


def _amount(lever: Lever, pence: int, why: str) -> AmountDoesNotFit:
    return AmountDoesNotFit(f"{lever.value} {why} ({pence} pence given).", field="amount_pence")
