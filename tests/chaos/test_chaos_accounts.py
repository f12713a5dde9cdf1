"""What callers were told against what was done, and foreign records against dead letters."""

from datetime import UTC, datetime
from random import Random

import pytest

from shared.contracts.registry import Topic
from shared.messaging.records import Event, Record, decode
from tests.chaos.accounts import Accounts, Finding, name_of
from tests.chaos.records import _FAULTS, Foreign, _make
from tests.chaos.referee import Letter, judge_letters


def accounts() -> Accounts:
    """One concern raised and rated twice."""
    made = Accounts()
    made.acknowledge("intelligence", "raise", "k1", 0.1, ("concern.raised", "c"))
    made.acknowledge("intelligence", "rate", "k2", 0.1, ("concern.rated", "c"))
    made.acknowledge("intelligence", "rate", "k3", 0.1, ("concern.rated", "c"))
    made.acknowledge("intelligence", "record item", "k4", 0.1, None)
    return made


DONE = [("concern.raised", "c"), ("concern.rated", "c"), ("concern.rated", "c"), ("visit.required", "r")]
KEYS = {"intelligence": {"k1", "k2", "k3", "k4", "of somebody else"}}


def whats(found: list[Finding]) -> list[str]:
    return [one.what for one in found]


def test_what_was_done_as_often_as_it_was_acknowledged_is_right() -> None:
    assert accounts().compare(DONE, KEYS) == []


def test_an_acknowledged_command_that_was_not_done_is_lost() -> None:
    assert whats(accounts().compare(DONE[1:], KEYS)) == ["command lost"]
    assert whats(accounts().compare(DONE[:2], KEYS)) == ["command lost"]


def test_a_command_done_more_often_than_it_was_acknowledged_is_doubled() -> None:
    assert whats(accounts().compare([*DONE, ("concern.rated", "c")], KEYS)) == ["command doubled"]


def test_what_nobody_was_told_of_is_doubled() -> None:
    assert whats(accounts().compare([*DONE, ("concern.raised", "another")], KEYS)) == ["command doubled"]


def test_an_acknowledged_command_without_a_kept_answer_is_lost() -> None:
    assert whats(accounts().compare(DONE, {"intelligence": {"k1", "k2", "k3"}})) == ["command lost"]
    assert len(accounts().compare(DONE, {})) == 4


def test_what_callers_saw_go_wrong_is_found() -> None:
    made = accounts()
    made.findings.append(Finding("command never answered", "1"))
    assert whats(made.compare(DONE, KEYS)) == ["command never answered"]


def test_the_name_of_a_type() -> None:
    assert name_of("uk.nhs.quality.concern.raised.v1") == "concern.raised"


@pytest.mark.parametrize("fault", sorted(_FAULTS))
def test_each_foreign_record_is_what_it_says(fault: str) -> None:
    for seed in range(20):
        made = _make(fault, Random(seed))
        headers = tuple(made.headers)
        record = Record(made.topic, 0, 0, datetime.now(UTC), made.key, headers, made.value)  # pyright: ignore[reportArgumentType]
        decoded = decode(record)
        is_dead = not isinstance(decoded, Event) or decoded.broken is not None
        assert is_dead == made.is_dead


def test_foreign_records_have_keys_of_their_own() -> None:
    random = Random(1)
    keys = [_make(fault, random).key for fault in _FAULTS for _ in range(50)]
    assert len(set(keys)) == len(keys)


def foreign(key: bytes, topic: Topic = Topic.CONCERNS, *, is_dead: bool = True) -> dict[bytes, Foreign]:
    return {key: Foreign("a fault", topic.value, key, b"", [], is_dead)}


def letter(key: bytes | None) -> Letter:
    return Letter(1, Topic.CONCERNS.value, key, "unreadable", "an error", "dead")


def test_each_foreign_record_is_among_the_dead_letters_and_nothing_else_is() -> None:
    assert judge_letters("visits", [letter(b"X1")], foreign(b"X1"), {}) == []
    assert whats(judge_letters("visits", [], foreign(b"X1"), {})) == ["foreign record vanished"]
    assert whats(judge_letters("visits", [letter(b"RX1")], {}, {})) == ["dead letter of an event"]
    assert whats(judge_letters("visits", [letter(None)], {}, {})) == ["dead letter of an event"]


def test_a_foreign_record_of_which_nobody_knows_whether_it_arrived_may_be_there() -> None:
    assert judge_letters("visits", [letter(b"X1")], {}, foreign(b"X1")) == []
    assert judge_letters("visits", [], {}, foreign(b"X1")) == []


def test_a_service_has_no_letters_of_topics_it_does_not_hear() -> None:
    assert judge_letters("visits", [], foreign(b"X1", Topic.OUTCOMES), {}) == []


def test_what_is_passed_over_is_no_dead_letter() -> None:
    passed_over = foreign(b"X1", is_dead=False)
    assert judge_letters("visits", [], passed_over, {}) == []
    assert whats(judge_letters("visits", [letter(b"X1")], passed_over, {})) == ["dead letter of an event"]
