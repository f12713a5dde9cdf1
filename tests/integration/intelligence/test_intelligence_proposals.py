"""From what was heard to a proposal, and what a person makes of it: over HTTP, on a real database, with its events."""

import asyncio
import uuid
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from deploy.verify.stage_checks import told_by_intelligence
from services.intelligence.store import facts
from shared.contracts.concerns import ConcernDismissed, ConcernMerged, ConcernProposed, ConcernRaised
from shared.contracts.registry import by_model
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

DAY = date(2024, 5, 2)
SCOPE = {
    "provider_code": "FICTHT001",
    "site_code": "FICTHT001A",
    "programme": "General surgery",
    "learner_group": "medical",
}
HEARD = {**SCOPE, "standards": ["1.1"], "source_date": DAY.isoformat(), "summary": "Alone at night."}
ACCEPTANCE = {"summary": "Learners are left alone at night.", "rationale": "Two sources say so."}


async def record(service: ServiceUnderTest, source_kind: str, **changes: Any) -> dict:
    answer = await service.call(
        "POST", "/intelligence", role=Role.QUALITY_OFFICER, json={**HEARD, "source_kind": source_kind, **changes}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def proposals(service: ServiceUnderTest, **query: Any) -> list[dict]:
    answer = await service.call("GET", "/proposals", role=Role.QUALITY_OFFICER, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def proposed(service: ServiceUnderTest, **changes: Any) -> dict:
    """Two sources that agree, and the proposal they lead to."""
    await record(service, "learner", **changes)
    await record(service, "head_of_school", **changes)
    found = await proposals(service, state="proposed")
    return await read(service, found[-1]["id"])


async def read(service: ServiceUnderTest, proposal_id: str) -> dict:
    answer = await service.call("GET", f"/proposals/{proposal_id}", role=Role.QUALITY_OFFICER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    return answer.json()


async def decide(
    service: ServiceUnderTest,
    proposal: dict,
    what: str,
    body: dict,
    *,
    version: int | None = None,
    key: str | None = None,
):
    return await service.call(
        "POST",
        f"/proposals/{proposal['id']}/{what}",
        role=Role.QUALITY_OFFICER,
        json=body,
        headers={"If-Match": f'"{version or proposal["version"]}"', **({"Idempotency-Key": key} if key else {})},
    )


# How proposals come about -------------------------------------------------------------------------------------------


async def test_two_sources_that_agree_propose_a_concern(intelligence: ServiceUnderTest) -> None:
    first = await record(intelligence, "learner")
    assert await proposals(intelligence) == []
    second = await record(intelligence, "head_of_school", source_date=(DAY + timedelta(days=30)).isoformat())
    (found,) = await proposals(intelligence)
    proposal = await read(intelligence, found["id"])
    assert [rule["code"] for rule in proposal["rules"]] == ["two-sources-agree"]
    assert proposal["policy_version"] == "proposal-policy-1"
    assert {key: proposal[key] for key in ("site_code", "programme", "learner_group")} == {
        key: SCOPE[key] for key in ("site_code", "programme", "learner_group")
    }
    assert [one["id"] for one in proposal["evidence"]] == [first["id"], second["id"]]
    assert all(one["holds"] and one["file"] is None for one in proposal["evidence"])
    (change,) = proposal["history"]
    assert (change["change"], change["actor"]) == ("proposed", "policy:proposal-policy-1")
    (event,) = await intelligence.emitted(ConcernProposed)
    assert (str(event.proposal_id), event.reasons, event.raised_at_once) == (
        proposal["id"],
        ["two-sources-agree"],
        False,
    )
    assert {str(one) for one in event.item_ids} == {first["id"], second["id"]}
    assert await intelligence.emitted(ConcernRaised) == []


async def test_what_points_the_other_way_is_no_signal(intelligence: ServiceUnderTest) -> None:
    await record(intelligence, "learner")
    await record(intelligence, "cqc", tendency="favourable")
    await record(intelligence, "university", tendency="neutral")
    assert await proposals(intelligence) == []


async def test_what_comes_later_is_gathered_by_the_proposal_that_waits(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    third = await record(intelligence, "university", programme=" general  SURGERY", standards=["3.5"])
    (found,) = await proposals(intelligence)
    assert (found["id"], found["version"], found["standards"]) == (proposal["id"], 1, ["1.1"])
    fourth = await record(intelligence, "gmc", standards=[])
    (found,) = await proposals(intelligence)
    assert (found["id"], found["version"], found["standards"]) == (proposal["id"], 2, ["1.1", "3.5"])
    now = await read(intelligence, proposal["id"])
    assert {one["id"] for one in now["evidence"]} >= {third["id"], fourth["id"]}
    assert [change["change"] for change in now["history"]] == ["proposed", "gathered more"]
    assert len(await intelligence.emitted(ConcernProposed)) == 1


async def test_sources_that_come_at_the_same_time_see_each_other(intelligence: ServiceUnderTest) -> None:
    kinds = ["learner", "educator", "head_of_school", "university", "gmc", "cqc"]
    await asyncio.gather(*(record(intelligence, kind) for kind in kinds))
    (found,) = await proposals(intelligence)
    assert len((await read(intelligence, found["id"]))["evidence"]) == len(kinds)


async def test_proposals_are_listed_by_provider_state_and_rule(intelligence: ServiceUnderTest) -> None:
    one = await proposed(intelligence)
    other = await proposed(intelligence, programme="Urology")
    await decide(intelligence, other, "dismissal", {"reason": "out_of_scope", "rationale": "Not ours."})

    async def ids(**query: Any) -> list[str]:
        return [found["id"] for found in await proposals(intelligence, **query)]

    assert await ids() == [one["id"], other["id"]]
    assert await ids(state="proposed") == [one["id"]]
    assert await ids(state="dismissed", provider="FICTHT001") == [other["id"]]
    assert await ids(rule="two-sources-agree") == [one["id"], other["id"]]
    assert await ids(rule="triple-red") == []
    assert await ids(provider="FICTHT002") == []
    answer = await intelligence.call("GET", "/proposals", role=Role.QUALITY_LEAD, params={"limit": 1})
    more = await intelligence.call(
        "GET", "/proposals", role=Role.QUALITY_LEAD, params={"limit": 1, "cursor": answer.json()["next"]}
    )
    assert [found["id"] for found in more.json()["items"]] == [other["id"]]


@pytest.mark.parametrize("role", [Role.READER, Role.LAY_PARTNER, Role.FINANCE_OFFICER, Role.REPORT_FORM, None])
async def test_what_is_not_substantiated_is_for_the_quality_team_alone(
    intelligence: ServiceUnderTest, role: Role | None
) -> None:
    expected = 401 if role is None else 403
    for path in ("/proposals", f"/proposals/{uuid.uuid4()}", f"/concerns/{uuid.uuid4()}/duplicates"):
        assert (await intelligence.call("GET", path, role=role)).status_code == expected
    for what in ("acceptance", "merger", "dismissal"):
        answer = await intelligence.call("POST", f"/proposals/{uuid.uuid4()}/{what}", role=role, json={})
        assert answer.status_code == expected


# What a person makes of them ------------------------------------------------------------------------------------------


async def test_accepting_raises_a_concern_that_rests_on_the_same_items(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    answer = await decide(intelligence, proposal, "acceptance", {**ACCEPTANCE, "standards": ["3.5"]})
    assert answer.status_code == 200, answer.text
    accepted = answer.json()
    assert (accepted["state"], accepted["version"]) == ("accepted", 2)
    concern = (await intelligence.call("GET", f"/concerns/{accepted['concern_id']}", role=Role.QUALITY_OFFICER)).json()
    assert (concern["summary"], concern["standards"], concern["status"]) == (ACCEPTANCE["summary"], ["3.5"], "open")
    assert (concern["source_kind"], concern["programme"]) == ("head_of_school", "General surgery")
    assert {item["id"] for item in concern["items"]} == {one["id"] for one in proposal["evidence"]}
    assert concern["history"][0]["reason"] == ACCEPTANCE["rationale"]
    (event,) = await intelligence.emitted(ConcernRaised)
    assert (str(event.proposal_id), event.raised_by_policy) == (proposal["id"], None)
    evidence = (await intelligence.call("GET", f"/concerns/{concern['id']}/evidence", role=Role.QUALITY_OFFICER)).json()
    assert evidence["proposals"] == [proposal["id"]]
    assert [one["id"] for one in evidence["evidence"]] == [one["id"] for one in proposal["evidence"]]


async def test_a_concern_needs_what_the_proposal_does_not_say(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence, programme=None, learner_group=None)
    refused = await decide(intelligence, proposal, "acceptance", ACCEPTANCE)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"field": "body.programme", "reason": "the proposal names none; say which programme it is about"}
    ]
    refused = await decide(intelligence, proposal, "acceptance", {**ACCEPTANCE, "programme": "Urology"})
    assert refused.json()["errors"][0]["field"] == "body.learner_group"
    said = {"programme": "Urology", "learner_group": "nursing", "site_code": None}
    answer = await decide(intelligence, proposal, "acceptance", {**ACCEPTANCE, **said})
    concern = await intelligence.call("GET", f"/concerns/{answer.json()['concern_id']}", role=Role.READER)
    assert {key: concern.json()[key] for key in said} == said


async def test_merging_gives_an_open_concern_what_the_proposal_rests_on(intelligence: ServiceUnderTest) -> None:
    first = await proposed(intelligence)
    concern_id = (await decide(intelligence, first, "acceptance", ACCEPTANCE)).json()["concern_id"]
    second = await proposed(intelligence, source_date=(DAY + timedelta(days=300)).isoformat())
    assert [one["concern_id"] for one in second["duplicates"]] == [concern_id]
    assert second["duplicates"][0]["closeness"] == "same"
    assert [one["proposal_id"] for one in second["earlier"]] == [first["id"]]
    offered = await intelligence.call("GET", f"/concerns/{concern_id}/duplicates", role=Role.QUALITY_OFFICER)
    assert offered.json() == {"concerns": [], "proposals": [second["id"]]}

    answer = await decide(intelligence, second, "merger", {"concern_id": concern_id, "rationale": "The same gap."})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["concern_id"]) == ("merged", concern_id)
    concern = (await intelligence.call("GET", f"/concerns/{concern_id}", role=Role.QUALITY_OFFICER)).json()
    assert len(concern["items"]) == 4
    assert (concern["version"], concern["history"][-1]["reason"]) == (2, "The same gap.")
    assert len(await intelligence.emitted(ConcernRaised)) == 1
    (event,) = await intelligence.emitted(ConcernMerged)
    assert (str(event.concern_id), str(event.proposal_id), event.merged_concern_id) == (concern_id, second["id"], None)
    assert any(chapter["type"].endswith("concern.merged.v1") for chapter in concern["story"])
    evidence = (await intelligence.call("GET", f"/concerns/{concern_id}/evidence", role=Role.QUALITY_OFFICER)).json()
    assert evidence["proposals"] == [first["id"], second["id"]]
    assert len(evidence["evidence"]) == 4


async def test_a_proposal_goes_only_to_an_open_concern_about_the_same_provider(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    body = {"concern_id": str(uuid.uuid4()), "rationale": "The same."}
    refused = await decide(intelligence, proposal, "merger", body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.concern_id")
    other = {**SCOPE, "provider_code": "FICTHT002", "site_code": None, "source_kind": "gmc", "summary": "Another."}
    concern = (await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=other)).json()
    refused = await decide(intelligence, proposal, "merger", {**body, "concern_id": concern["id"]})
    assert (refused.status_code, "another provider" in refused.text) == (422, True)
    own = {**other, "provider_code": "FICTHT001"}
    concern = (await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=own)).json()
    await intelligence.call(
        "POST",
        f"/concerns/{concern['id']}/closure",
        role=Role.QUALITY_LEAD,
        json={"closure_reason": "not_upheld", "rationale": "Not so."},
        headers={"If-Match": '"1"'},
    )
    refused = await decide(intelligence, proposal, "merger", {**body, "concern_id": concern["id"]})
    assert refused.status_code == 409, refused.text
    assert (await read(intelligence, proposal["id"]))["state"] == "proposed"
    assert await intelligence.emitted(ConcernMerged) == []


async def test_dismissing_needs_a_reason_and_only_news_proposes_again(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    for body in ({"reason": "other"}, {"reason": "whim", "rationale": "No."}, {"reason": "other", "rationale": " "}):
        assert (await decide(intelligence, proposal, "dismissal", body)).status_code == 422
    body = {"reason": "not_substantiated", "rationale": "The rota was changed in April."}
    dismissed = (await decide(intelligence, proposal, "dismissal", body)).json()
    assert (dismissed["state"], dismissed["dismissal"], dismissed["concern_id"]) == (
        "dismissed",
        "not_substantiated",
        None,
    )
    assert dismissed["history"][-1]["reason"] == body["rationale"]
    (event,) = await intelligence.emitted(ConcernDismissed)
    assert (str(event.proposal_id), event.reason) == (proposal["id"], "not_substantiated")
    assert "rota" not in event.model_dump_json()
    await record(intelligence, "gmc", programme="Urology")
    assert await proposals(intelligence, state="proposed") == []
    await record(intelligence, "gmc")
    (again,) = await proposals(intelligence, state="proposed")
    assert [one["dismissal"] for one in (await read(intelligence, again["id"]))["earlier"]] == ["not_substantiated"]


@pytest.mark.parametrize("second", ["acceptance", "merger", "dismissal"])
@pytest.mark.parametrize("first", ["acceptance", "dismissal"])
async def test_what_is_decided_stays_decided(intelligence: ServiceUnderTest, first: str, second: str) -> None:
    proposal = await proposed(intelligence)
    own = {**SCOPE, "source_kind": "gmc", "summary": "Another."}
    concern = (await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=own)).json()
    bodies = {
        "acceptance": ACCEPTANCE,
        "merger": {"concern_id": concern["id"], "rationale": "The same."},
        "dismissal": {"reason": "other", "rationale": "No."},
    }
    assert (await decide(intelligence, proposal, first, bodies[first])).status_code == 200
    refused = await decide(intelligence, proposal, second, bodies[second], version=2)
    assert refused.status_code == 409, refused.text
    assert "has to be proposed" in refused.json()["detail"]


async def test_two_people_cannot_decide_at_once(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    answers = await asyncio.gather(*(decide(intelligence, proposal, "acceptance", ACCEPTANCE) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert len(await intelligence.emitted(ConcernRaised)) == 1


async def test_a_repeated_acceptance_raises_one_concern(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    first = await decide(intelligence, proposal, "acceptance", ACCEPTANCE, key="accept-once")
    again = await decide(intelligence, proposal, "acceptance", ACCEPTANCE, key="accept-once")
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(await intelligence.emitted(ConcernRaised)) == 1


async def test_the_referee_expects_what_was_told_of_proposals(intelligence: ServiceUnderTest) -> None:
    accepted = await proposed(intelligence)
    concern_id = (await decide(intelligence, accepted, "acceptance", ACCEPTANCE)).json()["concern_id"]
    merged = await proposed(intelligence, programme="Urology")
    await decide(intelligence, merged, "merger", {"concern_id": concern_id, "rationale": "The same."})
    dismissed = await proposed(intelligence, programme="Cardiology")
    await decide(intelligence, dismissed, "dismissal", {"reason": "other", "rationale": "No."})
    await proposed(intelligence, programme="Radiology")
    async with intelligence.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        expected = told_by_intelligence(await facts.read(connection))
    for model in (ConcernProposed, ConcernDismissed, ConcernRaised, ConcernMerged):
        told = [getattr(event, by_model(model).subject_field) for event in await intelligence.emitted(model)]
        assert Counter(told) == Counter({subject: times for subject, times in expected[model].items() if times})
    assert sum(expected[ConcernProposed].values()) == 4


async def test_near_scopes_are_offered_after_the_same_one(intelligence: ServiceUnderTest) -> None:
    async def concern(**changes: Any) -> str:
        body = {**SCOPE, "source_kind": "gmc", "summary": "A concern.", **changes}
        answer = await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=body)
        return answer.json()["id"]

    elsewhere = await concern(site_code=None, learner_group="nursing")
    await concern(programme="Urology")
    whole = await concern(site_code=None)
    same = await concern()
    proposal = await proposed(intelligence)
    assert [(one["concern_id"], one["closeness"]) for one in proposal["duplicates"]] == [
        (same, "same"),
        (whole, "within"),
        (elsewhere, "same_programme"),
    ]


async def test_the_policy_that_proposed_can_be_read(intelligence: ServiceUnderTest) -> None:
    proposal = await proposed(intelligence)
    answer = await intelligence.call("GET", f"/policies/proposals/{proposal['policy_version']}", role=Role.READER)
    assert {rule["code"]: rule["title"] for rule in answer.json()["rules"]}["two-sources-agree"] == (
        proposal["rules"][0]["title"]
    )
    current = await intelligence.call("GET", "/policies/proposals/current", role=Role.READER)
    assert current.json() == answer.json()
    unknown = await intelligence.call("GET", "/policies/proposals/proposal-policy-99", role=Role.READER)
    assert (unknown.status_code, "proposal-policy-1" in unknown.json()["detail"]) == (404, True)
