"""No legal history of events stops a service, and how it is cut into batches makes no difference."""

import uuid
from collections.abc import Sequence
from itertools import count, cycle

import pytest
from histories import BATCHES, HISTORIES, PROVIDERS, Happened
from hypothesis import HealthCheck, given, settings

from services.funding.app import SPEC as FUNDING
from services.intelligence.app import SPEC as INTELLIGENCE
from services.intelligence.app import Settings as IntelligenceSettings
from services.notify.app import SPEC as NOTIFY
from services.notify.app import Settings as NotifySettings
from services.notify.domain.stakeholders import EventName
from services.visits.app import SPEC as VISITS
from shared.contracts.fields import EventData
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import Topic, by_model, by_type
from shared.messaging.records import Record
from shared.reference import files
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest, StartService

thorough = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def told(history: Sequence[Happened], world: uuid.UUID) -> list[tuple[EventData, str]]:
    """The events of a history in a world of their own, each with its key."""
    unique = count()
    return [(happened.told_in(world, unique), happened.key) for happened in history]


async def take_in(service: ServiceUnderTest, events: Sequence[tuple[EventData, str]], batches: Sequence[int]) -> None:
    """Take events in, in batches of these sizes, again and again."""
    left = list(events)
    for size in cycle(batches):
        if not left:
            return
        taken, left = left[:size], left[size:]
        applied = await service.receive_batch(_in_order(service, taken))
        assert not applied.undeliverable
        assert not applied.held


def _in_order(service: ServiceUnderTest, events: Sequence[tuple[EventData, str]]) -> list[Record]:
    return [service.record(data, key) for data, key in events]


@pytest.fixture
async def visits(start_service: StartService) -> ServiceUnderTest:
    return await start_service(VISITS)


@thorough
@given(history=HISTORIES, batches=BATCHES)
async def test_visits_calls_for_the_same_however_events_are_batched(
    visits: ServiceUnderTest, history: list[Happened], batches: list[int]
) -> None:
    worlds = uuid.uuid4(), uuid.uuid4()
    await take_in(visits, told(history, worlds[0]), [1])
    await take_in(visits, told(history, worlds[1]), batches)
    one_by_one, batched = [await _called_for(visits, told(history, world)) for world in worlds]
    assert one_by_one == batched


async def _called_for(visits: ServiceUnderTest, events: Sequence[tuple[EventData, str]]) -> list[list[tuple]]:
    """What each concern calls for, and what was told of it, without ids."""
    ids = [one for data, _ in events if (one := getattr(data, "concern_id", None))]
    found: list[list[tuple]] = []
    for concern_id in dict.fromkeys(ids):
        rows = await visits.pool.fetch(
            """
            select r.number, r.category, r.kind, r.latest_date, r.state, r.called_for, r.version, c.open, c.category,
                   (select count(*) from outbox o where o.subject = r.id::text) as told,
                   (select count(*) from history h where h.aggregate_id = r.id::text) as changes
            from requirements r join concerns c on c.id = r.concern_id where c.id = $1 order by r.number""",
            concern_id,
        )
        for row in rows:
            assert row["changes"] == row["version"]
        found.append([tuple(row) for row in rows])
    return found


@pytest.fixture
async def funding(start_service: StartService) -> ServiceUnderTest:
    """With an agreement for one provider and year; the other outcomes have to wait."""
    service = await start_service(FUNDING)
    answer = await service.call(
        "POST",
        "/agreements",
        role=Role.FINANCE_OFFICER,
        json={
            "provider": {"ods_code": PROVIDERS[0], "name": "Fenbrook (fictional)", "kind": "hospital_trust"},
            "financial_year": "2024-25",
            "signed_on": "2024-04-01",
            "lines": [{"tariff_group": "clinical", "amount_pence": 99_999}],
        },
    )
    assert answer.status_code == 201, answer.text
    return service


@thorough
@given(history=HISTORIES, batches=BATCHES)
async def test_funding_proposes_or_waits_once_for_each_outcome(
    funding: ServiceUnderTest, history: list[Happened], batches: list[int]
) -> None:
    events = told(history, uuid.uuid4())
    await take_in(funding, events, batches)
    outcomes = list({data.outcome_id for data, _ in events if isinstance(data, OutcomeRecorded)})
    proposed = await funding.pool.fetch("select outcome_id, pence from proposals where outcome_id = any($1)", outcomes)
    waiting = await funding.pool.fetch("select outcome_id from waiting_outcomes where outcome_id = any($1)", outcomes)
    assert sorted(row["outcome_id"] for row in [*proposed, *waiting]) == sorted(outcomes)
    assert all(-99_999 <= row["pence"] <= 99_999 for row in proposed)
    for path in ("/waiting-outcomes", "/proposals"):
        answer = await funding.call("GET", path, role=Role.READER, params={"limit": 200})
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def notify(start_service: StartService) -> ServiceUnderTest:
    """With one stakeholder who is told of everything."""
    service = await start_service(
        NOTIFY, NotifySettings, smtp_host="127.0.0.1", smtp_port=1, smtp_sender="office@office.example"
    )
    names = [spec.name for event_type in NOTIFY.reactions.event_types if (spec := by_type(event_type))]
    answer = await service.call(
        "POST",
        "/stakeholders",
        role=Role.QUALITY_OFFICER,
        json={
            "kind": "other",
            "organisation": "All ears (fictional)",
            "email": "all@ears.example",
            "subscriptions": [{"event_types": names}],
        },
    )
    assert answer.status_code == 201, answer.text
    return service


@thorough
@given(history=HISTORIES, batches=BATCHES)
async def test_notify_shows_each_event_and_tells_of_each_that_is_news(
    notify: ServiceUnderTest, history: list[Happened], batches: list[int]
) -> None:
    before = await _counts(notify)
    events = told(history, uuid.uuid4())
    await take_in(notify, events, batches)
    shown = [data for data, _ in events if by_model(type(data)).name in set(EventName)]
    news = [data for data in shown if getattr(data, "origin", None) != "imported"]
    after = await _counts(notify)
    assert (after[0] - before[0], after[1] - before[1]) == (len(shown), len(news))


async def _counts(notify: ServiceUnderTest) -> tuple[int, int]:
    row = await notify.pool.fetchrow("select (select count(*) from feed), (select count(*) from deliveries)")
    assert row is not None
    return row[0], row[1]


@pytest.fixture
async def intelligence(start_service: StartService) -> ServiceUnderTest:
    service = await start_service(INTELLIGENCE, IntelligenceSettings)
    text = files.path("providers-synthetic.csv").read_bytes()
    assert (await service.call("POST", "/imports/providers", role=Role.OPERATIONS, content=text)).status_code == 200
    return service


@thorough
@given(history=HISTORIES, batches=BATCHES)
async def test_intelligence_tells_each_event_once_in_the_story_of_each_of_its_concerns(
    intelligence: ServiceUnderTest, history: list[Happened], batches: list[int]
) -> None:
    answer = await intelligence.call(
        "POST",
        "/concerns",
        role=Role.QUALITY_OFFICER,
        json={
            "provider_code": "FICTHT001",
            "programme": "General surgery",
            "learner_group": "medical",
            "source_kind": "learner",
            "summary": "Supervision is missing.",
        },
    )
    assert answer.status_code == 201, answer.text
    known = uuid.UUID(answer.json()["id"])
    world = uuid.uuid4()
    # One of the history's concerns is on this register; the others are on no register or on another office's.
    unknown = uuid.uuid5(world, "concern 0")
    events = [(_about(data, unknown, known), key) for data, key in told(history, world)]
    await take_in(intelligence, events, batches)
    story = (await intelligence.call("GET", f"/concerns/{known}", role=Role.READER)).json()["story"]
    heard = [data for data, _ in events if by_model(type(data)).topic is not Topic.CONCERNS]
    assert len(story) - 1 == sum(known in _concerns(data) for data in heard)


def _about(data: EventData, before: uuid.UUID, after: uuid.UUID) -> EventData:
    return type(data).model_validate_json(data.model_dump_json().replace(str(before), str(after)))


def _concerns(data: EventData) -> list[uuid.UUID | None]:
    return [getattr(data, "concern_id", None), *getattr(data, "concern_ids", [])]
