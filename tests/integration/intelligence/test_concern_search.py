"""Concerns by the parts of their scope."""

import pytest

from shared.reference import files
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest


@pytest.fixture
async def register(intelligence: ServiceUnderTest) -> ServiceUnderTest:
    answer = await intelligence.call(
        "POST",
        "/imports/concerns",
        role=Role.QUALITY_OFFICER,
        content=files.path("concerns-synthetic-2023-24.csv").read_bytes(),
    )
    assert answer.json()["added"] == 36, answer.text
    return intelligence


async def found(service: ServiceUnderTest, **query: str) -> list[dict]:
    items, cursor = [], None
    while True:
        params = {**query, "limit": "7", **({"cursor": cursor} if cursor else {})}
        answer = await service.call("GET", "/concerns", role=Role.READER, params=params)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if (cursor := answer.json()["next"]) is None:
            return items


async def test_each_part_of_a_scope_narrows_the_list_to_what_fits(register: ServiceUnderTest) -> None:
    every = await found(register)
    assert len(every) == 36
    cases = [
        ({"provider": "FICTHT001"}, lambda one: one["provider"]["ods_code"] == "FICTHT001"),
        ({"site": "FICTHT001A"}, lambda one: one["site_code"] == "FICTHT001A"),
        ({"programme": "EMERGENCY medicine"}, lambda one: one["programme"] == "Emergency medicine"),
        ({"learner_group": "nursing"}, lambda one: one["learner_group"] == "nursing"),
        ({"standard": "3.5"}, lambda one: "3.5" in one["standards"]),
        ({"source_kind": "learner"}, lambda one: one["source_kind"] == "learner"),
        ({"status": "closed"}, lambda one: one["status"] == "closed"),
        ({"category": "2"}, lambda one: one["category"] == 2),
        ({"raised_from": "2024-01-01"}, lambda one: one["raised_on"] >= "2024-01-01"),
        ({"raised_to": "2023-05-04"}, lambda one: one["raised_on"] <= "2023-05-04"),
        ({"reference": "SYN-2023-003"}, lambda one: one["reference"] == "SYN-2023-003"),
    ]
    for query, fits in cases:
        expected = [one["id"] for one in every if fits(one)]
        assert 0 < len(expected) < 36, query
        assert [one["id"] for one in await found(register, **query)] == expected, query
    both = await found(register, provider="FICTHT001", status="open")
    assert {(one["provider"]["ods_code"], one["status"]) for one in both} == {("FICTHT001", "open")}


async def test_a_register_narrows_the_list_to_what_stands_on_it(register: ServiceUnderTest) -> None:
    assert await found(register, register="national_register") == []
    (concern,) = await found(register, reference="SYN-2023-012")
    answer = await register.call(
        "POST",
        f"/concerns/{concern['id']}/escalations",
        role=Role.QUALITY_LEAD,
        json={"register_kind": "national_register", "rationale": "Serious and persistent."},
        headers={"If-Match": f'"{concern["version"]}"'},
    )
    assert answer.status_code == 200, answer.text
    assert [one["reference"] for one in await found(register, register="national_register")] == ["SYN-2023-012"]


async def test_what_is_no_part_of_a_scope_is_refused(register: ServiceUnderTest) -> None:
    for query in ({"standard": "x"}, {"register": "secret"}, {"raised_from": "soon"}):
        answer = await register.call("GET", "/concerns", role=Role.READER, params=query)
        assert answer.status_code == 422, query
