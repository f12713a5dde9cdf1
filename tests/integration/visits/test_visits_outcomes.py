"""Recording what a panel found."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from services.visits import bodies, metrics
from services.visits.policies import finding_policy
from shared.contracts.fields import Category, PanelRole
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.visits import VisitRequired
from shared.reference.working_days import add_working_days
from shared.security.pseudonyms import pseudonym
from shared.security.roles import Role
from tests.fixtures.services import PSEUDONYM_KEY
from tests.integration.visits.visits_world import FENBROOK, NAMES, World, fields, today


async def record(world: World, visit: dict[str, Any], version: str = "1", **changes: Any) -> Any:
    return await world.ask("POST", f"/visits/{visit['id']}/outcome", world.outcome(**changes), if_match=version)


async def test_an_outcome_is_told_without_a_word_of_its_prose(world: World) -> None:
    major, minor = await world.requirement(), await world.requirement(Category.MINOR)
    visit = await world.scheduled(minor, major)
    answer = await record(world, visit, background="Third visit in two years.")
    assert answer.status_code == 201
    outcome = answer.json()
    assert answer.headers["location"] == f"/outcomes/{outcome['id']}"
    assert (outcome["highest_category"], outcome["standard_set"]) == (3, "hee-qf-2021")
    assert [finding["kind"] for finding in outcome["findings"]] == [
        "immediate_mandatory_requirement",
        "mandatory_requirement",
        "good_practice",
    ]
    (event,) = await world.service.emitted(OutcomeRecorded)
    assert event.provider == FENBROOK
    assert [str(one) for one in event.concern_ids] == [minor["concern_id"], major["concern_id"]]
    assert event.highest_category is Category.MAJOR
    assert (event.recorded_on, event.visit_date) == (today(), today())
    assert [finding.due_on for finding in event.findings] == [
        add_working_days(today(), 5),
        finding_policy().mandatory_requirement.after(today()),
        None,
    ]
    assert event.agreed_by_roles == [PanelRole.CHAIR, PanelRole.LAY_PARTNER]
    assert event.recorded_by == pseudonym(PSEUDONYM_KEY, "quality_officer-1")
    row = await world.service.pool.fetchrow("select * from outbox where subject = $1", outcome["id"])
    assert row is not None
    assert (row["key"], str(row["correlation_id"])) == (FENBROOK.ods_code, minor["concern_id"])
    for text in ("supervisor", "Supervision", "Third visit", "quality_officer-1"):
        assert text not in row["data"]


async def test_an_outcome_meets_the_requirements_and_is_read_with_its_visit(world: World) -> None:
    requirement = await world.requirement()
    visit = await world.scheduled(requirement)
    outcome = (await record(world, visit)).json()
    met = await world.requirement_of(requirement["concern_id"])
    assert (met["state"], met["visit_id"]) == ("met", visit["id"])
    assert [change["change"] for change in met["history"]] == ["opened", "scheduled", "met"]
    shown = (await world.ask("GET", f"/visits/{visit['id']}")).json()
    assert (shown["state"], shown["outcome_id"], shown["version"]) == ("completed", outcome["id"], 2)
    assert shown["outcome"] == outcome
    assert [change["change"] for change in shown["history"]] == ["scheduled", "outcome_recorded"]
    read = await world.ask("GET", f"/outcomes/{outcome['id']}")
    assert (read.json(), read.headers["etag"]) == (outcome, '"1"')
    assert [seat["name"] for seat in outcome["agreed_by"]] == [NAMES["chair"], NAMES["lay"]]


async def test_readers_see_who_agreed_by_role(world: World) -> None:
    outcome = (await record(world, await world.scheduled(await world.requirement()))).json()
    read = await world.ask("GET", f"/outcomes/{outcome['id']}", role=Role.LAY_PARTNER)
    assert [(seat["role"], seat["name"]) for seat in read.json()["agreed_by"]] == [
        ("chair", None),
        ("lay_partner", None),
    ]
    assert not any(name in read.text for name in NAMES.values())


async def test_an_outcome_is_recorded_once(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    answers = await asyncio.gather(*(record(world, visit) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert (await record(world, visit, version="2")).status_code == 409
    assert len(await world.service.emitted(OutcomeRecorded)) == 1


async def test_the_same_recording_with_its_key_is_answered_again(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    path = f"/visits/{visit['id']}/outcome"
    first = await world.ask("POST", path, world.outcome(), if_match="1", key="outcome-1")
    second = await world.ask("POST", path, world.outcome(), if_match="1", key="outcome-1")
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())


async def test_a_cancelled_visit_has_no_outcome_and_a_completed_one_is_not_cancelled(world: World) -> None:
    cancelled, completed = [await world.scheduled(await world.requirement()) for _ in range(2)]
    await world.ask("POST", f"/visits/{cancelled['id']}/cancellation", {"reason": "superseded"}, if_match="1")
    assert (await record(world, cancelled, version="2")).status_code == 409
    assert (await record(world, completed)).status_code == 201
    path = f"/visits/{completed['id']}"
    answer = await world.ask("POST", f"{path}/cancellation", {"reason": "superseded"}, if_match="2")
    assert answer.status_code == 409
    answer = await world.ask("PUT", f"{path}/panel", {"panel": world.panel()}, if_match="2")
    assert answer.status_code == 409


async def test_an_outcome_is_not_recorded_before_the_visit(world: World) -> None:
    tomorrow = today() + timedelta(days=1)
    visit = await world.scheduled(await world.requirement(), visit_date=tomorrow.isoformat())
    answer = await record(world, visit)
    assert answer.status_code == 409
    assert tomorrow.isoformat() in answer.json()["detail"]


async def test_the_lay_partner_must_agree_like_anybody(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    for missing, present in (("lay", "chair"), ("chair", "lay")):
        answer = await record(world, visit, agreed_by=[world.people[present]])
        assert (answer.status_code, fields(answer)) == (422, ["body.agreed_by"])
        assert world.people[missing] in answer.json()["errors"][0]["reason"]
    stranger = await record(world, visit, agreed_by=[*world.outcome()["agreed_by"], world.people["lead"]])
    assert (stranger.status_code, fields(stranger)) == (422, ["body.agreed_by.2"])


async def test_every_finding_at_fault_is_named(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    answer = await record(
        world,
        visit,
        findings=[
            {"kind": "recommendation", "standard": "9.9", "text": "x"},
            {"kind": "recommendation", "standard": "1.1", "text": "x", "due_on": "2030-01-01"},
            {"kind": "immediate_mandatory_requirement", "standard": "1.1", "text": "x", "due_on": "2030-01-01"},
            {"kind": "mandatory_requirement", "standard": "1.1", "text": "x", "due_on": "2024-01-01"},
        ],
    )
    assert answer.status_code == 422
    assert fields(answer) == [
        "body.findings.0.standard",
        "body.findings.1.due_on",
        "body.findings.2.due_on",
        "body.findings.3.due_on",
    ]
    assert "9.9" in answer.json()["errors"][0]["reason"]


#: What is no outcome, and the field at fault.
ODD_OUTCOMES: list[tuple[dict[str, Any], str]] = [
    ({"standard_set": "hee-qf-1066"}, "body.standard_set"),
    ({"summary": " "}, "body.summary"),
    ({"summary": "\x00"}, "body.summary"),
    ({"background": "x" * 10_001}, "body.background"),
    ({"findings": None}, "body.findings"),
    ({"findings": [{"kind": "praise", "standard": "1.1", "text": "x"}]}, "body.findings.0.kind"),
    ({"findings": [{"kind": "good_practice", "standard": "one", "text": "x"}]}, "body.findings.0.standard"),
    ({"findings": [{"kind": "good_practice", "standard": "1.1", "text": "x"}] * 201}, "body.findings"),
    ({"agreed_by": ["somebody"]}, "body.agreed_by.0"),
    ({"agreed_by": [str(uuid4())] * 41}, "body.agreed_by"),
    ({"score": 5}, "body.score"),
]


async def test_odd_input_is_refused_by_field(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    for changes, field in ODD_OUTCOMES:
        answer = await record(world, visit, **changes)
        assert (answer.status_code, fields(answer)) == (422, [field]), changes


async def test_an_outcome_may_hold_no_finding_and_as_many_as_two_hundred(world: World) -> None:
    quiet, busy = await world.scheduled(await world.requirement()), await world.scheduled(await world.requirement())
    assert (await record(world, quiet, findings=[])).json()["findings"] == []
    many = [{"kind": "good_practice", "standard": "1.1", "text": "x" * 500}] * 200
    assert (await record(world, busy, findings=many)).status_code == 201
    assert [len(event.findings) for event in await world.service.emitted(OutcomeRecorded)] == [0, 200]


async def test_a_conflict_declared_after_scheduling_holds_the_outcome_until_the_panel_is_changed(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    await world.ask("POST", f"/people/{world.people['lay']}/conflicts", {"provider_code": "FICTHT001"})
    shown = (await world.ask("GET", f"/visits/{visit['id']}")).json()
    (problem,) = shown["problems"]
    assert (problem["code"], problem["person_id"], problem["blocks_outcome"]) == (
        "conflict_of_interest",
        world.people["lay"],
        True,
    )
    refused = await record(world, visit)
    assert refused.status_code == 409
    assert "change the panel" in refused.json()["detail"]
    panel = {"panel": world.panel(chair="chair", lead="lay_partner"), "reason": "A conflict was declared"}
    changed = await world.ask("PUT", f"/visits/{visit['id']}/panel", panel, if_match="1")
    assert changed.json()["problems"] == []
    agreed = await record(world, visit, version="2", agreed_by=[world.people["chair"], world.people["lead"]])
    assert agreed.status_code == 201


async def test_who_left_the_pool_after_the_visit_still_agrees(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    await world.ask("PATCH", f"/people/{world.people['lay']}", {"active": False}, if_match="1")
    shown = (await world.ask("GET", f"/visits/{visit['id']}")).json()
    assert [problem["code"] for problem in shown["problems"]] == ["person_inactive"]
    assert (await record(world, visit)).status_code == 201


async def test_an_outcome_needs_the_version_of_the_visit(world: World) -> None:
    visit = await world.scheduled(await world.requirement())
    path = f"/visits/{visit['id']}/outcome"
    assert (await world.ask("POST", path, world.outcome())).status_code == 428
    assert (await record(world, visit, version="2")).status_code == 412


async def test_after_a_visit_the_same_category_calls_for_none_and_a_rise_for_the_next(world: World) -> None:
    requirement = await world.requirement()
    concern_id = UUID(requirement["concern_id"])
    await record(world, await world.scheduled(requirement))
    await world.rated(concern_id, Category.MAJOR)
    assert len(await world.requirements_of(concern_id)) == 1
    await world.rated(concern_id, Category.TRAINING_SUSPENDED)
    first, second = await world.requirements_of(concern_id)
    assert (first["state"], second["state"], second["kind"]) == ("met", "open", "urgent_risk_review")
    assert first["id"] != second["id"]


async def test_a_visit_too_weak_for_what_its_concern_became_leaves_the_requirement_open(world: World) -> None:
    requirement = await world.requirement(Category.MINOR)
    visit = await world.scheduled(requirement, kind="desktop_review")
    await world.rated(UUID(requirement["concern_id"]), Category.MAJOR)
    assert (await record(world, visit)).json()["highest_category"] == 3
    after = await world.requirement_of(requirement["concern_id"])
    assert (after["state"], after["visit_id"]) == ("open", None)
    assert [event.category for event in await world.service.emitted(VisitRequired)] == [1, 3, 3]
    await world.scheduled(after, kind="triggered_visit")


async def test_a_closed_concern_does_not_count_in_the_highest_category(world: World) -> None:
    major, minor = await world.requirement(), await world.requirement(Category.MINOR)
    visit = await world.scheduled(major, minor)
    await world.closed(UUID(major["concern_id"]))
    assert (await record(world, visit)).json()["highest_category"] == 1
    assert (await world.requirement_of(major["concern_id"]))["state"] == "met"


async def test_names_and_wording_are_neither_in_events_nor_in_the_history(world: World) -> None:
    requirement = await world.requirement()
    visit = await world.scheduled(requirement)
    await world.ask(
        "PATCH",
        f"/people/{world.people['lead']}",
        {"name": NAMES["lead"], "organisation": "Quillfeather & Co"},
        if_match="1",
    )
    await world.ask(
        "POST", f"/people/{world.people['lead']}/conflicts", {"provider_code": "RWE", "note": "A cousin on the board"}
    )
    await world.ask(
        "PUT",
        f"/visits/{visit['id']}/panel",
        {"panel": world.panel(chair="chair", lay="lay_partner", lead="college_lead")},
        if_match="1",
    )
    agreed = list(world.people.values())
    assert (await record(world, visit, version="2", agreed_by=agreed)).status_code == 201
    cancelled = await world.scheduled(await world.requirement())
    await world.ask(
        "POST",
        f"/visits/{cancelled['id']}/cancellation",
        {"reason": "panel_unavailable", "note": f"{NAMES['chair']} is unwell"},
        if_match="1",
    )
    written = await world.everything_written_but_people()
    # What is searched is not nothing.
    assert all(text in written for text in ("Fenbrook", "lay_partner", "panel_unavailable", "quality_officer-1"))
    for secret in (*NAMES.values(), "Oakapple", "A cousin", "unwell", "Supervision out of hours", "Name a supervisor"):
        assert secret not in written


async def test_the_gauges_count_requirements_and_visits(world: World) -> None:
    await record(world, await world.scheduled(await world.requirement()))
    await world.scheduled(await world.requirement())
    await world.requirement()
    overdue = await world.raised()
    await world.rated(overdue, Category.MINOR, on=today() - timedelta(days=400))
    async with world.service.pool.acquire() as connection:
        await metrics.sample(connection)
    answer = await world.ask("GET", "/metrics", role=None)
    for line in (
        "qc_open_visit_requirements 2.0",
        "qc_overdue_visit_requirements 1.0",
        'qc_visits{state="scheduled"} 1.0',
        'qc_visits{state="completed"} 1.0',
        'qc_visits{state="cancelled"} 0.0',
    ):
        assert line in answer.text


async def test_the_examples_of_the_description_are_what_the_service_takes(world: World) -> None:
    for body in (
        bodies.AddPersonBody,
        bodies.ChangePersonBody,
        bodies.DeclareConflictBody,
        bodies.ScheduleVisitBody,
        bodies.ChangePanelBody,
        bodies.CancelVisitBody,
        bodies.RecordOutcomeBody,
    ):
        for example in body.model_json_schema()["examples"]:
            body.model_validate(example)
    document = (await world.ask("GET", "/openapi.json", role=None)).json()
    assert set(document["paths"]) >= {"/people", "/requirements", "/visits", "/visits/{visit_id}/outcome"}
