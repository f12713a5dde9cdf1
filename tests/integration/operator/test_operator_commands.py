"""What operators do about delivery: on letters, parked streams and an outbox that a real service made."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.visits.app import SPEC as VISITS
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import EventData
from shared.messaging.unit_of_work import unit_of_work
from tests.fixtures.commands import Qc
from tests.fixtures.services import ServiceUnderTest, StartService

WHY = ("--reason", "the sender was mended")


def example(name: str) -> EventData:
    return next(one.data for one in EXAMPLES if one.spec.name == name)


@pytest.fixture
async def visits(start_service: StartService) -> ServiceUnderTest:
    return await start_service(VISITS)


def address(service: ServiceUnderTest) -> dict[str, str]:
    return {"QC_VISITS_DATABASE_URL": service.service.settings.database_url.get_secret_value()}


async def break_contract(service: ServiceUnderTest, key: str) -> int:
    """Let an event arrive that breaks its contract, so that its stream is parked at it; returns its letter."""
    record = service.record(example("concern.raised"), key)
    await service.receive_batch([replace(record, value=b'{"secret": "of a foreign sender"}')])
    return await service.pool.fetchval("select max(id) from dead_letters")


async def receive_garbage(service: ServiceUnderTest) -> int:
    record = service.record(example("concern.raised"), f"G{uuid.uuid4().hex[:8].upper()}")
    await service.receive_batch([replace(record, headers=(), value=b"garbage")])
    return await service.pool.fetchval("select max(id) from dead_letters")


async def actions(service: ServiceUnderTest) -> list[tuple[str, str, str, str]]:
    rows = await service.pool.fetch("select actor, reason, action, target from operator_actions order by id")
    return [tuple(row) for row in rows]


async def test_letters_are_listed_and_one_is_shown_without_its_value(qc: Qc, visits: ServiceUnderTest) -> None:
    letter = await break_contract(visits, "FICTHT001")
    listed = await qc("dead-letters", "list", "--service", "visits", "--json", **address(visits))
    assert [(one["id"], one["reason"], one["blocks_stream"]) for one in listed.json["dead_letters"]] == [
        (letter, "breaks_contract", True)
    ]
    table = await qc("dead-letters", "list", "--service", "visits", **address(visits))
    assert "breaks_contract" in table.output
    assert "quality.concerns.v1/east-midlands/intelligence/FICTHT001#1" in table.output
    shown = await qc("dead-letters", "show", str(letter), "--service", "visits", "--json", **address(visits))
    assert shown.exit_code == 0
    assert ["ce_sequence", "1"] in shown.json["headers"]
    assert "secret" not in shown.output
    everything = await qc("dead-letters", "show", str(letter), "--service", "visits", "--value", **address(visits))
    assert "of a foreign sender" in everything.output


async def test_a_discarded_letter_lets_its_stream_go_on_and_is_kept_with_who_and_why(
    qc: Qc, visits: ServiceUnderTest
) -> None:
    letter = await break_contract(visits, "FICTHT001")
    command = ("dead-letters", "discard", str(letter), "--service", "visits", "--actor", "ops-7", *WHY)

    tried = await qc(*command, "--dry-run", "--json", **address(visits))
    assert tried.exit_code == 0
    assert tried.json["letters"] == [{"id": letter, "result": "would be discarded", "detail": ""}]
    assert await actions(visits) == []
    assert await visits.pool.fetchval("select status from dead_letters") == "dead"

    done = await qc(*command, "--json", **address(visits))
    assert (done.exit_code, done.json["letters"][0]["result"]) == (0, "discarded")
    assert await actions(visits) == [
        ("ops-7", "the sender was mended", "dead_letter.discarded", f"dead_letter/{letter}")
    ]
    assert await visits.pool.fetchval("select last_sequence from positions") == 1

    again = await qc(*command, "--json", **address(visits))
    assert (again.exit_code, again.json["letters"][0]["result"]) == (1, "refused")
    assert "was discarded" in again.json["letters"][0]["detail"]
    assert len(await actions(visits)) == 1
    shown = await qc("dead-letters", "show", str(letter), "--service", "visits", **address(visits))
    assert "ops-7 dead_letter.discarded: the sender was mended" in shown.output


async def test_a_letter_that_blocks_a_stream_is_redriven_once(qc: Qc, visits: ServiceUnderTest) -> None:
    letter = await break_contract(visits, "FICTHT001")
    command = ("dead-letters", "redrive", str(letter), "--service", "visits", *WHY)
    assert (await qc(*command, **address(visits))).exit_code == 0
    assert await visits.pool.fetchval("select retry_at <= now() from parked_streams")
    again = await qc(*command, **address(visits))
    assert again.exit_code == 1
    assert "was redriven" in again.output
    ((actor, *_),) = await actions(visits)
    assert actor.startswith("user:")


async def test_what_still_cannot_be_read_is_not_redriven_and_all_garbage_is_discarded_at_once(
    qc: Qc, visits: ServiceUnderTest
) -> None:
    blocking = await break_contract(visits, "FICTHT001")
    garbage = [await receive_garbage(visits) for _ in range(3)]
    refused = await qc("dead-letters", "redrive", str(garbage[0]), "--service", "visits", *WHY, **address(visits))
    assert refused.exit_code == 1
    assert "still cannot be read" in refused.output
    every = ("dead-letters", "discard", "--all", "--only", "unreadable", "--service", "visits", *WHY, "--json")
    done = await qc(*every, **address(visits))
    assert [one["id"] for one in done.json["letters"]] == garbage
    left = await qc("dead-letters", "list", "--service", "visits", "--json", **address(visits))
    assert [one["id"] for one in left.json["dead_letters"]] == [blocking]


async def test_parked_streams_and_gaps_are_listed(qc: Qc, visits: ServiceUnderTest) -> None:
    letter = await break_contract(visits, "FICTHT001")
    *_, third = [visits.record(example("concern.raised"), "FICTGP002") for _ in range(3)]
    await visits.receive_batch([third])
    listed = (await qc("parked", "list", "--service", "visits", "--json", **address(visits))).json
    assert [(one["key"], one["sequence"], one["dead_letter_id"]) for one in listed["parked"]] == [
        ("FICTHT001", 1, letter)
    ]
    assert [(one["key"], one["first_missing"], one["last_missing"], one["waiting"]) for one in listed["gaps"]] == [
        ("FICTGP002", 1, 2, 1)
    ]
    table = (await qc("parked", "list", "--service", "visits", **address(visits))).output
    assert "when decided" in table
    assert "#1 to #2" in table


async def test_a_parked_stream_is_tried_at_once_unless_its_head_is_dead(qc: Qc, visits: ServiceUnderTest) -> None:
    await break_contract(visits, "FICTHT001")
    name = "quality.concerns.v1/east-midlands/intelligence/FICTHT001"
    command = ("parked", "retry", name, "--service", "visits", *WHY)
    refused = await qc(*command, **address(visits))
    assert refused.exit_code == 1
    assert "dead letter" in refused.output

    await visits.pool.execute(
        "update parked_streams set reason = 'failed', dead_letter_id = null, attempts = 7, "
        "retry_at = now() + interval '5 minutes'"
    )
    waiting = "select attempts = 7 and retry_at > now() + interval '1 minute' from parked_streams"
    assert (await qc(*command, "--dry-run", **address(visits))).output.strip() == f"{name}  would be tried"
    assert await visits.pool.fetchval(waiting)
    assert (await qc(*command, **address(visits))).exit_code == 0
    assert await visits.pool.fetchval("select attempts = 0 and retry_at <= now() from parked_streams")
    assert [(action, target) for _, _, action, target in await actions(visits)] == [("parked.retried", name)]

    await visits.pool.execute("delete from parked_streams")
    nothing = await qc(*command, **address(visits))
    assert nothing.exit_code == 1
    assert "not parked" in nothing.output


async def emit(service: ServiceUnderTest, count: int) -> None:
    data = example("visit.required")
    async with unit_of_work(service.pool, service.service.source, datetime.now(UTC)) as work:
        for _ in range(count):
            work.emit(data, key="FICTHT001", correlation_id=uuid.uuid4())


async def test_the_outbox_is_shown_with_what_stands_still(qc: Qc, visits: ServiceUnderTest) -> None:
    await emit(visits, 2)
    command = ("outbox", "status", "--service", "visits")
    found = await qc(*command, "--json", **address(visits))
    assert found.exit_code == 0
    ((one),) = found.json["services"]
    assert (one["unsent"], one["published"], one["fence"], one["stopped_keys"]) == (2, 0, None, [])

    await visits.pool.execute(
        "insert into relay_stops (topic, key, event_id, error, retry_at) "
        "select topic, key, event_id, 'too large', now() from outbox limit 1"
    )
    await visits.pool.execute("insert into outbox_fence (reason) values ('it is older')")
    stopped = await qc(*command, **address(visits))
    assert stopped.exit_code == 1
    assert "visits may not emit: it is older" in stopped.output
    assert "too large" in stopped.output


async def test_what_was_sent_is_sent_again_once_and_with_a_reason(qc: Qc, visits: ServiceUnderTest) -> None:
    await emit(visits, 3)
    await visits.pool.execute("delete from outbox_unsent")
    command = ("outbox", "republish", "--service", "visits", "--since", "1h", *WHY)
    tried = await qc(*command, "--dry-run", "--json", **address(visits))
    assert tried.json["services"][0]["events"] == {"quality.visits.v1": 3}
    assert await visits.pool.fetchval("select count(*) from outbox_unsent") == 0
    assert (await qc(*command, **address(visits))).exit_code == 0
    assert await visits.pool.fetchval("select count(*) from outbox_unsent") == 3
    # They are on their way already: nothing more is to be done.
    assert (await qc(*command, **address(visits))).exit_code == 1
    assert [action for _, _, action, _ in await actions(visits)][:1] == ["outbox.republished"]


async def test_nothing_is_republished_from_the_future_or_by_a_fenced_service(qc: Qc, visits: ServiceUnderTest) -> None:
    await emit(visits, 1)
    await visits.pool.execute("delete from outbox_unsent")
    command = ("outbox", "republish", "--service", "visits", *WHY, "--since")
    late = await qc(*command, "2999-01-01T00:00Z", **address(visits))
    assert late.exit_code == 1
    await visits.pool.execute("insert into outbox_fence (reason) values ('it is older')")
    fenced = await qc(*command, "all", **address(visits))
    assert fenced.exit_code == 2
    assert fenced.error and "qc outbox recover" in fenced.error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("dead-letters", "redrive", "1", "--service", "visits", "--reason", " "), "Give a --reason"),
        (("dead-letters", "redrive", "--service", "visits", *WHY), "by their numbers, or all"),
        (("dead-letters", "redrive", "1", "--all", "--service", "visits", *WHY), "by their numbers, or all"),
        (("dead-letters", "show", "77", "--service", "visits"), "no dead letter 77"),
        (("dead-letters", "discard", "1", "--service", "visits", "--actor", "Jo Bloggs", *WHY), "opaque id"),
        (("parked", "retry", "not-a-stream", "--service", "visits", *WHY), "is no stream"),
        (("outbox", "republish", "--since", "yesterday", *WHY), "is no instant"),
        (("outbox", "republish", "--since", "2026-03-04T05:00", *WHY), "time zone"),
        (("parked", "list", "--database-url", "postgresql://x/y"), "--service"),
        (("parked", "list", "--service", "funding"), "QC_FUNDING_DATABASE_URL"),
        (("parked", "list", "--service", "visits", "--database-url", "postgresql://127.0.0.1:1/x"), "cannot be used"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(
    qc: Qc, visits: ServiceUnderTest, arguments: tuple[str, ...], sentence: str
) -> None:
    ran = await qc(*arguments, **address(visits))
    assert ran.exit_code == 2
    assert ran.error is not None
    assert sentence in ran.error
    assert "\n" not in ran.error


async def test_a_database_without_the_tables_of_this_version_is_named(qc: Qc, database: str) -> None:
    ran = await qc("parked", "list", "--service", "visits", "--database-url", database)
    assert ran.exit_code == 2
    assert ran.error and "lacks tables" in ran.error
