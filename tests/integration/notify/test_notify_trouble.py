"""E-mail that cannot go out now, or never can: delayed, told of, and never lost."""

import asyncio
import time
from uuid import uuid4

import pytest
from notify_mail import MailServer
from notify_story import ADDRESS, KEY, Sending, add, all_are, deliveries, event, eventually, states
from prometheus_client import REGISTRY

from services.notify import metrics
from shared.contracts.concerns import ConcernRated
from shared.contracts.notifications import FailureCode, NotificationDelivered, NotificationFailed
from shared.persistence import history
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest


def metric(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None, name
    return value


# Delayed, never lost -----------------------------------------------------------------------------------------------


async def test_a_mail_server_that_is_down_delays_and_loses_nothing(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    mail_server.stop()
    for _ in range(5):
        await notify.receive(event(ConcernRated), key=KEY)
    async with sending():
        await asyncio.sleep(1.5)
        waiting = await deliveries(notify)
        assert [(delivery["state"], delivery["attempts"]) for delivery in waiting] == [("queued", 0)] * 5
        assert metric("qc_mail_server_up") == 0
        async with notify.pool.acquire() as connection:
            await metrics.sample(connection)
        assert metric("qc_deliveries", state="queued") == 5
        assert metric("qc_oldest_undelivered_age_seconds") >= 1
        mail_server.start()
        await all_are(notify, "sent", 5)
        assert metric("qc_mail_server_up") == 1
    assert len(mail_server.mails) == len({mail.id for mail in mail_server.mails}) == 5
    assert await notify.emitted(NotificationFailed) == []


async def test_a_mail_server_that_goes_away_between_two_messages_is_reached_again(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    async with sending():
        await notify.receive(event(ConcernRated), key=KEY)
        await all_are(notify, "sent", 1)
        mail_server.stop()
        mail_server.start()
        await notify.receive(event(ConcernRated), key=KEY)
        await all_are(notify, "sent", 2)
    assert len(mail_server.mails) == 2


async def test_a_recipient_put_off_is_tried_again_while_others_are_served(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    await add(notify, "other@fenbrook.example")
    mail_server.recipient_answers[ADDRESS] = f"451 {ADDRESS} is greylisted"
    await notify.receive(event(ConcernRated), key=KEY)
    async with sending():

        async def put_off_twice() -> bool:
            found = await deliveries(notify)
            return found[0]["attempts"] >= 2 and found[1]["state"] == "sent"

        await eventually(put_off_twice)
        (waiting, _) = await deliveries(notify)
        assert waiting["last_error"] == "smtp_451"
        del mail_server.recipient_answers[ADDRESS]
        await all_are(notify, "sent", 2)
    assert len(mail_server.to(ADDRESS)) == 1
    assert {told.attempts >= 3 for told in await notify.emitted(NotificationDelivered)} == {True, False}


@pytest.mark.parametrize("answer", ["421 Closing", "550 We do not know you", "452 Disk full"])
async def test_a_server_that_refuses_our_sender_delays_and_fails_nothing(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer, answer: str
) -> None:
    await add(notify, ADDRESS)
    mail_server.sender_answer = answer
    await notify.receive(event(ConcernRated), key=KEY)
    async with sending():

        async def was_tried() -> bool:
            (delivery,) = await deliveries(notify)
            return delivery["last_error"] == f"smtp_{answer[:3]}"

        await eventually(was_tried)
        assert metric("qc_mail_server_up") == 0
        mail_server.sender_answer = None
        await all_are(notify, "sent", 1)
    assert len(mail_server.mails) == 1


async def test_a_service_that_stops_finishes_the_message_in_hand(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    mail_server.slowness_s = 0.5
    for _ in range(3):
        await notify.receive(event(ConcernRated), key=KEY)
    async with sending():

        async def has_one_in_hand() -> bool:
            return "sending" in await states(notify)

        await eventually(has_one_in_hand)
    assert await states(notify) == ["sent", "queued", "queued"]
    assert len(mail_server.mails) == 1


async def test_a_service_that_stops_does_not_wait_for_a_mail_server_that_is_down(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    mail_server.stop()
    await notify.receive(event(ConcernRated), key=KEY)
    async with sending():
        await asyncio.sleep(2)
        started = time.monotonic()
    assert time.monotonic() - started < 1, "by now it waits longer than this between two tries"


async def test_an_inactive_stakeholders_mail_waits_and_goes_to_the_address_it_has_then(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    stakeholder = await add(notify, "wrong@fenbrook.example")
    await notify.receive(event(ConcernRated), key=KEY)
    path = f"/stakeholders/{stakeholder}"
    body = {
        "kind": "university",
        "organisation": "University of Fenbrook (fictional)",
        "email": ADDRESS,
        "active": False,
        "subscriptions": [],
    }
    paused = await notify.call("PUT", path, role=Role.QUALITY_OFFICER, json=body, headers={"If-Match": '"1"'})
    assert paused.status_code == 200
    async with sending():
        await asyncio.sleep(0.6)
        assert await states(notify) == ["queued"]
        body["active"] = True
        await notify.call("PUT", path, role=Role.QUALITY_OFFICER, json=body, headers={"If-Match": '"2"'})
        await all_are(notify, "sent", 1)
    assert [mail.to for mail in mail_server.mails] == [ADDRESS]


# Refused -----------------------------------------------------------------------------------------------------------


async def test_a_refused_recipient_fails_is_told_of_and_goes_out_once_an_operator_says_so(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    mail_server.recipient_answers[ADDRESS] = f"550 <{ADDRESS}> no such mailbox"
    event_id = uuid4()
    await notify.receive(event(ConcernRated), key=KEY, event_id=event_id)
    async with sending():
        await all_are(notify, "failed", 1)
        (told,) = await notify.emitted(NotificationFailed)
        assert told.failure is FailureCode.RECIPIENT_REFUSED
        assert told.about_event_id == event_id
        (delivery,) = await deliveries(notify, state="failed")
        assert delivery["last_error"] == "smtp_550"
        assert delivery["next_attempt_at"] is None
        del mail_server.recipient_answers[ADDRESS]
        retried = await notify.call(
            "POST",
            f"/deliveries/{delivery['id']}/retry",
            role=Role.OPERATIONS,
            json={"reason": "The mailbox was made"},
            headers={"If-Match": f'"{delivery["version"]}"'},
        )
        assert retried.status_code == 200, retried.text
        assert retried.json()["state"] == "queued"
        await all_are(notify, "sent", 1)
    assert len(mail_server.mails) == 1
    (delivered,) = await notify.emitted(NotificationDelivered)
    assert (delivered.notification_id, delivered.attempts) == (told.notification_id, 2)
    async with notify.pool.acquire() as connection:
        changes = await history.of(connection, "delivery", delivery["id"])
    assert [(change.change, change.reason) for change in changes] == [
        ("queued", None),
        ("failed", None),
        ("queued again", "The mailbox was made"),
        ("sent", None),
    ]


async def test_a_refused_message_fails_and_the_next_one_is_not_held_up(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    mail_server.data_answer = "554 Looks like spam"
    await notify.receive(event(ConcernRated), key=KEY)
    async with sending():
        await all_are(notify, "failed", 1)
        mail_server.data_answer = None
        await notify.receive(event(ConcernRated), key=KEY)

        async def next_is_sent() -> bool:
            return await states(notify) == ["failed", "sent"]

        await eventually(next_is_sent)
    (told,) = await notify.emitted(NotificationFailed)
    assert told.failure is FailureCode.MESSAGE_REFUSED


async def test_a_template_that_cannot_be_filled_fails_alone(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    for _ in range(2):
        await notify.receive(event(ConcernRated), key=KEY)
    await notify.pool.execute(
        "update deliveries set template = 'concern-rated@999' where position = (select min(position) from deliveries)"
    )
    async with sending():

        async def other_is_sent() -> bool:
            return await states(notify) == ["failed", "sent"]

        await eventually(other_is_sent)
    (told,) = await notify.emitted(NotificationFailed)
    assert told.failure is FailureCode.TEMPLATE_ERROR
    assert told.template == "concern-rated@999"


async def test_a_delivery_that_fails_in_a_way_nobody_foresaw_waits_and_does_not_hold_up_the_others(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    for _ in range(2):
        await notify.receive(event(ConcernRated), key=KEY)
    await notify.pool.execute(
        "update feed set data = data - 'provider' where position = (select min(position) from feed)"
    )
    async with sending():

        async def other_is_sent() -> bool:
            broken, other = await deliveries(notify)
            return broken["last_error"] == "unexpected_error" and other["state"] == "sent"

        await eventually(other_is_sent)
    assert (await states(notify))[0] == "queued"
