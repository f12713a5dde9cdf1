"""Levers: which amounts and reasons each can have, and what an agreement can still bear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.funding.domain import levers, standing
from services.funding.domain.errors import RuleBroken
from services.funding.domain.levers import AmountDoesNotFit, Direction, ReasonDoesNotFit
from services.funding.domain.standing import DoesNotFitStanding, Standing
from shared.contracts.fields import AdjustmentReason, Lever

OUTCOME, PLANNING = AdjustmentReason.QUALITY_OUTCOME, AdjustmentReason.WORKFORCE_PLANNING
GOOD_PRACTICE, CORRECTION = AdjustmentReason.QUALITY_GOOD_PRACTICE, AdjustmentReason.CORRECTION
REINSTATEMENT = AdjustmentReason.QUALITY_REINSTATEMENT


@pytest.mark.parametrize(
    ("lever", "negative", "zero", "positive"),
    [
        (Lever.IMPROVEMENT_GRANT, False, False, True),
        (Lever.NO_CHANGE, False, True, False),
        (Lever.ACTION_PLAN, False, True, False),
        (Lever.CONTRACT_NOTICE, False, True, False),
        (Lever.WITHHOLD, True, False, False),
        (Lever.RECLAIM, True, False, False),
        (Lever.MOVE_PLACEMENTS, True, True, True),
        (Lever.SUSPEND, True, True, False),
        (Lever.TERMINATE, True, True, False),
    ],
)
def test_the_sign_of_an_amount_fits_the_lever(lever: Lever, negative: bool, zero: bool, positive: bool) -> None:
    for pence, fits in ((-1, negative), (0, zero), (1, positive)):
        if fits:
            levers.check(lever, pence, OUTCOME)
        else:
            with pytest.raises(AmountDoesNotFit) as refused:
                levers.check(lever, pence, OUTCOME)
            assert refused.value.field == "amount_pence"


def test_training_is_never_suspended_for_workforce_planning() -> None:
    with pytest.raises(ReasonDoesNotFit, match="on grounds of quality only") as refused:
        levers.check(Lever.SUSPEND, -1, PLANNING)
    assert refused.value.field == "reason"
    levers.check(Lever.MOVE_PLACEMENTS, -1, PLANNING)


def test_a_reinstatement_gives_back_and_only_what_a_lever_took() -> None:
    levers.check(Lever.WITHHOLD, 1, REINSTATEMENT)
    with pytest.raises(AmountDoesNotFit):
        levers.check(Lever.WITHHOLD, -1, REINSTATEMENT)
    with pytest.raises(ReasonDoesNotFit):
        levers.check(Lever.IMPROVEMENT_GRANT, 1, REINSTATEMENT)
    with pytest.raises(ReasonDoesNotFit):
        levers.check(Lever.ACTION_PLAN, 0, REINSTATEMENT)


def test_a_correction_may_go_either_way_but_not_nowhere() -> None:
    for pence in (-1, 1):
        levers.check(Lever.WITHHOLD, pence, CORRECTION)
        levers.check(Lever.IMPROVEMENT_GRANT, pence, CORRECTION)
    with pytest.raises(AmountDoesNotFit):
        levers.check(Lever.WITHHOLD, 0, CORRECTION)


def test_good_practice_is_no_reason_to_take_money() -> None:
    levers.check(Lever.IMPROVEMENT_GRANT, 1, GOOD_PRACTICE)
    with pytest.raises(ReasonDoesNotFit):
        levers.check(Lever.WITHHOLD, -1, GOOD_PRACTICE)


@given(lever=st.sampled_from(Lever), pence=st.integers(-5, 5), reason=st.sampled_from(AdjustmentReason))
def test_whatever_is_accepted_moves_no_money_by_a_lever_without_money(
    lever: Lever, pence: int, reason: AdjustmentReason
) -> None:
    try:
        levers.check(lever, pence, reason)
    except RuleBroken:
        return
    if levers.direction(lever) is Direction.NONE:
        assert pence == 0


@given(remaining=st.integers(0, 1000), taken=st.integers(0, 1000), pence=st.integers(-1500, 1500))
def test_nothing_is_taken_below_zero_and_no_more_given_back_than_was_taken(
    remaining: int, taken: int, pence: int
) -> None:
    figures = Standing(remaining + taken, remaining, {Lever.WITHHOLD: -taken})
    fits = -remaining <= pence <= taken
    try:
        standing.check_fits(figures, Lever.WITHHOLD, pence)
    except DoesNotFitStanding as refused:
        assert not fits
        assert refused.available_pence == (remaining if pence < 0 else taken)
    else:
        assert fits


def test_a_refusal_tells_the_figures() -> None:
    figures = Standing(1000, 400, {Lever.WITHHOLD: -600})
    with pytest.raises(DoesNotFitStanding, match="500 pence cannot be taken: 400 of 1000 pence are left"):
        standing.check_fits(figures, Lever.RECLAIM, -500)
    with pytest.raises(DoesNotFitStanding, match="10 pence cannot be reversed: reclaim has moved 0 pence"):
        standing.check_fits(figures, Lever.RECLAIM, 10)
