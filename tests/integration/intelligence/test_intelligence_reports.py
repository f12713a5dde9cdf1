"""Reports of learners and educators by the form: what is raised at once, and what nobody else gets to see."""

from datetime import date, timedelta
from typing import Any

import pytest

from shared.contracts.concerns import ConcernProposed, ConcernRaised
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

WORDS = "I was alone with forty patients and Doctor Quillfeather told me to cope."
REPORT = {
    "reporter_kind": "learner",
    "provider_code": "FICTHT001",
    "site_code": "FICTHT001A",
    "programme": "General surgery",
    "learner_group": "medical",
    "standards": ["3.5"],
    "happened_on": "2024-05-02",
    "words": WORDS,
    "reporter": {"name": "Ash Sparrowhawk", "contact": "ash.sparrowhawk@learners.example"},
}
IMMEDIATE = {**REPORT, "immediate": True, "patient_safety": True}


async def send(service: ServiceUnderTest, body: dict, *, role: Role | None = Role.REPORT_FORM, key: str | None = None):
    return await service.call("POST", "/reports", role=role, json=body, headers={"Idempotency-Key": key} if key else {})


async def sent(service: ServiceUnderTest, body: dict) -> dict:
    answer = await send(service, body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/reports/{answer.json()['id']}"
    return answer.json()


async def test_a_report_is_kept_and_raises_nothing_by_itself(intelligence: ServiceUnderTest) -> None:
    receipt = await sent(intelligence, REPORT)
    assert set(receipt) == {"id", "received_at", "raised_at_once"}
    assert receipt["raised_at_once"] is False
    assert await intelligence.emitted(ConcernRaised) == []
    report = (await intelligence.call("GET", f"/reports/{receipt['id']}", role=Role.QUALITY_OFFICER)).json()
    assert (report["words"], report["happened_on"], report["source_kind"]) == (WORDS, "2024-05-02", "learner")
    listed = (await intelligence.call("GET", "/reports", role=Role.QUALITY_LEAD)).json()["items"]
    assert listed == [report]
    item = (await intelligence.call("GET", f"/intelligence/{receipt['id']}", role=Role.QUALITY_OFFICER)).json()
    assert item["summary"] == "A report by a learner."


async def test_an_immediate_safety_report_is_a_concern_at_once(intelligence: ServiceUnderTest) -> None:
    receipt = await sent(intelligence, IMMEDIATE)
    assert receipt["raised_at_once"] is True
    (raised,) = await intelligence.emitted(ConcernRaised)
    (proposed,) = await intelligence.emitted(ConcernProposed)
    assert proposed.raised_at_once
    assert (raised.proposal_id, raised.raised_by_policy) == (proposed.proposal_id, "proposal-policy-1")
    types = await intelligence.pool.fetch("select type from outbox order by position")
    assert [row["type"].removeprefix("uk.nhs.quality.") for row in types] == [
        "concern.proposed.v1",
        "concern.raised.v1",
    ]
    concern = (await intelligence.call("GET", f"/concerns/{raised.concern_id}", role=Role.QUALITY_OFFICER)).json()
    assert [item["id"] for item in concern["items"]] == [receipt["id"]]
    assert (concern["history"][0]["actor"], concern["raised_on"]) == (
        "policy:proposal-policy-1",
        (await intelligence.pool.fetchval("select raised_on from concerns")).isoformat(),
    )
    proposal = await intelligence.call("GET", f"/proposals/{raised.proposal_id}", role=Role.QUALITY_OFFICER)
    assert (proposal.json()["state"], proposal.json()["concern_id"]) == ("raised_at_once", concern["id"])
    assert [change["change"] for change in proposal.json()["history"]] == ["proposed", "raised at once"]


async def test_each_immediate_report_is_raised_and_the_others_are_offered_for_merging(
    intelligence: ServiceUnderTest,
) -> None:
    await sent(intelligence, IMMEDIATE)
    await sent(intelligence, {**IMMEDIATE, "reporter_kind": "educator"})
    first, second = [event.concern_id for event in await intelligence.emitted(ConcernRaised)]
    offered = await intelligence.call("GET", f"/concerns/{second}/duplicates", role=Role.QUALITY_OFFICER)
    assert [(one["concern_id"], one["closeness"]) for one in offered.json()["concerns"]] == [(str(first), "same")]


async def test_nobody_but_its_store_and_one_role_knows_who_sent_it_or_reads_its_words(
    intelligence: ServiceUnderTest,
) -> None:
    receipt = await sent(intelligence, IMMEDIATE)
    await send(intelligence, IMMEDIATE, key="once")
    tables = await intelligence.pool.fetch(
        "select tablename from pg_tables where schemaname = 'public' and tablename not in ('reporters')"
    )
    for row in tables:
        table = row["tablename"]
        dump = await intelligence.pool.fetchval(f"select coalesce(string_agg(t::text, ''), '') from {table} t")  # noqa: S608
        assert "parrowhawk" not in dump, table
        assert table == "reports" or "Quillfeather" not in dump, table
    for role in (Role.READER, Role.LAY_PARTNER, Role.FINANCE_APPROVER, Role.OPERATIONS, Role.REPORT_FORM):
        for path in ("/reports", f"/reports/{receipt['id']}"):
            assert (await intelligence.call("GET", path, role=role)).status_code == 403
    for path in ("/intelligence", "/concerns"):
        assert "Quillfeather" not in (await intelligence.call("GET", path, role=Role.QUALITY_OFFICER)).text


async def test_who_sent_a_report_is_seen_by_one_role_and_each_look_is_logged(intelligence: ServiceUnderTest) -> None:
    receipt = await sent(intelligence, REPORT)
    path = f"/reports/{receipt['id']}/reporter"
    body = {"reason": "To ask for consent."}
    for role in set(Role) - {Role.QUALITY_LEAD}:
        for what in ("access", "erasure"):
            assert (await intelligence.call("POST", f"{path}/{what}", role=role, json=body)).status_code == 403
    seen = await intelligence.call("POST", f"{path}/access", role=Role.QUALITY_LEAD, json=body)
    assert seen.json() == REPORT["reporter"]
    erased = await intelligence.call("POST", f"{path}/erasure", role=Role.QUALITY_LEAD, json=body)
    assert erased.json() == {"erased": True}
    again = await intelligence.call("POST", f"{path}/access", role=Role.QUALITY_LEAD, json=body)
    assert again.json() == {"name": None, "contact": None}
    log = await intelligence.pool.fetch("select item_id::text, action, reason from reporter_access order by id")
    assert [tuple(row) for row in log] == [
        (receipt["id"], action, body["reason"]) for action in ("read", "erased", "read")
    ]


async def test_erasing_who_sent_it_leaves_every_event_and_history_intact(intelligence: ServiceUnderTest) -> None:
    receipt = await sent(intelligence, IMMEDIATE)

    async def kept() -> list[Any]:
        tables = ("outbox", "history", "reports", "intelligence_items", "concerns", "concern_story", "proposals")
        return [await intelligence.pool.fetch(f"select t::text from {table} t order by 1") for table in tables]  # noqa: S608

    before = await kept()
    path = f"/reports/{receipt['id']}/reporter/erasure"
    await intelligence.call("POST", path, role=Role.QUALITY_LEAD, json={"reason": "They asked."})
    assert await kept() == before
    assert await intelligence.pool.fetchval("select count(*) from reporters") == 0


async def test_an_unknown_report_has_no_reporter(intelligence: ServiceUnderTest) -> None:
    concern = await intelligence.call(
        "POST",
        "/intelligence",
        role=Role.QUALITY_OFFICER,
        json={
            "provider_code": "FICTHT001",
            "source_kind": "gmc",
            "source_date": "2024-05-02",
            "summary": "No report.",
        },
    )
    for report_id in ("019a0000-0000-7000-8000-000000000001", concern.json()["id"]):
        answer = await intelligence.call(
            "POST", f"/reports/{report_id}/reporter/access", role=Role.QUALITY_LEAD, json={"reason": "Why not."}
        )
        assert answer.status_code == 404
        assert (await intelligence.call("GET", f"/reports/{report_id}", role=Role.QUALITY_LEAD)).status_code == 404


async def test_a_repeated_report_is_one_report(intelligence: ServiceUnderTest) -> None:
    first = await send(intelligence, IMMEDIATE, key="form-1")
    again = await send(intelligence, IMMEDIATE, key="form-1")
    assert again.json() == first.json()
    assert len(await intelligence.emitted(ConcernRaised)) == 1
    assert await intelligence.pool.fetchval("select count(*) from reports") == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"provider_code": "FICT99999"}, "body.provider_code"),
        ({"site_code": "FICTHT002A"}, "body.site_code"),
        ({"happened_on": (date.today() + timedelta(days=2)).isoformat()}, "body.happened_on"),
        ({"standards": ["9.9"]}, "body.standards.0"),
        ({"reporter_kind": "cqc"}, "body.reporter_kind"),
        ({"words": " "}, "body.words"),
        ({"immediate": "perhaps"}, "body.immediate"),
        ({"who": "me"}, "body.who"),
    ],
)
async def test_a_report_that_does_not_fit_is_refused_with_the_field_and_keeps_nothing(
    intelligence: ServiceUnderTest, changes: dict[str, Any], field: str
) -> None:
    answer = await send(intelligence, {**IMMEDIATE, **changes})
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    for table in ("reports", "reporters", "intelligence_items", "outbox"):
        assert await intelligence.pool.fetchval(f"select count(*) from {table}") == 0  # noqa: S608


async def test_reports_are_sent_by_the_form_and_by_the_quality_team(intelligence: ServiceUnderTest) -> None:
    for role in Role:
        expected = 201 if role in (Role.REPORT_FORM, Role.QUALITY_OFFICER, Role.QUALITY_LEAD) else 403
        assert (await send(intelligence, REPORT, role=role)).status_code == expected, role
    assert (await send(intelligence, REPORT, role=None)).status_code == 401


async def test_reports_are_listed_by_provider_and_urgency(intelligence: ServiceUnderTest) -> None:
    slow = await sent(intelligence, REPORT)
    urgent = await sent(intelligence, IMMEDIATE)

    async def ids(**query: Any) -> list[str]:
        answer = await intelligence.call("GET", "/reports", role=Role.QUALITY_OFFICER, params=query)
        return [report["id"] for report in answer.json()["items"]]

    assert await ids() == [slow["id"], urgent["id"]]
    assert await ids(immediate=True) == [urgent["id"]]
    assert await ids(immediate=False, provider="FICTHT001") == [slow["id"]]
    assert await ids(provider="FICTHT002") == []
