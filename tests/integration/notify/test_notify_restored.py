"""A notify whose database was restored to the past mails nobody a second time."""

import asyncio
from collections.abc import Sequence

from notify_mail import MailServer
from notify_story import ADDRESS, KEY, Sending, add, all_are, event, eventually, states

from shared.contracts.concerns import ConcernRated
from shared.contracts.notifications import NotificationDelivered
from shared.messaging.event_ids import is_derived
from tests.fixtures.services import ServiceUnderTest


async def forget(notify: ServiceUnderTest) -> None:
    """Leave what a restore and the reading back of the topic leave: deliveries queued that were told of as sent."""
    await notify.pool.execute(
        "update deliveries set state = 'queued', attempts = 0, finished_at = null, next_attempt_at = now()"
    )


async def changes(notify: ServiceUnderTest) -> Sequence[str]:
    rows = await notify.pool.fetch("select change from history where aggregate = 'delivery' order by id")
    return [row["change"] for row in rows]


async def are_told(notify: ServiceUnderTest, count: int) -> bool:
    return await notify.pool.fetchval("select count(*) from outbox") == count


async def test_what_the_topic_tells_was_sent_is_marked_and_not_mailed_again(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    await notify.receive(event(ConcernRated), key=KEY)
    async with sending():
        await all_are(notify, "sent", 1)
        await forget(notify)
        # One that nobody was told of is mailed as ever.
        await notify.receive(event(ConcernRated), key=KEY)
        await all_are(notify, "sent", 2)
    assert len(mail_server.mails) == len({mail.id for mail in mail_server.mails}) == 2
    assert len(await notify.emitted(NotificationDelivered)) == 2
    made = await changes(notify)
    assert (made.count("sent"), made.count("known to be sent")) == (2, 1)


async def test_what_is_told_of_a_delivery_is_known_again_after_a_restore(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    """So its relay adopts such an event by itself: sending a message twice would tell of it once."""
    await add(notify, ADDRESS)
    await add(notify, "gone@fenbrook.example")
    mail_server.recipient_answers["gone@fenbrook.example"] = "550 No such person"
    await notify.receive(event(ConcernRated), key=KEY)
    async with sending():
        await eventually(lambda: are_told(notify, 2))
    for row in await notify.pool.fetch("select event_id, causation_id, source, type, subject from outbox"):
        assert is_derived(row["event_id"], row["causation_id"], row["source"], row["type"], row["subject"])


async def test_nothing_is_mailed_while_the_service_may_not_emit(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    await notify.receive(event(ConcernRated), key=KEY)
    await notify.pool.execute("insert into outbox_fence (reason) values ('restored, says the test')")
    async with sending():
        await asyncio.sleep(1)
        assert mail_server.mails == []
        assert await states(notify) == ["queued"]
        await notify.pool.execute("delete from outbox_fence")
        await all_are(notify, "sent", 1)
    assert len(mail_server.mails) == 1
