"""The pool of people who may sit on panels."""

import asyncio
import json
from typing import Any
from uuid import uuid4

from shared.security.roles import Role
from tests.integration.visits.visits_world import NAMES, World, fields

ROWAN = {"name": "Rowan Ashdown", "organisation": "Lay partner pool", "roles": ["lay_partner"]}


async def test_a_person_is_added_and_read(world: World) -> None:
    added = await world.ask("POST", "/people", ROWAN)
    assert added.status_code == 201
    assert added.headers["location"] == f"/people/{added.json()['id']}"
    read = await world.ask("GET", added.headers["location"])
    assert read.headers["etag"] == added.headers["etag"] == '"1"'
    assert read.json() == added.json()
    assert {**read.json(), "id": None} == {**ROWAN, "id": None, "active": True, "conflicts": [], "version": 1}


async def test_a_person_is_changed_by_who_has_seen_the_latest_version(world: World) -> None:
    path = f"/people/{world.people['lay']}"
    changed = await world.ask("PATCH", path, {"active": False, "reason": "Moved away"}, if_match="1")
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["active"] is False
    assert changed.json()["name"] == NAMES["lay"]
    stale = await world.ask("PATCH", path, {"active": True}, if_match="1")
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    blind = await world.ask("PATCH", path, {"active": True})
    assert blind.status_code == 428


async def test_a_change_of_nothing_is_refused(world: World) -> None:
    answer = await world.ask("PATCH", f"/people/{world.people['lay']}", {"reason": "None"}, if_match="1")
    assert (answer.status_code, fields(answer)) == (422, ["body"])


async def test_a_conflict_is_declared_once_and_withdrawn(world: World) -> None:
    path = f"/people/{world.people['lay']}"
    declared = await world.ask("POST", f"{path}/conflicts", {"provider_code": "RWE", "note": "Chairs its charity"})
    assert (declared.status_code, declared.headers["etag"]) == (201, '"2"')
    (conflict,) = declared.json()["conflicts"]
    assert (conflict["provider_code"], conflict["note"]) == ("RWE", "Chairs its charity")
    again = await world.ask("POST", f"{path}/conflicts", {"provider_code": "RWE"})
    assert again.status_code == 409
    where = f"{path}/conflicts/{conflict['id']}"
    assert (await world.ask("DELETE", where)).status_code == 428
    assert (await world.ask("DELETE", where, if_match="1")).status_code == 412
    withdrawn = await world.ask("DELETE", f"{where}?reason=Left+the+charity", if_match="2")
    assert (withdrawn.status_code, withdrawn.json()["conflicts"]) == (200, [])
    assert (await world.ask("DELETE", where, if_match="3")).status_code == 404
    anew = await world.ask("POST", f"{path}/conflicts", {"provider_code": "RWE"})
    assert (anew.status_code, anew.json()["version"]) == (201, 4)
    row = await world.service.pool.fetchrow(
        "select reason, actor from history where change = 'conflict_withdrawn' and aggregate_id = $1",
        world.people["lay"],
    )
    assert row is not None
    assert (row["reason"], row["actor"]) == ("Left the charity", "quality_officer-1")


async def test_two_declarations_of_one_conflict_at_once_make_one(world: World) -> None:
    path = f"/people/{world.people['lay']}/conflicts"
    answers = await asyncio.gather(*(world.ask("POST", path, {"provider_code": "RWE"}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_a_repeated_addition_with_its_key_adds_nobody(world: World) -> None:
    first = await world.ask("POST", "/people", ROWAN, key="rowan-1")
    second = await world.ask("POST", "/people", ROWAN, key="rowan-1")
    assert second.headers["idempotency-replayed"] == "true"
    assert first.json() == second.json()
    assert await world.service.pool.fetchval("select count(*) from people where name = $1", ROWAN["name"]) == 1


async def test_the_pool_is_listed_in_pages_by_role_and_activity(world: World) -> None:
    await world.ask("PATCH", f"/people/{world.people['lead']}", {"active": False}, if_match="1")
    lay = (await world.ask("GET", "/people?role=lay_partner")).json()
    assert [person["id"] for person in lay["items"]] == [world.people["lay"], world.people["lead"]]
    active = (await world.ask("GET", "/people?role=lay_partner&active=true")).json()
    assert [person["id"] for person in active["items"]] == [world.people["lay"]]
    first = (await world.ask("GET", "/people?limit=2")).json()
    rest = (await world.ask("GET", f"/people?limit=2&cursor={first['next']}")).json()
    assert [p["id"] for p in first["items"] + rest["items"]] == list(world.people.values())
    assert rest["next"] is None


async def test_only_who_manages_people_sees_or_changes_them(world: World) -> None:
    path = f"/people/{world.people['lay']}"
    for role in (*(set(Role) - {Role.QUALITY_OFFICER, Role.QUALITY_LEAD}), None):
        for method, where, body in (
            ("GET", "/people", None),
            ("GET", path, None),
            ("POST", "/people", ROWAN),
            ("PATCH", path, {"active": False}),
            ("POST", f"{path}/conflicts", {"provider_code": "RWE"}),
            ("DELETE", f"{path}/conflicts/{uuid4()}", None),
        ):
            answer = await world.ask(method, where, body, role=role, if_match="1")
            assert answer.status_code == (401 if role is None else 403), f"{role}: {method} {where}"
            assert NAMES["lay"] not in answer.text


async def test_nobody_is_there_who_was_not_added(world: World) -> None:
    nobody = uuid4()
    for method, path, body in (
        ("GET", f"/people/{nobody}", None),
        ("PATCH", f"/people/{nobody}", {"active": False}),
        ("POST", f"/people/{nobody}/conflicts", {"provider_code": "RWE"}),
        ("DELETE", f"/people/{nobody}/conflicts/{uuid4()}", None),
    ):
        assert (await world.ask(method, path, body, if_match="1")).status_code == 404


#: What is no person, and the field at fault.
ODD_PEOPLE: list[tuple[dict[str, object], str]] = [
    ({"name": ""}, "body.name"),
    ({"name": "Two\nlines"}, "body.name"),
    ({"name": "NUL \x00"}, "body.name"),
    ({"name": "half \ud800"}, "body.name"),
    ({"name": "x" * 301}, "body.name"),
    ({"name": 5}, "body.name"),
    ({"roles": []}, "body.roles"),
    ({"roles": ["king"]}, "body.roles.0"),
    ({"roles": ["chair", "chair"]}, "body.roles"),
    ({"email": "somebody@example.org"}, "body.email"),
]


async def test_odd_input_is_refused_by_field(world: World) -> None:
    for changes, field in ODD_PEOPLE:
        answer = await world.service.call(
            "POST",
            "/people",
            role=Role.QUALITY_OFFICER,
            headers={"Content-Type": "application/json"},
            content=json.dumps({**ROWAN, **changes}),
        )
        assert (answer.status_code, fields(answer)) == (422, [field]), changes


async def test_an_odd_reason_for_a_withdrawal_is_refused(world: World) -> None:
    path = f"/people/{world.people['lay']}/conflicts/{uuid4()}"
    for reason in ("", "%00", "a%0Ab", "x" * 301):
        answer = await world.ask("DELETE", f"{path}?reason={reason}", if_match="1")
        assert (answer.status_code, fields(answer)) == (422, ["query.reason"])


async def test_names_are_not_kept_with_the_answers_to_repeated_commands(world: World) -> None:
    chair = f"/people/{world.people['chair']}"
    lay = f"/people/{world.people['lay']}"
    plan = world.plan(kind="annual_quality_review", provider={"name": "Fenbrook (fictional)", "kind": "hospital_trust"})
    sent = [
        ("POST", "/people", ROWAN, None),
        ("PATCH", chair, {"active": True}, "1"),
        ("POST", f"{lay}/conflicts", {"provider_code": "FICTHT009"}, None),
        ("POST", "/visits", plan, None),
    ]
    first = [await world.ask(m, p, b, key=f"once-{n}", **_if_match(v)) for n, (m, p, b, v) in enumerate(sent)]
    visit = first[-1].json()
    for what, method, body in (
        ("panel", "PUT", {"panel": world.panel()}),
        ("outcome", "POST", world.outcome()),
    ):
        version = (await world.ask("GET", f"/visits/{visit['id']}")).json()["version"]
        sent.append((method, f"/visits/{visit['id']}/{what}", body, str(version)))
        first.append(await world.ask(method, sent[-1][1], body, key=f"once-{len(first)}", if_match=str(version)))
    assert [answer.status_code for answer in first] == [201, 200, 201, 201, 200, 201]

    rows = await world.service.pool.fetch("select headers, body from idempotency_keys")
    kept = json.dumps([dict(row) for row in rows], ensure_ascii=False)
    assert len(rows) == len(sent)
    assert not [name for name in (*NAMES.values(), ROWAN["name"]) if name in kept]

    count = await world.service.pool.fetchval("select count(*) from history")
    for number, (method, path, body, version) in enumerate(sent):
        again = await world.ask(method, path, body, key=f"once-{number}", **_if_match(version))
        assert (again.status_code, again.headers["idempotency-replayed"]) == (first[number].status_code, "true")
        assert again.json()["id"] == first[number].json()["id"]
        assert again.headers.get("location") == first[number].headers.get("location")
    assert await world.service.pool.fetchval("select count(*) from history") == count


def _if_match(version: str | None) -> dict[str, Any]:
    return {} if version is None else {"if_match": version}
