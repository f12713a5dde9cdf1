"""Concerns over HTTP, their events, and the story that closes the loop."""

import asyncio
import uuid
from datetime import UTC, date, datetime

from shared.contracts.concerns import ConcernClosed, ConcernRaised, ConcernRated, ConcernReopened
from shared.contracts.examples import example_of
from shared.contracts.fields import Category
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

BODY = {
    "provider_code": "FICTHT001",
    "site_code": "FICTHT001A",
    "programme": "General surgery",
    "learner_group": "medical",
    "standards": ["3.5", "1.1"],
    "source_kind": "learner",
    "source_date": "2024-05-02",
    "summary": "Doctors in training are left without supervision at night.",
    "reporter": {"name": "Ash Quillfeather", "contact": "ash.quillfeather@learners.example"},
}
RATING = {"impact": 4, "likelihood": 4, "category": 3, "rationale": "Most nights."}


async def raised(service: ServiceUnderTest, **changes: object) -> dict:
    answer = await service.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json={**BODY, **changes})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/concerns/{answer.json()['id']}"
    return answer.json()


async def change(service: ServiceUnderTest, concern: dict, what: str, body: dict, version: int | None = None):
    return await service.call(
        "POST",
        f"/concerns/{concern['id']}/{what}",
        role=Role.QUALITY_LEAD,
        json=body,
        headers={"If-Match": f'"{version or concern["version"]}"'},
    )


async def test_a_concern_goes_from_raised_to_closed_and_reopened(intelligence: ServiceUnderTest) -> None:
    concern = await raised(intelligence)
    rated = (await change(intelligence, concern, "ratings", RATING)).json()
    assert (rated["category"], rated["ratings"][0]["suggested_category"], rated["ratings"][0]["score"]) == (3, 3, 16)
    closed = (await change(intelligence, rated, "closure", {"closure_reason": "resolved", "rationale": "Met."})).json()
    assert closed["status"] == "closed"
    refused = await change(intelligence, closed, "ratings", RATING)
    assert refused.status_code == 409
    reopened = (await change(intelligence, closed, "reopening", {"rationale": "Again."})).json()
    assert reopened["status"] == "open"
    for model in (ConcernRaised, ConcernRated, ConcernClosed, ConcernReopened):
        (event,) = await intelligence.emitted(model)
        assert str(event.concern_id) == concern["id"]
    assert [entry["change"] for entry in reopened["history"]] == ["raised", "rated", "closed", "reopened"]
    assert [entry["reason"] for entry in reopened["history"]] == [None, "Most nights.", "Met.", "Again."]


async def test_the_story_holds_the_ids_of_the_events_behind_it(intelligence: ServiceUnderTest) -> None:
    concern = await raised(intelligence)
    other = uuid.uuid4()
    outcome = example_of(by_model(OutcomeRecorded)).data.model_copy(
        update={"concern_ids": [uuid.UUID(concern["id"]), other]}
    )
    event_id = uuid.uuid4()
    await intelligence.receive(outcome, key="FICTHT001", event_id=event_id, time=datetime.now(UTC))
    story = (await intelligence.call("GET", f"/concerns/{concern['id']}", role=Role.READER)).json()["story"]
    own = await intelligence.pool.fetchval("select event_id from outbox")
    assert [(c["event_id"], c["source"]) for c in story] == [
        (str(own), "/east-midlands/intelligence"),
        (str(event_id), "/east-midlands/visits"),
    ]


async def test_who_raised_a_concern_is_in_no_event_and_no_history_and_every_look_is_logged(
    intelligence: ServiceUnderTest,
) -> None:
    concern = await raised(intelligence)
    for table in ("outbox", "history", "concerns", "concern_story", "idempotency_keys"):
        dump = await intelligence.pool.fetchval(f"select coalesce(string_agg(t::text, ''), '') from {table} t")  # noqa: S608
        assert "uillfeather" not in dump, table
    path = f"/concerns/{concern['id']}/reporter"
    body = {"reason": "To ask for consent."}
    refused = await intelligence.call("POST", f"{path}/access", role=Role.QUALITY_OFFICER, json=body)
    assert refused.status_code == 403
    seen = await intelligence.call("POST", f"{path}/access", role=Role.QUALITY_LEAD, json=body)
    assert seen.json() == BODY["reporter"]
    erased = await intelligence.call("POST", f"{path}/erasure", role=Role.QUALITY_LEAD, json=body)
    assert erased.json() == {"erased": True}
    again = await intelligence.call("POST", f"{path}/access", role=Role.QUALITY_LEAD, json=body)
    assert again.json() == {"name": None, "contact": None}
    log = await intelligence.pool.fetch("select action, actor, reason from reporter_access order by id")
    assert [tuple(row) for row in log] == [
        ("read", "quality_lead-1", "To ask for consent."),
        ("erased", "quality_lead-1", "To ask for consent."),
        ("read", "quality_lead-1", "To ask for consent."),
    ]


async def test_a_repeated_command_answers_the_same_and_changes_nothing(intelligence: ServiceUnderTest) -> None:
    headers = {"Idempotency-Key": "first-of-today"}
    first = await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=BODY, headers=headers)
    again = await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=BODY, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["etag"] == first.headers["etag"]
    other = {**BODY, "programme": "Urology"}
    misused = await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=other, headers=headers)
    assert misused.status_code == 422
    assert len(await intelligence.emitted(ConcernRaised)) == 1


async def test_the_same_key_sent_at_once_raises_one_concern(intelligence: ServiceUnderTest) -> None:
    headers = {"Idempotency-Key": "at-once"}
    answers = await asyncio.gather(
        *(
            intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=BODY, headers=headers)
            for _ in range(8)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await intelligence.emitted(ConcernRaised)) == 1


async def test_a_change_of_what_somebody_else_changed_is_refused(intelligence: ServiceUnderTest) -> None:
    concern = await raised(intelligence)
    answers = await asyncio.gather(*(change(intelligence, concern, "ratings", RATING) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    stale = next(answer for answer in answers if answer.status_code == 412)
    assert stale.json()["current_version"] == 2
    missing = await intelligence.call("POST", f"/concerns/{concern['id']}/ratings", role=Role.QUALITY_LEAD, json=RATING)
    assert missing.status_code == 428
    malformed = await intelligence.call(
        "POST",
        f"/concerns/{concern['id']}/ratings",
        role=Role.QUALITY_LEAD,
        json=RATING,
        headers={"If-Match": "three"},
    )
    assert malformed.status_code == 400


async def test_wrong_input_is_refused_with_the_field_and_the_reason(intelligence: ServiceUnderTest) -> None:
    cases = [
        ({"provider_code": "NOSUCH"}, "body.provider_code"),
        ({"provider_code": "FICTHT001A"}, "body.provider_code"),
        ({"site_code": "RWEAA"}, "body.site_code"),
        ({"standards": ["1.1", "9.9"]}, "body.standards.1"),
        ({"learner_group": "wizards"}, "body.learner_group"),
        ({"raised_on": "2100-01-01"}, "body.raised_on"),
        ({"source_date": "2090-01-01", "raised_on": "2024-01-01"}, "body.source_date"),
        ({"summary": "with a NUL \x00"}, "body.summary"),
        ({"item_ids": [str(uuid.uuid4())]}, "body.item_ids.0"),
        ({"colour": "red"}, "body.colour"),
    ]
    for changes, wanted in cases:
        answer = await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json={**BODY, **changes})
        assert answer.status_code == 422, (changes, answer.text)
        assert [error["field"] for error in answer.json()["errors"]] == [wanted]
    assert await intelligence.emitted(ConcernRaised) == []


async def test_a_closed_code_names_its_successor(intelligence: ServiceUnderTest) -> None:
    answer = await intelligence.call(
        "POST",
        "/concerns",
        role=Role.QUALITY_OFFICER,
        json={**BODY, "provider_code": "FICTHT004", "site_code": None, "raised_on": "2024-05-01"},
    )
    assert answer.status_code == 422
    assert "FICTHT003" in answer.json()["errors"][0]["reason"]


async def test_callers_need_a_token_and_the_permission(intelligence: ServiceUnderTest) -> None:
    assert (await intelligence.call("GET", "/concerns", role=None)).status_code == 401
    assert (await intelligence.call("POST", "/concerns", role=Role.READER, json=BODY)).status_code == 403
    concern = await raised(intelligence)
    answer = await intelligence.call(
        "POST",
        f"/concerns/{concern['id']}/ratings",
        role=Role.QUALITY_OFFICER,
        json=RATING,
        headers={"If-Match": '"1"'},
    )
    assert answer.status_code == 403
    garbage = await intelligence.client.get("/concerns", headers={"Authorization": "Bearer not.a.token"})
    assert garbage.status_code == 401


async def test_items_feed_concerns_and_lists_go_page_by_page(intelligence: ServiceUnderTest) -> None:
    ids = []
    for day in range(1, 6):
        answer = await intelligence.call(
            "POST",
            "/intelligence",
            role=Role.QUALITY_OFFICER,
            json={
                "provider_code": "FICTHT001",
                "source_kind": "nts",
                "source_date": f"2024-05-0{day}",
                "summary": "Red flag.",
            },
        )
        assert answer.status_code == 201
        ids.append(answer.json()["id"])
    concern = await raised(intelligence, item_ids=ids[:2])
    linked = (await change(intelligence, concern, "items", {"item_ids": ids[2:]})).json()
    assert [item["id"] for item in linked["items"]] == ids
    seen, cursor = [], None
    while True:
        page = (
            await intelligence.call(
                "GET",
                "/intelligence",
                role=Role.QUALITY_OFFICER,
                params={"limit": 2, **({"cursor": cursor} if cursor else {})},
            )
        ).json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == ids
    bad = await intelligence.call("GET", "/intelligence", role=Role.QUALITY_OFFICER, params={"cursor": "nonsense"})
    assert bad.status_code == 422


async def test_an_assessment_suggests_and_tells_nobody(intelligence: ServiceUnderTest) -> None:
    concern = await raised(intelligence)
    answer = await intelligence.call(
        "POST",
        f"/concerns/{concern['id']}/assessments",
        role=Role.QUALITY_OFFICER,
        json={"impact": 2, "likelihood": 4, "rationale": "First look."},
        headers={"If-Match": '"1"'},
    )
    (rating,) = answer.json()["ratings"]
    assert (rating["suggested_category"], rating["category"]) == (Category.SIGNIFICANT, None)
    assert rating["rated_on"] <= date.today().isoformat()
    assert await intelligence.emitted(ConcernRated) == []


async def test_who_raised_a_concern_is_not_kept_with_the_answer_to_a_repeated_look(
    intelligence: ServiceUnderTest,
) -> None:
    concern = await raised(intelligence)
    path = f"/concerns/{concern['id']}/reporter"

    async def look() -> dict:
        answer = await intelligence.call(
            "POST",
            f"{path}/access",
            role=Role.QUALITY_LEAD,
            json={"reason": "To ask for consent."},
            headers={"Idempotency-Key": "look"},
        )
        assert answer.status_code == 200
        return answer.json()

    assert await look() == BODY["reporter"]
    assert await look() == BODY["reporter"]
    kept = await intelligence.pool.fetch("select * from idempotency_keys")
    assert len(kept) == 1
    assert "uillfeather" not in str(kept)
    await intelligence.call("POST", f"{path}/erasure", role=Role.QUALITY_LEAD, json={"reason": "They asked."})
    assert await look() == {"name": None, "contact": None}
    assert await intelligence.pool.fetchval("select count(*) from reporter_access where action = 'read'") == 3


async def test_an_event_that_names_a_concern_twice_is_told_once(intelligence: ServiceUnderTest) -> None:
    concern = await raised(intelligence)
    twice = example_of(by_model(OutcomeRecorded)).data.model_copy(
        update={"concern_ids": [uuid.UUID(concern["id"])] * 2}
    )
    event_id = uuid.uuid4()
    await intelligence.receive(twice, key="FICTHT001", event_id=event_id)
    story = (await intelligence.call("GET", f"/concerns/{concern['id']}", role=Role.READER)).json()["story"]
    assert [chapter["event_id"] for chapter in story].count(str(event_id)) == 1


async def test_a_concern_is_raised_though_an_imported_one_has_the_next_reference(
    intelligence: ServiceUnderTest,
) -> None:
    first = await raised(intelligence)
    prefix, number = first["reference"].rsplit("-", 1)
    await intelligence.pool.execute(
        "update concerns set reference = $2 where id = $1", uuid.UUID(first["id"]), f"{prefix}-{int(number) + 1:04}"
    )
    second = await raised(intelligence)
    assert second["reference"] == f"{prefix}-{int(number) + 2:04}"
