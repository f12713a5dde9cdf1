"""The directory, the deliveries and the feed over HTTP."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from notify_story import KEY, OTHER_KEY, OTHER_PROVIDER, add, deliveries, event, stakeholder

import services.notify
from shared.contracts.concerns import ConcernClosed, ConcernRaised, ConcernRated
from shared.contracts.registry import by_model
from shared.persistence import history
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

SHIPPED = Path(services.notify.__file__).parent / "data" / "stakeholders.json"
ADDRESS = "placements@fenbrook.example"


async def changes_of(notify: ServiceUnderTest, stakeholder_id: object) -> list[tuple[str, str, str | None, Any]]:
    async with notify.pool.acquire() as connection:
        found = await history.of(connection, "stakeholder", str(stakeholder_id))
    return [(change.change, change.actor, change.reason, change.detail) for change in found]


# The directory -----------------------------------------------------------------------------------------------------


async def test_a_stakeholder_is_added_read_and_changed_with_its_history(notify: ServiceUnderTest) -> None:
    added = await notify.call(
        "POST", "/stakeholders", role=Role.QUALITY_OFFICER, json=stakeholder(ADDRESS, reference="fenbrook")
    )
    assert added.status_code == 201
    path = added.headers["Location"]
    assert path == f"/stakeholders/{added.json()['id']}"
    assert added.headers["ETag"] == '"1"'

    read = await notify.call("GET", path, role=Role.QUALITY_OFFICER)
    assert read.headers["ETag"] == '"1"'
    assert read.json()["email"] == ADDRESS
    assert read.json()["subscriptions"] == [
        {"event_types": ["concern.rated"], "provider_code": None, "minimum_category": None}
    ]

    body = stakeholder(
        "quality@fenbrook.example",
        {"event_types": ["outcome.recorded"], "provider_code": KEY, "minimum_category": 2},
        reason="New team",
    )
    changed = await notify.call("PUT", path, role=Role.QUALITY_OFFICER, json=body, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    read = await notify.call("GET", path, role=Role.QUALITY_OFFICER)
    assert read.json()["email"] == "quality@fenbrook.example"
    assert read.json()["reference"] == "fenbrook"
    assert read.json()["subscriptions"] == [
        {"event_types": ["outcome.recorded"], "provider_code": KEY, "minimum_category": 2}
    ]
    assert await changes_of(notify, added.json()["id"]) == [
        ("added", "quality_officer-1", None, {"kind": "university", "reference": "fenbrook"}),
        ("changed", "quality_officer-1", "New team", {"fields": ["subscriptions", "email"]}),
    ]


async def test_those_who_do_not_manage_the_directory_see_organisation_and_kind_only(notify: ServiceUnderTest) -> None:
    stakeholder_id = await add(notify, ADDRESS)
    for role in (Role.READER, Role.LAY_PARTNER, Role.FINANCE_APPROVER):
        one = await notify.call("GET", f"/stakeholders/{stakeholder_id}", role=role)
        listed = await notify.call("GET", "/stakeholders", role=role)
        for seen in (one.json(), listed.json()["items"][0]):
            assert seen["organisation"] == "University of Fenbrook (fictional)"
            assert seen["kind"] == "university"
            assert (seen["email"], seen["subscriptions"]) == (None, None)
    for role in (Role.QUALITY_OFFICER, Role.QUALITY_LEAD, Role.OPERATIONS):
        assert (await notify.call("GET", "/stakeholders", role=role)).json()["items"][0]["email"] == ADDRESS


async def test_who_does_not_manage_the_directory_cannot_change_it(notify: ServiceUnderTest) -> None:
    stakeholder_id = await add(notify, ADDRESS)
    for method, path, body in (
        ("POST", "/stakeholders", stakeholder(ADDRESS)),
        ("POST", "/stakeholders/import", [stakeholder(ADDRESS, reference="a")]),
        ("PUT", f"/stakeholders/{stakeholder_id}", stakeholder(ADDRESS)),
    ):
        for role in (Role.READER, Role.LAY_PARTNER, Role.FINANCE_OFFICER):
            refused = await notify.call(method, path, role=role, json=body, headers={"If-Match": '"1"'})
            assert refused.status_code == 403, (method, path, role)
        assert (await notify.call(method, path, role=None, json=body)).status_code == 401


async def test_a_change_needs_the_version_it_was_made_for(notify: ServiceUnderTest) -> None:
    path = f"/stakeholders/{await add(notify, ADDRESS)}"
    body = stakeholder(ADDRESS)
    for headers, status in (
        ({}, 428),
        ({"If-Match": '"7"'}, 412),
        ({"If-Match": "x"}, 400),
        ({"If-Match": '"1"'}, 200),
    ):
        answer = await notify.call("PUT", path, role=Role.QUALITY_OFFICER, json=body, headers=headers)
        assert answer.status_code == status, headers
    again = await notify.call("PUT", path, role=Role.QUALITY_OFFICER, json=body, headers={"If-Match": '"1"'})
    assert (again.status_code, again.json()["current_version"]) == (412, 2)


async def test_a_reference_is_given_once(notify: ServiceUnderTest) -> None:
    await add(notify, ADDRESS, reference="fenbrook")
    again = await notify.call(
        "POST", "/stakeholders", role=Role.QUALITY_OFFICER, json=stakeholder(ADDRESS, reference="fenbrook")
    )
    assert again.status_code == 409
    for _ in range(2):  # without one there is nothing to clash
        await add(notify, ADDRESS)


async def test_the_list_is_filtered_and_read_page_by_page(notify: ServiceUnderTest) -> None:
    made = [str(await add(notify, f"a{number}@fenbrook.example", reference=f"r-{number}")) for number in range(5)]
    paused = str(await add(notify, ADDRESS, kind="college", active=False))

    async def read(**parameters: Any) -> tuple[list[str], str | None]:
        answer = await notify.call("GET", "/stakeholders", role=Role.READER, params=parameters)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]], answer.json()["next"]

    first, pointer = await read(limit=4)
    rest, end = await read(limit=4, cursor=pointer)
    assert (first + rest, end) == ([*made, paused], None)
    assert await read(kind="college") == ([paused], None)
    assert await read(active=False) == ([paused], None)
    assert await read(reference="r-3") == ([made[3]], None)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"email": "not an address"}, "body.email"),
    ({"email": "a@b.example\r\nBcc: c@d.example"}, "body.email"),
    ({"kind": "wizard"}, "body.kind"),
    ({"organisation": ""}, "body.organisation"),
    ({"organisation": "nul\x00"}, "body.organisation"),
    ({"organisation": "write to a@b.example"}, "body.organisation"),
    ({"reference": "Not A Key"}, "body.reference"),
    ({"subscriptions": [{"event_types": []}]}, "body.subscriptions.0.event_types"),
    ({"subscriptions": [{"event_types": ["notification.failed"]}]}, "body.subscriptions.0.event_types.0"),
    ({"subscriptions": [{"event_types": ["concern.rated"], "minimum_category": 5}]}, "minimum_category"),
    ({"subscriptions": [{"event_types": ["concern.rated"], "provider_code": "x"}]}, "provider_code"),
    ({"subscriptions": [{"event_types": ["concern.rated"], "else": 1}]}, "body.subscriptions.0.else"),
    ({"kind": "local_education_provider"}, "body.provider_code"),
    ({"provider_code": KEY}, "body.provider_code"),
    (
        {
            "kind": "local_education_provider",
            "provider_code": KEY,
            "subscriptions": [{"event_types": ["visit.scheduled"], "provider_code": OTHER_KEY}],
        },
        "body.subscriptions.0.provider_code",
    ),
]


async def test_wrong_input_is_a_422_that_names_the_field_and_repeats_no_address(notify: ServiceUnderTest) -> None:
    for changes, field in WRONG:
        refused = await notify.call(
            "POST", "/stakeholders", role=Role.QUALITY_OFFICER, json=stakeholder(ADDRESS) | changes
        )
        assert refused.status_code == 422, (changes, refused.text)
        assert any(field in problem["field"] for problem in refused.json()["errors"]), (changes, refused.text)
        assert ADDRESS not in refused.text
        assert str(changes.get("email")) not in refused.text
    assert (await notify.call("GET", "/stakeholders", role=Role.READER)).json()["items"] == []


async def test_what_is_not_there_is_a_404(notify: ServiceUnderTest) -> None:
    for method, path, body in (
        ("GET", f"/stakeholders/{uuid4()}", None),
        ("PUT", f"/stakeholders/{uuid4()}", stakeholder(ADDRESS)),
        ("GET", f"/deliveries/{uuid4()}", None),
        ("POST", f"/deliveries/{uuid4()}/retry", {"reason": "Mended"}),
        ("GET", f"/feed/{uuid4()}", None),
    ):
        answer = await notify.call(method, path, role=Role.OPERATIONS, json=body, headers={"If-Match": '"1"'})
        assert answer.status_code == 404, (method, path)


async def test_a_question_that_makes_no_sense_is_a_422(notify: ServiceUnderTest) -> None:
    beyond_any_position = "OTIyMzM3MjAzNjg1NDc3NTgwOA"
    for path in (
        "/stakeholders/x",
        "/stakeholders?cursor=x",
        "/stakeholders?cursor=%00",
        "/stakeholders?kind=x",
        "/stakeholders?reference=%00",
        "/stakeholders?limit=0",
        "/deliveries/x",
        f"/deliveries?cursor={beyond_any_position}",
        "/deliveries?state=lost",
        "/feed/x",
        "/feed?after=-1",
        "/feed?after=9223372036854775808",
        "/feed?provider=x",
        "/feed?type=notification.delivered",
        f"/feed?cursor={beyond_any_position}",
    ):
        answer = await notify.call("GET", path, role=Role.OPERATIONS)
        assert answer.status_code == 422, (path, answer.text)


async def test_a_command_sent_twice_with_one_key_is_done_once(notify: ServiceUnderTest) -> None:
    answers = [
        await notify.call(
            "POST",
            "/stakeholders",
            role=Role.QUALITY_OFFICER,
            json=stakeholder(ADDRESS),
            headers={"Idempotency-Key": "one"},
        )
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len((await notify.call("GET", "/stakeholders", role=Role.READER)).json()["items"]) == 1


# Import ------------------------------------------------------------------------------------------------------------


async def test_the_shipped_directory_is_imported_once_however_often_it_is_sent(notify: ServiceUnderTest) -> None:
    entries = json.loads(SHIPPED.read_text(encoding="utf-8"))
    first = await notify.call("POST", "/stakeholders/import", role=Role.OPERATIONS, json=entries)
    assert first.status_code == 200, first.text
    assert (first.json()["added"], first.json()["present"]) == (len(entries), 0)
    second = await notify.call("POST", "/stakeholders/import", role=Role.OPERATIONS, json=entries)
    assert (second.json()["added"], second.json()["present"]) == (0, len(entries))
    ids = {entry["reference"]: entry["id"] for entry in first.json()["stakeholders"]}
    assert {entry["reference"]: entry["id"] for entry in second.json()["stakeholders"]} == ids
    assert await notify.pool.fetchval("select count(*) from stakeholders") == len(entries)
    gmc = await notify.call("GET", "/stakeholders", role=Role.OPERATIONS, params={"reference": "gmc"})
    given = next(entry for entry in entries if entry["reference"] == "gmc")
    assert gmc.json()["items"][0]["email"] == given["email"]
    assert gmc.json()["items"][0]["subscriptions"][0]["minimum_category"] == 2


async def test_an_import_leaves_alone_what_was_changed_since_the_last_one(notify: ServiceUnderTest) -> None:
    entry = stakeholder(ADDRESS, reference="fenbrook")
    report = await notify.call("POST", "/stakeholders/import", role=Role.OPERATIONS, json=[entry])
    path = f"/stakeholders/{report.json()['stakeholders'][0]['id']}"
    body = stakeholder("new@fenbrook.example")
    await notify.call("PUT", path, role=Role.OPERATIONS, json=body, headers={"If-Match": '"1"'})
    again = await notify.call(
        "POST", "/stakeholders/import", role=Role.OPERATIONS, json=[entry, stakeholder(ADDRESS, reference="other")]
    )
    assert [(found["reference"], found["added"]) for found in again.json()["stakeholders"]] == [
        ("fenbrook", False),
        ("other", True),
    ]
    assert (await notify.call("GET", path, role=Role.OPERATIONS)).json()["email"] == "new@fenbrook.example"


async def test_an_import_with_one_wrong_entry_puts_nothing_in_and_names_it(notify: ServiceUnderTest) -> None:
    good = stakeholder(ADDRESS, reference="good")
    for bad, field in (
        (stakeholder("no address", reference="bad"), "body.1.email"),
        (stakeholder(ADDRESS), "body.1.reference"),
        (stakeholder(ADDRESS, reference="good"), "body.1.reference"),
        (stakeholder(ADDRESS, reference="bad", kind="local_education_provider"), "body.1.provider_code"),
    ):
        refused = await notify.call("POST", "/stakeholders/import", role=Role.OPERATIONS, json=[good, bad])
        assert refused.status_code == 422, refused.text
        assert [problem["field"] for problem in refused.json()["errors"]] == [field]
    assert (await notify.call("GET", "/stakeholders", role=Role.READER)).json()["items"] == []
    assert (await notify.call("POST", "/stakeholders/import", role=Role.OPERATIONS, json=[])).status_code == 422


# Deliveries --------------------------------------------------------------------------------------------------------


async def test_deliveries_are_found_by_state_event_and_stakeholder_and_read_page_by_page(
    notify: ServiceUnderTest,
) -> None:
    one, other = await add(notify, ADDRESS), await add(notify, "other@fenbrook.example")
    events = [uuid4(), uuid4()]
    for event_id in events:
        await notify.receive(event(ConcernRated), key=KEY, event_id=event_id)
    found = await deliveries(notify)
    assert [(d["event_id"], d["stakeholder_id"]) for d in found] == [
        (str(event_id), str(someone)) for event_id in events for someone in (one, other)
    ]
    assert await deliveries(notify, event_id=str(events[1])) == found[2:]
    assert await deliveries(notify, stakeholder=str(other)) == found[1::2]
    assert await deliveries(notify, state="queued") == found
    assert await deliveries(notify, state="sent") == []
    page = (await notify.call("GET", "/deliveries", role=Role.READER, params={"limit": 3})).json()
    assert page["items"] == found[:3]
    assert await deliveries(notify, cursor=page["next"]) == found[3:]
    single = await notify.call("GET", f"/deliveries/{found[0]['id']}", role=Role.READER)
    assert (single.json(), single.headers["ETag"]) == (found[0], '"1"')


async def test_only_an_operator_retries_and_only_what_has_failed(notify: ServiceUnderTest) -> None:
    await add(notify, ADDRESS)
    await notify.receive(event(ConcernRated), key=KEY)
    (delivery,) = await deliveries(notify)
    path, body, match = f"/deliveries/{delivery['id']}/retry", {"reason": "Mended"}, {"If-Match": '"1"'}
    for role in (Role.QUALITY_LEAD, Role.READER):
        assert (await notify.call("POST", path, role=role, json=body, headers=match)).status_code == 403
    for sent, headers, status in (
        (body, match, 409),
        (body, {}, 428),
        (body, {"If-Match": '"9"'}, 412),
        ({}, match, 422),
        ({"reason": "for a@b.example"}, match, 422),
    ):
        answer = await notify.call("POST", path, role=Role.OPERATIONS, json=sent, headers=headers)
        assert answer.status_code == status, answer.text
    assert await deliveries(notify) == [delivery]


# The feed ----------------------------------------------------------------------------------------------------------


async def test_the_feed_has_every_event_oldest_first_without_its_internal_fields(notify: ServiceUnderTest) -> None:
    raised, correlation, event_id = event(ConcernRaised), uuid4(), uuid4()
    await notify.receive(raised, key=KEY, correlation_id=correlation, event_id=event_id)
    await notify.receive(event(ConcernRated), key=KEY)
    await notify.receive(event(ConcernClosed, provider=OTHER_PROVIDER), key=OTHER_KEY)

    async def read(**parameters: Any) -> list[dict[str, Any]]:
        answer = await notify.call("GET", "/feed", role=Role.READER, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    entries = await read()
    assert [entry["event_type"] for entry in entries] == ["concern.raised", "concern.rated", "concern.closed"]
    first = entries[0]
    assert first["event_id"] == str(event_id)
    assert first["type"] == by_model(ConcernRaised).type
    assert first["subject"] == str(raised.concern_id)
    assert first["key"] == KEY
    assert first["correlation_id"] == str(correlation)
    assert first["data"]["reference"] == raised.reference
    assert not {"source_kind", "source_date", "origin"} & set(first["data"])
    stored = await notify.pool.fetchval("select data::text from feed where event_id = $1", event_id)
    assert "source_kind" not in stored, "what is not stored cannot be shown by mistake"

    assert await read(provider=OTHER_KEY) == entries[2:]
    assert await read(type="concern.rated") == entries[1:2]
    assert await read(after=entries[1]["position"]) == entries[2:]
    page = (await notify.call("GET", "/feed", role=Role.READER, params={"limit": 2})).json()
    assert page["items"] == entries[:2]
    assert await read(cursor=page["next"]) == entries[2:]
    single = await notify.call("GET", f"/feed/{event_id}", role=Role.READER)
    assert single.json() == first


async def test_the_feed_needs_a_token(notify: ServiceUnderTest) -> None:
    for path in ("/feed", f"/feed/{uuid4()}", "/deliveries", f"/deliveries/{uuid4()}", "/stakeholders"):
        assert (await notify.call("GET", path, role=None)).status_code == 401


async def test_every_error_of_the_description_is_a_problem_and_every_model_has_an_example(
    notify: ServiceUnderTest,
) -> None:
    document = (await notify.call("GET", "/openapi.json", role=None)).json()
    bodies = ("AddStakeholder", "ChangeStakeholder", "ImportStakeholder", "RetryDelivery", "Subscription")
    for name in bodies:
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            assert "description" in schema, (name, field)
            if field not in ("active", "kind"):
                assert "examples" in schema or "$ref" in schema, (name, field)
