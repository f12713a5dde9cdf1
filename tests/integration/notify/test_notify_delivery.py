"""From an event to the mailbox: in order, once, and never lost."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from notify_mail import MailServer
from notify_story import (
    ADDRESS,
    KEY,
    OTHER_KEY,
    OTHER_PROVIDER,
    Sending,
    add,
    all_are,
    deliveries,
    event,
    eventually,
    states,
)

from deploy.local import ports
from services.notify.settings import Settings
from services.notify.store import deliveries as table
from shared.contracts.concerns import ConcernClosed, ConcernRaised, ConcernRated
from shared.contracts.fields import Category, Origin
from shared.contracts.investments import InvestmentAdjusted
from shared.contracts.notifications import NotificationDelivered
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model
from shared.contracts.visits import VisitScheduled
from shared.persistence import history
from shared.security.roles import Role
from tests.fixtures.services import PSEUDONYM_KEY, SECRET, ServiceUnderTest

# The way of one e-mail ---------------------------------------------------------------------------------------------


async def test_an_event_becomes_an_e_mail_and_an_event_that_tells_of_it(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    stakeholder = await add(notify, ADDRESS)
    rated, event_id, correlation = event(ConcernRated), uuid4(), uuid4()
    await notify.receive(rated, key=KEY, event_id=event_id, correlation_id=correlation)
    assert await states(notify) == ["queued"]
    async with sending():
        await all_are(notify, "sent", 1)
    (mail,) = mail_server.mails
    assert mail.to == ADDRESS
    assert rated.reference in mail.subject
    assert "2 (significant)" in mail.text
    (delivery,) = await deliveries(notify)
    assert mail.id.startswith(f"<{delivery['id']}@")
    (told,) = await notify.emitted(NotificationDelivered)
    assert told.notification_id == UUID(delivery["id"])
    assert told.stakeholder_id == stakeholder
    assert told.stakeholder_kind == "university"
    assert told.about_event_id == event_id
    assert told.about_event_type == by_model(ConcernRated).type
    assert told.concern_ids == [rated.concern_id]
    assert told.template == "concern-rated@1"
    assert told.attempts == 1
    row = await notify.pool.fetchrow("select key, correlation_id, causation_id from outbox")
    assert row is not None
    assert dict(row) == {"key": KEY, "correlation_id": correlation, "causation_id": event_id}
    async with notify.pool.acquire() as connection:
        changes = await history.of(connection, "delivery", delivery["id"])
    assert [(change.version, change.change, change.actor) for change in changes] == [
        (1, "queued", f"event:{event_id}"),
        (2, "sent", "service:notify"),
    ]


async def test_several_e_mails_go_out_over_one_connection_in_order_and_many_a_second(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    for number in range(30):
        await notify.receive(event(ConcernRated, reference=f"EM-{number:03}"), key=KEY)
    started = time.monotonic()
    async with sending():
        await all_are(notify, "sent", 30)
    assert time.monotonic() - started < 10, "at least three a second, on a busy machine"
    assert [mail.subject.split(" concern ")[1].split()[0] for mail in mail_server.mails] == [
        f"EM-{number:03}" for number in range(30)
    ]
    assert mail_server.connections == 1


async def test_an_e_mail_queued_while_the_worker_is_idle_goes_out_without_delay(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    async with sending():
        await asyncio.sleep(0.5)
        started = time.monotonic()
        await notify.receive(event(ConcernRated), key=KEY)
        await all_are(notify, "sent", 1)
        assert time.monotonic() - started < 2


# Who is told -------------------------------------------------------------------------------------------------------


async def test_a_concern_taken_over_from_an_earlier_register_is_in_the_feed_and_in_no_mail(
    notify: ServiceUnderTest,
) -> None:
    await add(notify, ADDRESS, {"event_types": ["concern.raised", "concern.rated", "concern.closed"]})
    for model in (ConcernRaised, ConcernRated, ConcernClosed):
        await notify.receive(event(model, origin=Origin.IMPORTED), key=KEY)
    assert await deliveries(notify) == []
    feed = await notify.call("GET", "/feed", role=Role.READER)
    assert len(feed.json()["items"]) == 3


async def test_what_is_known_of_a_concern_decides_over_later_events_about_it(notify: ServiceUnderTest) -> None:
    regulator = await add(
        notify,
        "education@gmc.example",
        {"event_types": ["visit.scheduled", "investment.adjusted"], "minimum_category": 2},
        kind="general_medical_council",
    )
    minor, significant, imported = (event(ConcernRated, category=category) for category in list(Category)[1:4])
    await notify.receive(minor, key=KEY)
    await notify.receive(significant, key=KEY)
    await notify.receive(imported.model_copy(update={"origin": Origin.IMPORTED}), key=KEY)
    await notify.receive(event(VisitScheduled, concern_ids=[minor.concern_id]), key=KEY)
    assert await deliveries(notify) == []
    await notify.receive(event(VisitScheduled, concern_ids=[minor.concern_id, significant.concern_id]), key=KEY)
    await notify.receive(event(InvestmentAdjusted, concern_ids=[imported.concern_id]), key=KEY)
    found = await deliveries(notify)
    assert [delivery["event_type"] for delivery in found] == ["visit.scheduled", "investment.adjusted"]
    assert {delivery["stakeholder_id"] for delivery in found} == {str(regulator)}
    downgraded = significant.model_copy(update={"category": Category.MINOR})
    await notify.receive(downgraded, key=KEY)
    await notify.receive(event(VisitScheduled, concern_ids=[significant.concern_id]), key=KEY)
    assert len(await deliveries(notify)) == 2


async def test_a_local_education_provider_is_told_of_itself_alone(notify: ServiceUnderTest) -> None:
    own = await add(
        notify,
        "education@fenbrook.example",
        {"event_types": ["outcome.recorded"]},
        kind="local_education_provider",
        provider_code=KEY,
    )
    await notify.receive(event(OutcomeRecorded), key=KEY)
    await notify.receive(event(OutcomeRecorded, provider=OTHER_PROVIDER), key=OTHER_KEY)
    assert [(d["stakeholder_id"], d["provider_code"]) for d in await deliveries(notify)] == [(str(own), KEY)]


# Once --------------------------------------------------------------------------------------------------------------


async def test_an_event_that_comes_twice_is_mailed_and_listed_once(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    event_id = uuid4()
    for _ in range(3):  # as after a restored database: new numbers, the same event
        await notify.receive(event(ConcernRated), key=KEY, event_id=event_id)
    async with sending():
        await all_are(notify, "sent", 1)
        await asyncio.sleep(0.3)
    assert len(mail_server.mails) == 1
    assert len(await notify.emitted(NotificationDelivered)) == 1
    assert len((await notify.call("GET", "/feed", role=Role.READER)).json()["items"]) == 1


async def test_two_replicas_send_every_e_mail_once_between_them(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    mail_server.slowness_s = 0.02
    for number in range(4):
        await add(notify, f"someone-{number}@fenbrook.example")
    for _ in range(10):
        await notify.receive(event(ConcernRated), key=KEY)
    async with sending(instance_id="a"), sending(instance_id="b"):
        await all_are(notify, "sent", 40)
    assert len(mail_server.mails) == len({mail.id for mail in mail_server.mails}) == 40
    assert len(await notify.emitted(NotificationDelivered)) == 40
    assert mail_server.connections == 2


async def test_a_claim_whose_lease_ended_is_taken_over_and_its_first_owner_changes_nothing_any_more(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    await notify.receive(event(ConcernRated), key=KEY)
    async with notify.pool.acquire() as connection:
        lost = await table.claim(connection, "a silent replica", 0.5)
        assert lost is not None
        assert await table.claim(connection, "another", 30) is None
    async with sending():
        await all_are(notify, "sent", 1)
    async with notify.pool.acquire() as connection:
        assert not await table.mark_failed(connection, lost, datetime.now(UTC), "smtp_550")
        assert not await table.postpone(connection, lost, delay_s=0, error="timeout")
    assert await states(notify) == ["sent"]
    assert len(mail_server.mails) == 1


async def test_what_is_claimed_next_is_found_without_reading_what_was_sent_or_waits_behind_it(
    notify: ServiceUnderTest,
) -> None:
    await add(notify, ADDRESS)
    for _ in range(100):
        await notify.receive(event(ConcernRated), key=KEY)
    async with notify.pool.acquire() as connection, connection.transaction():
        await connection.execute("update deliveries set state = 'sent', finished_at = now() where position <= 50")
        claims = [await table.claim(connection, "a replica", 30) for _ in range(20)]
        assert all(claims)
        read = await connection.fetchval(
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'deliveries'"
        )
    assert read < 200, "the update above read a hundred, and each claim reads its own"


async def test_a_restarted_process_takes_its_own_claims_back_at_once_and_leaves_those_of_others(
    notify: ServiceUnderTest, sending: Sending
) -> None:
    await add(notify, ADDRESS)
    for _ in range(2):
        await notify.receive(event(ConcernRated), key=KEY)
    settings = notify.service.settings
    assert isinstance(settings, Settings)
    async with notify.pool.acquire() as connection:
        for claimant in (settings.claimant, "another replica"):
            assert await table.claim(connection, claimant, 600) is not None
    async with sending():

        async def own_is_sent() -> bool:
            return await states(notify) == ["sent", "sending"]

        await eventually(own_is_sent, within_s=5)
        await asyncio.sleep(0.5)
        assert await own_is_sent()


@pytest.mark.timeout(90)
async def test_a_process_killed_between_the_mail_servers_yes_and_the_mark_sends_at_most_one_e_mail_twice(
    notify: ServiceUnderTest, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    for _ in range(6):
        await notify.receive(event(ConcernRated), key=KEY)
    processes = [_start_process(notify, mail_server)]

    def kill_at_the_third() -> None:
        if len(mail_server.mails) == 3:
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()

    mail_server.on_kept = kill_at_the_third
    try:

        async def is_dead() -> bool:
            return processes[0].poll() is not None

        await eventually(is_dead, within_s=30)
        assert (await states(notify)).count("sent") == 2
        processes.append(_start_process(notify, mail_server))
        await all_are(notify, "sent", 6)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len({mail.id for mail in mail_server.mails}) == 6
    assert len(mail_server.mails) == 7
    assert mail_server.mails[2].id == mail_server.mails[3].id, "the repeat can be told by its Message-ID"
    assert len(await notify.emitted(NotificationDelivered)) == 6


def _start_process(notify: ServiceUnderTest, mail_server: MailServer) -> subprocess.Popen[bytes]:
    settings = notify.service.settings
    environment = {
        **os.environ,
        "QC_DATABASE_URL": settings.database_url.get_secret_value(),
        "QC_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "QC_HTTP_PORT": str(ports.free_ports(1)[0]),
        "QC_INSTANCE_ID": "notify-0",
        "QC_JWT_SECRET": SECRET,
        "QC_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "QC_SMTP_HOST": mail_server.host,
        "QC_SMTP_PORT": str(mail_server.port),
        "QC_SMTP_SENDER": "quality-cycle@office.example",
    }
    return subprocess.Popen([sys.executable, "-m", "services.notify"], env=environment, stdout=subprocess.DEVNULL)


async def test_a_database_lost_between_the_mail_servers_yes_and_the_mark_makes_no_second_e_mail(
    notify: ServiceUnderTest, sending: Sending, mail_server: MailServer
) -> None:
    await add(notify, ADDRESS)
    for _ in range(3):
        await notify.receive(event(ConcernRated), key=KEY)
    loop = asyncio.get_running_loop()
    dsn = notify.service.settings.database_url.get_secret_value()

    async def cut_every_connection() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        await connection.close()

    mail_server.on_kept = lambda: asyncio.run_coroutine_threadsafe(cut_every_connection(), loop).result(10)
    async with sending():

        async def all_were_kept() -> bool:
            return len(mail_server.mails) >= 3

        await eventually(all_were_kept)
        await asyncio.sleep(1)
    assert await states(notify) == ["sent"] * 3
    assert len(mail_server.mails) == 3
    assert len(await notify.emitted(NotificationDelivered)) == 3


# Personal data -----------------------------------------------------------------------------------------------------


async def test_no_address_is_in_any_event_history_log_metric_or_saved_answer(
    notify: ServiceUnderTest,
    sending: Sending,
    mail_server: MailServer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "very-private-person@fenbrook.example"
    answer = await notify.call(
        "POST",
        "/stakeholders",
        role=Role.QUALITY_OFFICER,
        headers={"Idempotency-Key": "once"},
        json={
            "kind": "university",
            "organisation": "University of Fenbrook (fictional)",
            "email": secret,
            "subscriptions": [{"event_types": ["concern.rated"]}],
        },
    )
    assert secret not in answer.text
    await notify.receive(event(ConcernRated), key=KEY)
    mail_server.recipient_answers[secret] = f"451 <{secret}> later"
    async with sending():

        async def was_put_off() -> bool:
            return (await deliveries(notify))[0]["attempts"] > 0

        await eventually(was_put_off)
        mail_server.recipient_answers[secret] = f"550 <{secret}> never"
        await all_are(notify, "failed", 1)
        del mail_server.recipient_answers[secret]
        await notify.receive(event(ConcernRated), key=KEY)

        async def next_is_sent() -> bool:
            return await states(notify) == ["failed", "sent"]

        await eventually(next_is_sent)
    for table_name in ("outbox", "history", "feed", "deliveries", "idempotency_keys", "stakeholders"):
        rows = await notify.pool.fetch(f"select t::text as row from {table_name} t")  # noqa: S608 names above
        assert rows, table_name
        assert [row["row"] for row in rows if "very-private-person" in row["row"]] == [], table_name
    printed = capfd.readouterr()
    # The mail server of this test speaks in this process too, under a name of its own.
    logged = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    said = "\n".join([printed.out, printed.err, *logged])
    assert "message refused" in said, "the log was looked at"
    assert "very-private-person" not in said
    exposed = (await notify.call("GET", "/metrics", role=None)).text
    assert "qc_mail_attempts_total" in exposed
    assert "very-private-person" not in exposed
    for path in ("/stakeholders", "/deliveries", "/feed"):
        assert "very-private-person" not in json.dumps((await notify.call("GET", path, role=Role.READER)).json())
