"""What a domain refuses, as the caller hears of it."""

import pytest

from shared.rules import NotInThisState, RuleBroken
from shared.web.problems import Conflict, Unprocessable
from shared.web.refusals import rules


@pytest.mark.parametrize(("within", "field"), [("", "rated_on"), ("3.", "3.rated_on")])
def test_a_broken_rule_names_the_field_of_the_body_and_its_place(within: str, field: str) -> None:
    with pytest.raises(Unprocessable) as refused, rules(within):
        raise RuleBroken("rated_on", "is after today")

    assert refused.value.detail == f"{field}: is after today."
    assert refused.value.errors == [(f"body.{field}", "is after today")]


def test_a_wrong_state_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="is open already"), rules():
        raise NotInThisState("Concern T-1 is open already.")


def test_any_other_error_stays_what_it_is() -> None:
    with pytest.raises(LookupError), rules():
        raise LookupError("ours")
