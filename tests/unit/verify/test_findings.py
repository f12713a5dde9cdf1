"""What stands still is told from what is moving; messages are compared without showing to whom they went."""

import json
from uuid import UUID, uuid4

from deploy.verify import mail
from deploy.verify.findings import MOST_IDS, Finding, Kind, Report, found, that_stayed
from deploy.verify.mail import Message
from services.notify.store.deliveries import State
from services.notify.store.facts import DeliveryOf, Facts


def finding(*ids: str, check: str = "outbox.unsent", may_pass: bool = True) -> Finding:
    return Finding(check, Kind.WAITING, "visits", "{n} events wait", ids, may_pass)


def test_without_ids_nothing_is_found() -> None:
    assert found("outbox.unsent", Kind.WAITING, "visits", "{n} events wait", []) == []


def test_what_was_seen_in_one_look_only_is_in_flight() -> None:
    standing, moving = that_stayed([finding("a", "b")], [finding("b", "c", "d")])
    assert [(one.ids, one.summary) for one in standing] == [(("b",), "1 events wait")]
    assert [(one.ids, one.summary) for one in moving] == [(("c", "d"), "2 events wait")]


def test_what_cannot_pass_stands_at_once() -> None:
    once = finding("a", may_pass=False)
    assert that_stayed([], [once]) == ([once], [])


def test_the_same_id_found_by_another_check_has_not_been_seen() -> None:
    standing, moving = that_stayed([finding("a", check="topic.lost")], [finding("a")])
    assert (standing, len(moving)) == ([], 1)


def test_a_report_counts_all_ids_and_names_some() -> None:
    report = Report([finding(*map(str, range(MOST_IDS + 7)))], [], {})
    told = json.loads(json.dumps(report.as_dict()))
    assert (told["clean"], told["totals"]["waiting"]) == (False, MOST_IDS + 7)
    assert told["findings"][0]["count"] == MOST_IDS + 7
    assert len(told["findings"][0]["ids"]) == MOST_IDS


def delivery(identity: UUID, event: UUID, state: State = State.SENT) -> DeliveryOf:
    return DeliveryOf(identity, event, uuid4(), state, True, 0)


def checks(deliveries: list[DeliveryOf], received: list[Message]) -> dict[str, tuple[str, ...]]:
    return {one.check: one.ids for one in mail.messages(Facts([], deliveries), received)}


def test_a_message_that_was_sent_again_under_its_own_id_is_no_finding() -> None:
    one, event = uuid4(), uuid4()
    twice = [Message(str(one), str(event), "a@b.example")] * 2
    assert checks([delivery(one, event)], twice) == {}
    assert mail.sent_again(twice) == [str(one)]


def test_two_messages_of_one_event_to_one_mailbox_are_found_without_its_address() -> None:
    one, other, event = uuid4(), uuid4(), uuid4()
    received = [Message(str(identity), str(event), "a@b.example") for identity in (one, other)]
    found_ids = checks([delivery(one, event), delivery(other, event)], received)["mail.doubled"]
    assert str(one) in found_ids[0]
    assert str(other) in found_ids[0]
    assert "a@b.example" not in found_ids[0]


def test_a_message_that_counts_as_sent_and_never_came_is_found() -> None:
    sent, queued = uuid4(), uuid4()
    deliveries = [delivery(sent, uuid4()), delivery(queued, uuid4(), State.QUEUED)]
    assert checks(deliveries, []) == {"mail.missing": (str(sent),)}


def test_a_message_that_nobody_ordered_is_found() -> None:
    stranger = uuid4()
    assert checks([], [Message(str(stranger), str(uuid4()), "a@b.example")]) == {"mail.unknown": (str(stranger),)}
