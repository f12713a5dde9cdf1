"""Registers, exit conditions, mergers and suspended training over HTTP, with their events and history."""

import random
import uuid
from typing import Any

import asyncpg
import pytest

from services.intelligence.store import concerns
from shared.contracts.concerns import (
    ConcernClosed,
    ConcernCorrected,
    ConcernDeEscalated,
    ConcernEscalated,
    ConcernMerged,
    ConcernRated,
    ExitConditionSet,
    ExitConditionSettled,
    Overseer,
)
from shared.contracts.training import TrainingBasis, TrainingRestored, TrainingSuspended
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest
from tests.integration.intelligence.following import TODAY, TOMORROW, Followed

NATIONAL, REGIONAL, MONITORING = "national_register", "regional_register", "enhanced_monitoring"
CONDITION: dict[str, Any] = {
    "register_kind": NATIONAL,
    "wording": "Forty per cent of the learners answer the survey.",
    "owner": "education_lead",
    "due_on": str(TOMORROW),
}


async def test_a_concern_goes_on_and_off_the_registers_independently(intelligence: ServiceUnderTest) -> None:
    concern = await Followed.rated(intelligence)
    for register in (NATIONAL, REGIONAL, MONITORING):
        await concern.do("escalations", register_kind=register)
    await concern.checked(REGIONAL)
    await concern.do("de-escalations", register_kind=REGIONAL)
    assert concern.registers == {REGIONAL: "off", NATIONAL: "on", MONITORING: "on"}
    await concern.do("closure", closure_reason="resolved")
    assert (concern.view["status"], concern.view["stage"]) == ("closed", "closed")
    await concern.checked(MONITORING)
    await concern.do("de-escalations", register_kind=MONITORING)
    assert concern.registers == {REGIONAL: "off", NATIONAL: "on", MONITORING: "off"}
    escalated = await intelligence.emitted(ConcernEscalated)
    assert [(one.register_kind, one.category) for one in escalated] == [(NATIONAL, 3), (REGIONAL, 3), (MONITORING, 3)]
    taken_off = await intelligence.emitted(ConcernDeEscalated)
    assert [(one.register_kind, one.state, one.effectiveness_checked_on) for one in taken_off] == [
        (REGIONAL, "off", TODAY),
        (MONITORING, "off", TODAY),
    ]


async def test_every_transition_is_in_the_history_with_who_and_why(intelligence: ServiceUnderTest) -> None:
    concern = await Followed.rated(intelligence)
    await concern.do("escalations", register_kind=NATIONAL, rationale="It persists.")
    await concern.do("exit-conditions", **CONDITION)
    await concern.checked(NATIONAL)
    await concern.do("de-escalations", register_kind=NATIONAL, conditionally=True, rationale="One is left.")
    assert concern.registers[NATIONAL] == "removed_conditionally"
    condition = concern.view["exit_conditions"][0]["id"]
    await concern.do(f"exit-conditions/{condition}/settlement", state="met", rationale="41 %.")
    assert concern.registers[NATIONAL] == "off"
    history = (await concern.read())["history"]
    assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
    assert [(entry["change"], entry["reason"]) for entry in history] == [
        ("raised", None),
        ("rated", "Because."),
        ("escalated", "It persists."),
        ("exit condition set", "Because."),
        ("effectiveness check planned", "Because."),
        ("found effective", "Because."),
        ("de-escalated", "One is left."),
        ("exit condition met", "41 %."),
    ]
    assert {entry["actor"] for entry in history} == {"quality_officer-1", "quality_lead-1"}
    assert [entry["detail"].get("transitions") for entry in history[1:]] == [
        [{"machine": "concern", "from": "raised", "to": "rated"}],
        [{"machine": "register", "register": NATIONAL, "from": "off", "to": "on"}],
        [{"machine": "exit condition", "register": NATIONAL, "id": condition, "from": None, "to": "open"}],
        [{"machine": "effectiveness check", "register": NATIONAL, "from": "none", "to": "due"}],
        [{"machine": "effectiveness check", "register": NATIONAL, "from": "due", "to": "effective"}],
        [{"machine": "register", "register": NATIONAL, "from": "on", "to": "removed_conditionally"}],
        [
            {"machine": "register", "register": NATIONAL, "from": "removed_conditionally", "to": "off"},
            {"machine": "exit condition", "register": NATIONAL, "id": condition, "from": "open", "to": "met"},
        ],
    ]
    (set_,) = await intelligence.emitted(ExitConditionSet)
    (settled,) = await intelligence.emitted(ExitConditionSettled)
    assert str(set_.condition_id) == condition
    assert (settled.state, settled.previous_state, settled.register_state) == ("met", "open", "off")
    dump = await intelligence.pool.fetchval("select string_agg(t::text, '') from outbox t")
    assert "Forty per cent" not in dump
    assert "It persists" not in dump


@pytest.mark.parametrize("reason", [None, "", "  "])
async def test_nothing_is_done_without_a_reason(intelligence: ServiceUnderTest, reason: str | None) -> None:
    concern = await Followed.rated(intelligence, 4)
    other = await Followed.raised(intelligence)
    commands: dict[str, dict[str, Any]] = {
        "escalations": {"register_kind": NATIONAL},
        "de-escalations": {"register_kind": NATIONAL},
        "effectiveness-checks": {"register_kind": NATIONAL, "due_on": str(TOMORROW)},
        "effectiveness-checks/result": {"register_kind": NATIONAL, "effective": True},
        "exit-conditions": CONDITION,
        f"exit-conditions/{uuid.uuid4()}/settlement": {"state": "met"},
        "training/suspension": {"reason": "patient_safety"},
        "training/restoration": {"reason": "standards_met"},
        "merger": {"merged_concern_id": other.id},
        "correction": {"programme": "Urology"},
        "closure": {"closure_reason": "resolved"},
        "reopening": {},
    }
    for what, body in commands.items():
        answer = await concern.ask(what, **{**body, "rationale": reason})
        assert answer.status_code == 422, what
        assert "body.rationale" in {error["field"] for error in answer.json()["errors"]}, what


async def test_a_command_that_does_not_fit_is_refused_and_changes_nothing(intelligence: ServiceUnderTest) -> None:
    concern = await Followed.rated(intelligence, 1)
    refused: list[tuple[str, dict[str, Any], int]] = [
        ("escalations", {"register_kind": NATIONAL}, 409),
        ("de-escalations", {"register_kind": NATIONAL}, 409),
        ("exit-conditions", CONDITION, 409),
        ("effectiveness-checks", {"register_kind": NATIONAL, "due_on": str(TOMORROW)}, 409),
        ("training/suspension", {"reason": "patient_safety"}, 409),
        ("training/restoration", {"reason": "standards_met"}, 409),
        ("reopening", {}, 409),
        ("correction", {"programme": "General surgery"}, 409),
        ("closure", {"closure_reason": "merged"}, 422),
        ("merger", {"merged_concern_id": concern.id}, 422),
        ("merger", {"merged_concern_id": str(uuid.uuid4())}, 422),
        (f"exit-conditions/{uuid.uuid4()}/settlement", {"state": "met"}, 422),
        ("escalations", {"register_kind": REGIONAL, "escalated_on": str(TOMORROW)}, 422),
        ("escalations", {"register_kind": REGIONAL, "escalated_on": "2024-05-01"}, 422),
        ("correction", {"site_code": "NOSUCH"}, 422),
    ]
    for what, body, status in refused:
        answer = await concern.ask(what, **body)
        assert answer.status_code == status, (what, answer.text)
    assert (await concern.read())["version"] == 2


async def test_training_is_suspended_and_restored_with_reasons_that_tell_quality_from_planning(
    intelligence: ServiceUnderTest,
) -> None:
    concern = await Followed.rated(intelligence, 4)
    planned = await concern.ask("training/suspension", reason="rotation_gap")
    assert planned.status_code == 422
    assert "workforce planning" in planned.json()["detail"]
    await concern.do("training/suspension", reason="poor_supervision")
    assert concern.view["training"] == "suspended"
    assert (await concern.ask("closure", closure_reason="resolved")).status_code == 409
    await concern.do("training/restoration", reason="placements_moved")
    overlapping = await concern.ask("training/suspension", reason="patient_safety", suspended_on="2024-06-01")
    assert (overlapping.status_code, overlapping.json()["errors"][0]["field"]) == (422, "body.suspended_on")
    await concern.do("training/suspension", reason="patient_safety")
    (suspended, again), (restored,) = (
        await intelligence.emitted(TrainingSuspended),
        await intelligence.emitted(TrainingRestored),
    )
    assert (suspended.reason, suspended.basis) == ("poor_supervision", TrainingBasis.QUALITY)
    assert (restored.reason, restored.basis) == ("placements_moved", TrainingBasis.WORKFORCE_PLANNING)
    assert suspended.suspension_id == restored.suspension_id != again.suspension_id
    assert [(one["basis"], one["restoration_basis"]) for one in concern.view["suspensions"]] == [
        ("quality", "workforce_planning"),
        ("quality", None),
    ]


async def test_a_significant_concern_is_marked_for_the_national_team_and_the_gmc(
    intelligence: ServiceUnderTest,
) -> None:
    concern = await Followed.rated(intelligence, 1)
    assert (concern.view["marked_for"], concern.view["significant_since"]) == ([], None)
    await concern.rate(2)
    assert concern.view["marked_for"] == ["national_team", "gmc"]
    assert concern.view["significant_since"] == str(TODAY)
    await concern.rate(1)
    assert (concern.view["marked_for"], concern.view["significant_since"]) == ([], None)
    marks = [event.marked_for for event in await intelligence.emitted(ConcernRated)]
    assert marks == [[], list(Overseer), []]


async def test_a_merged_concern_is_closed_and_the_other_goes_on_with_its_intelligence(
    intelligence: ServiceUnderTest,
) -> None:
    item = await intelligence.call(
        "POST",
        "/intelligence",
        role=Role.QUALITY_OFFICER,
        json={"provider_code": "FICTHT001", "source_kind": "nts", "source_date": "2024-05-01", "summary": "Red."},
    )
    merged = await Followed.raised(intelligence, item_ids=[item.json()["id"]])
    concern = await Followed.rated(intelligence)
    elsewhere = await Followed.raised(intelligence, provider_code="FICTHT002", site_code=None)
    assert (await concern.ask("merger", merged_concern_id=elsewhere.id)).status_code == 422
    await concern.do("merger", merged_concern_id=merged.id)
    assert [one["id"] for one in concern.view["items"]] == [item.json()["id"]]
    view = await merged.read()
    assert (view["stage"], view["merged_into"], view["closure_reason"]) == ("merged", concern.id, "merged")
    assert (await merged.ask("reopening")).status_code == 409
    (closed,), (told,) = await intelligence.emitted(ConcernClosed), await intelligence.emitted(ConcernMerged)
    assert (str(closed.concern_id), closed.reason) == (merged.id, "merged")
    assert (str(told.concern_id), str(told.merged_concern_id)) == (concern.id, merged.id)
    for one in (concern, merged):
        assert "uk.nhs.quality.concern.merged.v1" in [chapter["type"] for chapter in (await one.read())["story"]]
    assert [entry["change"] for entry in merged.view["history"]] == ["raised", "merged"]
    assert [entry["change"] for entry in concern.view["history"]] == ["raised", "rated", "took over"]


async def test_a_concern_on_a_register_is_not_merged_into_another(intelligence: ServiceUnderTest) -> None:
    grave, other = await Followed.rated(intelligence), await Followed.rated(intelligence)
    await grave.do("escalations", register_kind=NATIONAL)
    refused = await other.ask("merger", merged_concern_id=grave.id)
    assert refused.status_code == 409
    assert "merge the other concern into this one instead" in refused.json()["detail"]
    await grave.do("merger", merged_concern_id=other.id)


async def test_a_scope_that_was_entered_wrongly_is_put_right(intelligence: ServiceUnderTest) -> None:
    concern = await Followed.raised(intelligence)
    await concern.do("correction", role=Role.QUALITY_OFFICER, programme="Urology", site_code=None, standards=["3.5"])
    view = await concern.read()
    assert (view["programme"], view["site_code"], view["standards"]) == ("Urology", None, ["3.5"])
    assert view["learner_group"] == "medical"
    (event,) = await intelligence.emitted(ConcernCorrected)
    assert event.corrected == ["site_code", "programme", "standards"]
    assert (event.programme, event.site_code) == ("Urology", None)


async def test_exit_conditions_of_all_concerns_can_be_listed(intelligence: ServiceUnderTest) -> None:
    for provider in ("FICTHT001", "FICTHT002"):
        concern = await Followed.rated(intelligence, provider_code=provider, site_code=None)
        await concern.do("escalations", register_kind=NATIONAL)
        for owner in ("education_lead", "medical_director"):
            await concern.do("exit-conditions", **{**CONDITION, "owner": owner})
    for query, count in (
        ("", 4),
        ("provider=FICTHT001", 2),
        ("owner=medical_director", 2),
        ("state=met", 0),
        (f"due_before={TOMORROW}", 0),
        (f"register_kind={REGIONAL}", 0),
    ):
        answer = await intelligence.call("GET", f"/exit-conditions?{query}", role=Role.READER)
        assert len(answer.json()["items"]) == count, query
    first = (await intelligence.call("GET", "/exit-conditions?limit=3", role=Role.READER)).json()
    rest = (await intelligence.call("GET", f"/exit-conditions?cursor={first['next']}", role=Role.READER)).json()
    assert len({one["id"] for one in [*first["items"], *rest["items"]]}) == 4


async def test_who_may_record_may_not_decide(intelligence: ServiceUnderTest) -> None:
    concern = await Followed.rated(intelligence)
    for what, body in (
        ("escalations", {"register_kind": NATIONAL}),
        ("de-escalations", {"register_kind": NATIONAL}),
        ("training/suspension", {"reason": "patient_safety"}),
        ("merger", {"merged_concern_id": concern.id}),
    ):
        assert (await concern.ask(what, role=Role.QUALITY_OFFICER, **body)).status_code == 403, what


async def test_random_commands_never_leave_the_machine_in_the_database(intelligence: ServiceUnderTest) -> None:
    """The tables hold what the machines decided: each answer is the state that is read back, and it has no fault."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    concern = await Followed.rated(intelligence)
    accepted = 0
    for _ in range(150):
        what, body = _any_command(chance, concern)
        version = concern.view["version"]
        answer = await concern.ask(what, **body)
        assert answer.status_code in (200, 409, 422), (seed, what, answer.text)
        accepted += answer.status_code == 200
        async with intelligence.pool.acquire() as connection:
            found = await concerns.load(connection, uuid.UUID(concern.id))
        assert found is not None
        assert found.life.faults() == [], (seed, what, body)
        assert found.version == version + (answer.status_code == 200)
        assert concern.registers == {one.register: one.state for one in found.life.standings}
        assert concern.view["stage"] == found.life.stage
    assert accepted > 15, seed
    assert len((await concern.read())["history"]) == concern.view["version"]


def _any_command(chance: random.Random, concern: Followed) -> tuple[str, dict[str, Any]]:
    register = chance.choice([NATIONAL, REGIONAL, MONITORING])
    conditions = [one["id"] for one in concern.view["exit_conditions"]] or [str(uuid.uuid4())]
    return chance.choice(
        [
            ("ratings", {"impact": 3, "likelihood": 3, "category": chance.choice([1, 2, 4, 4])}),
            ("escalations", {"register_kind": register}),
            ("de-escalations", {"register_kind": register, "conditionally": chance.random() < 0.5}),
            ("effectiveness-checks", {"register_kind": register, "due_on": str(TOMORROW)}),
            ("effectiveness-checks/result", {"register_kind": register, "effective": chance.random() < 0.8}),
            ("exit-conditions", {**CONDITION, "register_kind": register}),
            (f"exit-conditions/{chance.choice(conditions)}/settlement", {"state": chance.choice(["met", "withdrawn"])}),
            ("training/suspension", {"reason": "patient_safety"}),
            ("training/restoration", {"reason": "standards_met"}),
            ("closure", {"closure_reason": "resolved"}),
            ("reopening", {}),
        ]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "update concerns set stage = 'closed'",
        "update concerns set stage = 'raised'",
        "update concerns set stage = 'nowhere'",
        "update concerns set merged_into = id",
        "update concerns set significant_since = null",
        "update concern_registers set state = 'removed_conditionally'",
        "update concern_registers set state = 'half'",
        "update concern_registers set check_state = 'effective'",
        "update exit_conditions set state = 'met'",
        "update exit_conditions set due_on = set_on - 1",
        "insert into training_suspensions (id, concern_id, reason, suspended_on) "
        "select uuidv7(), id, 'rotation_gap', current_date from concerns",
    ],
)
async def test_the_tables_refuse_what_is_outside_the_machine(intelligence: ServiceUnderTest, wrong: str) -> None:
    concern = await Followed.rated(intelligence)
    await concern.do("escalations", register_kind=NATIONAL)
    await concern.do("exit-conditions", **CONDITION)
    with pytest.raises(asyncpg.CheckViolationError):
        await intelligence.pool.execute(wrong)
