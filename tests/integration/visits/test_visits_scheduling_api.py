"""Scheduling, changing and cancelling visits."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts.fields import Category, PanelRole
from shared.contracts.visits import CancellationReason, VisitCancelled, VisitScheduled
from shared.security.roles import Role
from tests.integration.visits.visits_world import FENBROOK, HARROWMERE, NAMES, World, fields, today


async def test_a_visit_takes_up_its_requirements_and_others_hear_the_roles_only(world: World) -> None:
    first, second = await world.requirement(), await world.requirement(Category.MINOR)
    further = await world.raised()
    answer = await world.ask(
        "POST",
        "/visits",
        world.plan(
            first, second, concern_ids=[str(further)], site_code="FICTHT001A", reason="Two concerns at one site"
        ),
    )
    visit = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"/visits/{visit['id']}"
    assert visit["state"] == "scheduled"
    assert visit["concern_ids"] == [first["concern_id"], second["concern_id"], str(further)]
    assert visit["problems"] == []
    for requirement in (first, second):
        after = await world.requirement_of(requirement["concern_id"])
        assert (after["state"], after["visit_id"]) == ("scheduled", visit["id"])
        assert [change["change"] for change in after["history"]] == ["opened", "scheduled"]
    (event,) = await world.service.emitted(VisitScheduled)
    assert event.panel_roles == [PanelRole.CHAIR, PanelRole.LAY_PARTNER]
    assert (event.provider, event.site_code, event.visit_date) == (FENBROOK, "FICTHT001A", today())
    assert [str(one) for one in event.requirement_ids] == [first["id"], second["id"]]
    row = await world.service.pool.fetchrow("select * from outbox where subject = $1", visit["id"])
    assert row is not None
    assert (row["key"], str(row["correlation_id"])) == (FENBROOK.ods_code, first["concern_id"])


async def test_staff_see_names_on_the_panel_and_all_others_roles(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    staff = (await world.ask("GET", f"/visits/{visit['id']}")).json()
    assert [seat["name"] for seat in staff["panel"]] == [NAMES["chair"], NAMES["lay"]]
    reader = await world.ask("GET", f"/visits/{visit['id']}", role=Role.READER)
    assert [(seat["role"], seat["name"]) for seat in reader.json()["panel"]] == [("chair", None), ("lay_partner", None)]
    assert not any(name in reader.text for name in NAMES.values())


async def test_everything_wrong_with_a_visit_is_named_at_once(world: World) -> None:
    foreign = await world.requirement(provider=HARROWMERE)
    await world.ask("POST", f"/people/{world.people['lay']}/conflicts", {"provider_code": "FICTHT001"})
    await world.ask("PATCH", f"/people/{world.people['chair']}", {"active": False}, if_match="1")
    answer = await world.ask(
        "POST",
        "/visits",
        world.plan(
            foreign,
            visit_date=(today() - timedelta(days=1)).isoformat(),
            concern_ids=[str(uuid4())],
            panel=[*world.panel(chair="quality_lead", lay="chair"), {"person_id": str(uuid4()), "role": "regulator"}],
        ),
    )
    assert answer.status_code == 422
    # Of an unknown provider, with a foreign requirement, and three people none of whom can come.
    assert (
        fields(answer)
        == [
            "body.visit_date",
            "body.requirement_ids.0",
            "body.concern_ids.0",
            "body.panel",
            "body.panel.0.person_id",
            "body.panel.1.person_id",
            "body.panel.1.role",
            "body.panel.2.person_id",
        ]
        or fields(answer)[0] == "body.provider_code"
    )
    assert not any(name in answer.text for name in NAMES.values())


@pytest.mark.parametrize("declared", ["FICTHT001", "FICTHT001A", "FICTLC001"])
async def test_a_declared_conflict_keeps_a_person_off(world: World, declared: str) -> None:
    requirement = await world.requirement()
    conflict = await world.ask("POST", f"/people/{world.people['lay']}/conflicts", {"provider_code": declared})
    plan = world.plan(requirement, site_code="FICTHT001A", parent_code="FICTLC001")
    refused = await world.ask("POST", "/visits", plan)
    assert (refused.status_code, fields(refused)) == (422, ["body.panel.1.person_id"])
    assert "conflict of interest" in refused.json()["errors"][0]["reason"]
    assert (await world.requirement_of(requirement["concern_id"]))["state"] == "open"
    withdrawn = f"/people/{world.people['lay']}/conflicts/{conflict.json()['conflicts'][0]['id']}"
    await world.ask("DELETE", withdrawn, if_match="2")
    assert (await world.ask("POST", "/visits", plan)).status_code == 201


async def test_no_visit_without_a_lay_partner(world: World) -> None:
    requirement = await world.requirement()
    answer = await world.ask("POST", "/visits", world.plan(requirement, panel=world.panel(chair="chair")))
    assert (answer.status_code, fields(answer)) == (422, ["body.panel"])
    assert "lay_partner" in answer.json()["errors"][0]["reason"]
    assert await world.service.emitted(VisitScheduled) == []


async def test_a_visit_weaker_or_later_than_required_is_refused(world: World) -> None:
    requirement = await world.requirement()
    late = (date.fromisoformat(requirement["latest_date"]) + timedelta(days=1)).isoformat()
    weak = await world.ask("POST", "/visits", world.plan(requirement, kind="desktop_review"))
    assert (weak.status_code, fields(weak)) == (422, ["body.kind"])
    unexplained = await world.ask("POST", "/visits", world.plan(requirement, visit_date=late))
    assert (unexplained.status_code, fields(unexplained)) == (422, ["body.late_reason"])
    visit = await world.scheduled(requirement, visit_date=late, late_reason="The trust merges that week")
    assert visit["late_reason"] == "The trust merges that week"
    assert visit["history"][0]["detail"]["late_reason"] == "The trust merges that week"


async def test_a_regular_visit_needs_no_concern_and_may_be_to_an_unknown_provider(world: World) -> None:
    plan = world.plan(provider_code="FICTGP001", kind="annual_quality_review")
    unknown = await world.ask("POST", "/visits", plan)
    assert (unknown.status_code, fields(unknown)) == (422, ["body.provider_code"])
    named = {"name": "Millpond Lane Surgery (fictional)", "kind": "general_practice"}
    visit = (await world.ask("POST", "/visits", {**plan, "provider": named})).json()
    assert visit["provider"] == {"ods_code": "FICTGP001", **named}
    row = await world.service.pool.fetchrow("select * from outbox")
    assert row is not None
    assert (str(row["correlation_id"]), row["key"]) == (visit["id"], "FICTGP001")
    # Known from now on.
    await world.scheduled(provider_code="FICTGP001", kind="peer_visit")


async def test_what_a_caller_says_of_a_known_provider_is_not_believed(world: World) -> None:
    requirement = await world.requirement()
    visit = await world.scheduled(requirement, provider={"name": "Another name", "kind": "other"})
    assert visit["provider"]["name"] == FENBROOK.name


async def test_a_requirement_is_scheduled_by_one_of_two_who_try_at_once(world: World) -> None:
    requirement = await world.requirement()
    answers = await asyncio.gather(*(world.ask("POST", "/visits", world.plan(requirement)) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert len(await world.service.emitted(VisitScheduled)) == 1
    (winner,) = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert winner in refused.json()["detail"]


async def test_visits_that_share_requirements_in_another_order_do_not_stop_each_other(world: World) -> None:
    requirements = [await world.requirement() for _ in range(4)]
    answers = await asyncio.gather(
        *(world.ask("POST", "/visits", world.plan(*order)) for order in (requirements, requirements[::-1]) * 3)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_declaration_and_a_scheduling_at_once_never_leave_a_conflict_unseen(world: World) -> None:
    requirement = await world.requirement()
    scheduled, declared = await asyncio.gather(
        world.ask("POST", "/visits", world.plan(requirement)),
        world.ask("POST", f"/people/{world.people['lay']}/conflicts", {"provider_code": "FICTHT001"}),
    )
    assert declared.status_code == 201
    if scheduled.status_code == 201:
        visit = (await world.ask("GET", f"/visits/{scheduled.json()['id']}")).json()
        assert [problem["code"] for problem in visit["problems"]] == ["conflict_of_interest"]
    else:
        assert fields(scheduled) == ["body.panel.1.person_id"]


async def test_the_same_request_with_its_key_schedules_once(world: World) -> None:
    plan = world.plan(await world.requirement())
    first = await world.ask("POST", "/visits", plan, key="visit-1")
    second = await world.ask("POST", "/visits", plan, key="visit-1")
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())
    assert second.headers["etag"] == first.headers["etag"]
    assert len(await world.service.emitted(VisitScheduled)) == 1
    other = await world.ask("POST", "/visits", {**plan, "reason": "Another"}, key="visit-1")
    assert other.status_code == 422


async def test_a_cancelled_visit_opens_its_requirements_again(world: World) -> None:
    stays, lapses = await world.requirement(), await world.requirement()
    visit = await world.scheduled(stays, lapses)
    await world.rated(UUID(lapses["concern_id"]), Category.NONE)
    path = f"/visits/{visit['id']}/cancellation"
    body = {"reason": "panel_unavailable", "note": "The chair is unwell"}
    assert (await world.ask("POST", path, body)).status_code == 428
    assert (await world.ask("POST", path, body, if_match="7")).status_code == 412
    answer = await world.ask("POST", path, body, if_match="1")
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    cancelled = answer.json()
    assert (cancelled["state"], cancelled["cancellation_reason"]) == ("cancelled", "panel_unavailable")
    assert cancelled["cancellation_note"] == "The chair is unwell"
    assert cancelled["requirement_ids"] == [stays["id"], lapses["id"]]
    assert (await world.requirement_of(stays["concern_id"]))["state"] == "open"
    assert (await world.requirement_of(lapses["concern_id"]))["state"] == "withdrawn"
    (event,) = await world.service.emitted(VisitCancelled)
    assert event.reason is CancellationReason.PANEL_UNAVAILABLE
    assert [str(one) for one in event.requirement_ids] == [stays["id"]]
    assert (await world.ask("POST", path, body, if_match="2")).status_code == 409
    await world.scheduled(await world.requirement_of(stays["concern_id"]))


async def test_a_scheduled_visit_stays_when_its_concern_closes_and_shows_it(world: World) -> None:
    requirement = await world.requirement()
    visit = await world.scheduled(requirement)
    await world.closed(UUID(requirement["concern_id"]))
    shown = (await world.ask("GET", f"/visits/{visit['id']}")).json()
    assert shown["state"] == "scheduled"
    assert [(p["code"], p["blocks_outcome"]) for p in shown["problems"]] == [("no_longer_called_for", False)]


async def test_a_scheduled_visit_shows_that_its_concern_came_to_call_for_more(world: World) -> None:
    requirement = await world.requirement(Category.MINOR)
    visit = await world.scheduled(
        requirement, kind="desktop_review", visit_date=(today() + timedelta(days=60)).isoformat()
    )
    await world.rated(UUID(requirement["concern_id"]), Category.TRAINING_SUSPENDED)
    shown = (await world.ask("GET", f"/visits/{visit['id']}")).json()
    assert [p["code"] for p in shown["problems"]] == ["weaker_than_required", "later_than_required"]
    assert {p["requirement_id"] for p in shown["problems"]} == {requirement["id"]}


async def test_a_panel_is_changed_under_the_same_rules(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    path = f"/visits/{visit['id']}/panel"
    without = await world.ask("PUT", path, {"panel": world.panel(chair="chair")}, if_match="1")
    assert (without.status_code, fields(without)) == (422, ["body.panel"])
    new = {"panel": world.panel(chair="chair", lead="lay_partner"), "reason": "The lay partner is ill"}
    assert (await world.ask("PUT", path, new)).status_code == 428
    answer = await world.ask("PUT", path, new, if_match="1")
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert [seat["person_id"] for seat in answer.json()["panel"]] == [world.people["chair"], world.people["lead"]]
    assert [change["change"] for change in answer.json()["history"]] == ["scheduled", "panel_changed"]
    assert (await world.ask("PUT", path, new, if_match="1")).status_code == 412


async def test_two_changes_of_one_panel_at_once_leave_one(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    new = {"panel": world.panel(chair="chair", lead="lay_partner")}
    answers = await asyncio.gather(
        *(world.ask("PUT", f"/visits/{visit['id']}/panel", new, if_match="1") for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_visits_are_listed_by_provider_state_and_day(world: World) -> None:
    def on(days: int) -> str:
        return (today() + timedelta(days=days)).isoformat()

    visits = [
        await world.scheduled(
            kind="peer_visit",
            visit_date=on(days),
            provider_code="FICTUN001",
            provider={"name": "University of Fenbrook (fictional)", "kind": "university"},
        )
        for days in (3, 1, 2, 1)
    ]
    elsewhere = await world.scheduled(await world.requirement())
    await world.ask("POST", f"/visits/{visits[0]['id']}/cancellation", {"reason": "provider_request"}, if_match="1")

    async def listed(query: str) -> list[str]:
        page = (await world.ask("GET", f"/visits?{query}", role=Role.READER)).json()
        return [item["id"] for item in page["items"]]

    assert (await listed("provider=FICTUN001"))[:2] == [visits[0]["id"], visits[2]["id"]]
    assert await listed("provider=FICTHT001") == [elsewhere["id"]]
    assert await listed("state=cancelled") == [visits[0]["id"]]
    assert await listed("state=completed") == []
    assert await listed(f"from={on(2)}&to={on(2)}") == [visits[2]["id"]]
    whole = await listed("")
    first = (await world.ask("GET", "/visits?limit=3")).json()
    rest = (await world.ask("GET", f"/visits?limit=3&cursor={first['next']}")).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == whole
    assert len(whole) == 5


async def test_only_the_quality_team_schedules(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    for role in (*(set(Role) - {Role.QUALITY_OFFICER, Role.QUALITY_LEAD}), None):
        for method, path, body in (
            ("POST", "/visits", world.plan()),
            ("PUT", f"/visits/{visit['id']}/panel", {"panel": world.panel()}),
            ("POST", f"/visits/{visit['id']}/cancellation", {"reason": "superseded"}),
            ("POST", f"/visits/{visit['id']}/outcome", world.outcome()),
        ):
            answer = await world.ask(method, path, body, role=role, if_match="1")
            assert answer.status_code == (401 if role is None else 403), f"{role}: {method} {path}"
    assert (await world.ask("GET", f"/visits/{visit['id']}")).json()["version"] == 1


async def test_what_is_not_there_is_not_found(world: World) -> None:
    nothing = uuid4()
    for method, path, body in (
        ("GET", f"/visits/{nothing}", None),
        ("GET", f"/requirements/{nothing}", None),
        ("GET", f"/outcomes/{nothing}", None),
        ("PUT", f"/visits/{nothing}/panel", {"panel": world.panel()}),
        ("POST", f"/visits/{nothing}/cancellation", {"reason": "superseded"}),
        ("POST", f"/visits/{nothing}/outcome", world.outcome()),
    ):
        answer = await world.ask(method, path, body, if_match="1")
        assert (answer.status_code, answer.json()["status"]) == (404, 404), path


#: What is no visit, and the field at fault.
ODD_VISITS: list[tuple[dict[str, Any], str]] = [
    ({"provider_code": "rwe"}, "body.provider_code"),
    ({"provider_code": None}, "body.provider_code"),
    ({"kind": "raid"}, "body.kind"),
    ({"visit_date": "2026-02-30"}, "body.visit_date"),
    ({"visit_date": "9999-12-31"}, "body.visit_date"),
    ({"visit_date": 1e300}, "body.visit_date"),
    ({"requirement_ids": ["R1"]}, "body.requirement_ids.0"),
    ({"requirement_ids": [str(uuid4()) for _ in range(51)]}, "body.requirement_ids"),
    ({"concern_ids": [str(uuid4()) for _ in range(51)]}, "body.concern_ids"),
    ({"panel": None}, "body.panel"),
    ({"panel": [{"person_id": "x", "role": "chair"}]}, "body.panel.0.person_id"),
    ({"panel": [{"person_id": str(uuid4()), "role": "chair"}] * 41}, "body.panel"),
    ({"late_reason": "a\nb"}, "body.late_reason"),
    ({"reason": "\u0007"}, "body.reason"),
    ({"provider": {"name": "x", "kind": "castle"}}, "body.provider.kind"),
    ({"notes": "?"}, "body.notes"),
]


async def test_odd_input_is_refused_by_field(world: World) -> None:
    for changes, field in ODD_VISITS:
        answer = await world.ask("POST", "/visits", {**world.plan(), **changes})
        assert (answer.status_code, fields(answer)) == (422, [field]), changes


async def test_odd_queries_are_refused(world: World) -> None:
    for query in (
        "limit=0",
        "cursor=nonsense",
        "cursor=WyIyMDI2LTAxLTAxIl0",
        "state=lost",
        "provider=a%00",
        "from=2026-13-01",
        "to=0001-01-01",
    ):
        answer = await world.ask("GET", f"/visits?{query}")
        assert (answer.status_code, fields(answer)[0]) == (422, f"query.{query.partition('=')[0]}")


async def test_a_rating_and_a_scheduling_at_once_both_count(world: World) -> None:
    for _ in range(5):
        requirement = await world.requirement()
        concern_id = UUID(requirement["concern_id"])
        _, answer = await asyncio.gather(
            world.rated(concern_id, Category.TRAINING_SUSPENDED), world.ask("POST", "/visits", world.plan(requirement))
        )
        assert answer.status_code == 201
        after = await world.requirement_of(concern_id)
        assert (after["state"], after["kind"], after["version"]) == ("scheduled", "urgent_risk_review", 3)


async def test_the_furthest_day_there_is_can_be_scheduled(world: World) -> None:
    visit = await world.scheduled(await world.requirement(), visit_date="2100-12-31", late_reason="A test of ends")
    assert visit["visit_date"] == "2100-12-31"
