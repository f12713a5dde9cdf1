"""A machine is checked when it is declared, and lets nothing happen that its table does not hold."""

from enum import StrEnum

import pytest

from shared.rules import NotInThisState, RuleBroken
from shared.state_machine import BadMachine, Machine, Transition


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


class Do(StrEnum):
    GO = "go"
    STOP = "stop"
    SMASH = "smash"
    WIPE = "wipe"


def is_clear(road: str) -> str | None:
    return None if road == "clear" else f"the road is {road}; wait"


GO = Transition(Do.GO, [Light.RED], Light.GREEN, [is_clear])
STOP = Transition(Do.STOP, [Light.GREEN], Light.RED, needs_reason=False)
SMASH = Transition(Do.SMASH, [Light.RED, Light.GREEN], Light.BROKEN)
WIPE = Transition(Do.WIPE, [Light.RED], None, needs_reason=False)


def light(*transitions: Transition, final: tuple[Light, ...] = (Light.BROKEN,)) -> Machine[Light, str]:
    return Machine("The light", Light, initial=Light.RED, transitions=transitions, final=final)


LIGHT = light(GO, STOP, SMASH, WIPE)


def test_a_command_leads_where_the_table_says() -> None:
    assert LIGHT.move(Light.RED, Do.GO, "clear", "it is time") is Light.GREEN
    assert LIGHT.move(Light.GREEN, Do.STOP, "full", None) is Light.RED
    assert LIGHT.move(Light.RED, Do.WIPE, "full", None) is Light.RED


def test_a_command_that_does_not_fit_the_state_says_which_does() -> None:
    with pytest.raises(NotInThisState, match="The light is red; to stop it has to be green"):
        LIGHT.move(Light.RED, Do.STOP, "clear", "x")
    with pytest.raises(NotInThisState, match="has to be red or green"):
        LIGHT.move(Light.BROKEN, Do.SMASH, "clear", "x")


def test_commands_and_states_are_said_in_the_words_that_are_given() -> None:
    words = {Do.GO: "be driven by", Light.GREEN: "showing green"}
    said = Machine(
        "The light", Light, initial=Light.RED, transitions=[GO, STOP, SMASH], final=[Light.BROKEN], words=words
    )
    with pytest.raises(NotInThisState, match="The light is showing green; to be driven by it has to be red"):
        said.move(Light.GREEN, Do.GO, "clear", "x")
    with pytest.raises(NotInThisState, match="The light cannot be driven by: the road is full"):
        said.move(Light.RED, Do.GO, "full", "x")


def test_a_guard_says_why_not() -> None:
    with pytest.raises(NotInThisState, match="The light cannot go: the road is full; wait"):
        LIGHT.move(Light.RED, Do.GO, "full", "x")


@pytest.mark.parametrize("reason", [None, "", " \n"])
def test_a_reason_that_is_needed_is_insisted_on(reason: str | None) -> None:
    with pytest.raises(RuleBroken, match="rationale: is needed to go"):
        LIGHT.move(Light.RED, Do.GO, "clear", reason)


def test_the_table_can_be_read() -> None:
    assert LIGHT.commands(Light.RED) == [Do.GO, Do.SMASH, Do.WIPE]
    assert LIGHT.commands(Light.BROKEN) == []
    assert (Light.RED, Do.WIPE, Light.RED, False) in set(LIGHT.table())


def test_a_machine_that_contradicts_itself_is_not_made() -> None:
    with pytest.raises(BadMachine, match="go leads two ways from red"):
        light(GO, STOP, SMASH, Transition(Do.GO, [Light.RED], Light.BROKEN))
    with pytest.raises(BadMachine, match="nothing leads to broken"):
        light(GO, STOP)
    with pytest.raises(BadMachine, match="broken is never left"):
        light(GO, STOP, SMASH, final=())
    with pytest.raises(BadMachine, match="green is final but left"):
        light(GO, STOP, SMASH, final=(Light.BROKEN, Light.GREEN))
