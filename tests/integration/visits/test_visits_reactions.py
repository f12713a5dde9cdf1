"""What happens to a concern decides what visit it calls for: events in, requirements and events out."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest

from services.visits.domain.concern import Provider
from services.visits.domain.requirement import requirement_id
from services.visits.policies import visit_policy
from services.visits.store import concerns
from shared.contracts.concerns import ConcernCorrected
from shared.contracts.examples import example_of
from shared.contracts.fields import Category, Origin, ProviderRef, VisitKind
from shared.contracts.registry import by_model
from shared.contracts.visits import VisitRequired
from shared.persistence.failures import is_passing
from shared.reference.kinds import ProviderKind
from shared.security.roles import Role
from tests.integration.visits.visits_world import FENBROOK, HARROWMERE, World, today


async def test_a_rating_opens_a_requirement_and_tells_of_it(world: World) -> None:
    concern_id = await world.raised()
    await world.rated(concern_id, Category.MAJOR)
    requirement = await world.requirement_of(concern_id)
    call = visit_policy().call(Category.MAJOR, today(), today())
    assert call is not None
    assert requirement["state"] == "open"
    assert requirement["kind"] == "triggered_visit"
    assert requirement["latest_date"] == call.latest_date.isoformat()
    assert requirement["provider"]["name"] == FENBROOK.name
    assert requirement["concern_reference"] == world.reference(concern_id)
    assert not requirement["overdue"]
    (event,) = await world.service.emitted(VisitRequired)
    assert event == VisitRequired(
        requirement_id=requirement_id(concern_id, 1),
        provider=FENBROOK,
        concern_id=concern_id,
        category=Category.MAJOR,
        kind=VisitKind.TRIGGERED_VISIT,
        latest_date=call.latest_date,
        policy_version="visit-policy-1",
        origin=Origin.REPORTED,
    )
    row = await world.service.pool.fetchrow("select * from outbox")
    assert row is not None
    assert (row["key"], row["correlation_id"], row["sequence"]) == (FENBROOK.ods_code, concern_id, 1)
    assert row["causation_id"] is not None


async def test_a_concern_that_is_only_raised_calls_for_nothing(world: World) -> None:
    concern_id = await world.raised()
    assert await world.requirements_of(concern_id) == []
    assert await world.service.emitted(VisitRequired) == []


async def test_a_rating_of_none_calls_for_nothing(world: World) -> None:
    concern_id = await world.raised()
    await world.rated(concern_id, Category.NONE)
    assert await world.requirements_of(concern_id) == []
    assert await world.service.emitted(VisitRequired) == []


async def test_the_same_event_twice_opens_one_requirement_and_tells_once(world: World) -> None:
    concern_id, event_id = await world.raised(), uuid4()
    rating = world.rating(concern_id, Category.MAJOR)
    await world.service.receive(rating, key=FENBROOK.ods_code, event_id=event_id)
    # The broker delivers it again: the same number of its stream, at a later offset.
    stream = ("quality.concerns.v1", FENBROOK.ods_code)
    world.service._sequences[stream] -= 1
    applied = await world.service.receive(rating, key=FENBROOK.ods_code, event_id=event_id)
    assert applied.counts == {("uk.nhs.quality.concern.rated.v1", "duplicate"): 1}
    assert len(await world.service.emitted(VisitRequired)) == 1
    assert (await world.requirement_of(concern_id))["version"] == 1


async def test_the_same_rating_again_tells_nothing_new(world: World) -> None:
    concern_id = await world.raised()
    await world.rated(concern_id, Category.MAJOR)
    await world.rated(concern_id, Category.MAJOR)
    assert len(await world.service.emitted(VisitRequired)) == 1


async def test_rated_up_down_and_to_none_it_is_one_requirement_with_its_history(world: World) -> None:
    concern_id = await world.raised()
    for category in (Category.MINOR, Category.TRAINING_SUSPENDED, Category.SIGNIFICANT, Category.NONE, Category.MAJOR):
        await world.rated(concern_id, category)
    requirement = await world.requirement_of(concern_id)
    assert (requirement["state"], requirement["category"]) == ("open", 3)
    assert [change["change"] for change in requirement["history"]] == [
        "opened",
        "changed",
        "changed",
        "withdrawn",
        "called_for_again",
    ]
    assert [change["version"] for change in requirement["history"]] == [1, 2, 3, 4, 5]
    assert all(change["actor"].startswith("event:") for change in requirement["history"])
    told = await world.service.emitted(VisitRequired)
    assert [event.category for event in told] == [1, 4, 2, 3]
    assert {event.requirement_id for event in told} == {UUID(requirement["id"])}


async def test_closing_a_concern_withdraws_its_open_requirement(world: World) -> None:
    requirement = await world.requirement()
    concern_id = UUID(requirement["concern_id"])
    await world.closed(concern_id)
    after = await world.requirement_of(concern_id)
    assert (after["state"], after["called_for"]) == ("withdrawn", False)


async def test_a_reopened_concern_calls_for_a_visit_once_it_is_rated_again(world: World) -> None:
    requirement = await world.requirement()
    concern_id = UUID(requirement["concern_id"])
    await world.closed(concern_id)
    await world.reopened(concern_id)
    assert (await world.requirement_of(concern_id))["state"] == "withdrawn"
    await world.rated(concern_id, Category.MAJOR)
    after = await world.requirement_of(concern_id)
    assert (after["id"], after["state"]) == (requirement["id"], "open")


async def test_events_of_a_concern_never_heard_of_are_taken(world: World) -> None:
    # The broker's retention may have taken the beginning of the log.
    rated, closed, reopened = uuid4(), uuid4(), uuid4()
    await world.rated(rated, Category.MINOR)
    await world.closed(closed)
    await world.reopened(reopened)
    await world.rated(closed, Category.MAJOR)
    assert (await world.requirement_of(rated))["state"] == "open"
    assert await world.requirements_of(closed) == []
    assert await world.requirements_of(reopened) == []


@pytest.mark.parametrize("day", [date.min, date.max])
async def test_an_impossible_day_of_rating_stops_nothing(world: World, day: date) -> None:
    concern_id = await world.raised()
    await world.rated(concern_id, Category.TRAINING_SUSPENDED, on=day)
    assert (await world.requirement_of(concern_id))["state"] == "open"


async def test_a_provider_is_called_what_the_last_event_calls_it(world: World) -> None:
    requirement = await world.requirement()
    renamed = ProviderRef(ods_code=FENBROOK.ods_code, name="Fenbrook and Vale (fictional)", kind=FENBROOK.kind)
    await world.raised(renamed)
    answer = await world.ask("GET", f"/requirements/{requirement['id']}")
    assert answer.json()["provider"]["name"] == "Fenbrook and Vale (fictional)"


async def test_an_old_rating_gives_a_requirement_that_is_overdue(world: World) -> None:
    concern_id = await world.raised()
    await world.rated(concern_id, Category.MAJOR, on=date(2024, 8, 15))
    requirement = await world.requirement_of(concern_id)
    assert requirement["overdue"]
    assert requirement["latest_date"] == "2024-09-13"


async def test_the_most_pressing_requirement_is_listed_first_and_pages_hold_each_once(world: World) -> None:
    for days in (30, 10, 20, 10):
        concern_id = await world.raised()
        await world.rated(concern_id, Category.MAJOR, on=today() - timedelta(days=days))
    await world.requirement(provider=HARROWMERE)
    whole = (await world.ask("GET", "/requirements?provider=FICTHT001", role=Role.READER)).json()
    assert [item["latest_date"] for item in whole["items"]] == sorted(i["latest_date"] for i in whole["items"])
    assert len(whole["items"]) == 4
    assert whole["next"] is None
    paged, cursor = [], ""
    while True:
        page = (await world.ask("GET", f"/requirements?provider=FICTHT001&limit=3{cursor}", role=Role.READER)).json()
        paged += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert paged == whole["items"]


async def test_requirements_are_listed_by_state(world: World) -> None:
    first, second = await world.requirement(), await world.requirement()
    await world.closed(UUID(second["concern_id"]))
    for state, wanted in (("open", [first["id"]]), ("withdrawn", [second["id"]]), ("met", [])):
        page = (await world.ask("GET", f"/requirements?state={state}")).json()
        assert [item["id"] for item in page["items"]] == wanted


async def test_a_provider_of_every_kind_can_have_requirements(world: World) -> None:
    for number, kind in enumerate(ProviderKind):
        provider = ProviderRef(ods_code=f"FICTKIND{number}", name="A provider (fictional)", kind=kind)
        assert (await world.requirement(provider=provider))["provider"]["kind"] == kind


async def test_a_concern_that_somebody_adds_meanwhile_is_no_events_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerns, "_MANY", 1)
    concern_id = await world.raised()
    async with world.service.pool.acquire() as connection, connection.transaction():
        known = await concerns.lock(connection, [concern_id])
        with pytest.raises(concerns.AddedMeanwhile) as raised:
            await concerns.save(connection, known.values(), new=known.keys())
    assert is_passing(raised.value), "the same batch, repeated, finds it"


async def test_many_new_concerns_are_kept_beside_known_ones_and_their_providers(world: World) -> None:
    known_id = await world.raised()
    async with world.service.pool.acquire() as connection:
        known = (await concerns.lock(connection, [known_id]))[known_id]
        new = [replace(known, id=uuid4(), provider_code="FICTMANY", reference=f"C-{n}") for n in range(150)]
        changed = [replace(known, programme="Another"), *new]
        named = [Provider("FICTMANY", "A provider (fictional)", ProviderKind.OTHER)]
        await concerns.save(connection, changed, named, new={concern.id for concern in new})
        kept = await concerns.lock(connection, [concern.id for concern in changed])
    assert kept == {concern.id: concern for concern in changed}


async def test_a_corrected_scope_is_learnt_and_what_is_called_for_stays(world: World) -> None:
    concern_id = await world.raised()
    await world.rated(concern_id, Category.MAJOR)
    before = await world.requirement_of(concern_id)
    corrected = example_of(by_model(ConcernCorrected)).data.model_copy(
        update={
            "provider": FENBROOK,
            "concern_id": concern_id,
            "reference": world.reference(concern_id),
            "site_code": None,
            "programme": "Urology",
        }
    )
    await world.service.receive(corrected, key=FENBROOK.ods_code)
    row = await world.service.pool.fetchrow("select * from concerns where id = $1", concern_id)
    assert row is not None
    assert (row["site_code"], row["programme"], row["category"], row["open"]) == (None, "Urology", 3, True)
    after = await world.requirement_of(concern_id)
    assert (after["id"], after["state"], after["kind"]) == (before["id"], before["state"], before["kind"])
    assert len(await world.service.emitted(VisitRequired)) == 1
