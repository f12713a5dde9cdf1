"""Annual volumes over HTTP, as they are published and as they stand while the register changes."""

import csv
import io

from shared.reference import files
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

SCOPE = {
    "provider_code": "FICTHT001",
    "programme": "Urology",
    "learner_group": "medical",
    "source_kind": "learner",
    "summary": "Handover is missed.",
}


async def import_year(service: ServiceUnderTest) -> None:
    answer = await service.call(
        "POST",
        "/imports/concerns",
        role=Role.QUALITY_OFFICER,
        content=files.path("concerns-synthetic-2023-24.csv").read_bytes(),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["added"] == 36


async def volumes(service: ServiceUnderTest, **query: str) -> dict[str, dict]:
    answer = await service.call("GET", "/volumes", role=Role.READER, params=query)
    assert answer.status_code == 200, answer.text
    return {year["year"]: year for year in answer.json()["years"]}


async def raise_late(service: ServiceUnderTest, times: int = 1, **changes: str) -> list[dict]:
    made = []
    for _ in range(times):
        answer = await service.call(
            "POST", "/concerns", role=Role.QUALITY_OFFICER, json={**SCOPE, "raised_on": "2023-11-06", **changes}
        )
        assert answer.status_code == 201, answer.text
        made.append(answer.json())
    return made


async def test_the_volumes_of_a_year_are_those_of_the_register(intelligence: ServiceUnderTest) -> None:
    assert await volumes(intelligence) == {}
    await import_year(intelligence)
    rows = list(csv.DictReader(io.StringIO(files.path("concerns-synthetic-2023-24.csv").read_text())))
    closed = sum("2023-04-01" <= row["closed_on"] <= "2024-03-31" for row in rows)
    year = (await volumes(intelligence))["2023-24"]
    assert {key: year[key] for key in ("managed", "significant", "closed", "raised")} == {
        "managed": 36,
        "significant": sum(int(row["category"]) >= 2 for row in rows),
        "closed": closed,
        "raised": 36,
    }
    assert (year["first_day"], year["last_day"]) == ("2023-04-01", "2024-03-31")


async def test_both_kinds_of_year_subtracted_from_each_other_give_nothing_under_three(
    intelligence: ServiceUnderTest,
) -> None:
    """Two concerns were closed by July 2023: neither that year nor what would give it away may be shown."""
    await import_year(intelligence)
    training = await volumes(intelligence, year="training")
    assert training["2022-23"]["closed"] is None
    financial = await volumes(intelligence)
    by_april_2024 = financial["2023-24"]["closed"]
    assert by_april_2024 is not None
    # 36 were raised by July 2024; without those closed before August 2023 it is what was managed in between.
    assert training["2023-24"]["managed"] is None


async def test_a_published_number_stands_until_it_changes_by_three(intelligence: ServiceUnderTest) -> None:
    await import_year(intelligence)
    before = (await volumes(intelligence))["2023-24"]
    for expected in (36, 36, 39):
        await raise_late(intelligence)
        assert (await volumes(intelligence))["2023-24"]["raised"] == expected
    (concern,) = await raise_late(intelligence)
    answer = await intelligence.call(
        "POST",
        f"/concerns/{concern['id']}/closure",
        role=Role.QUALITY_LEAD,
        json={"closure_reason": "resolved", "closed_on": "2024-01-10", "rationale": "Met."},
        headers={"If-Match": '"1"'},
    )
    assert answer.status_code == 200, answer.text
    after = (await volumes(intelligence))["2023-24"]
    assert after["closed"] == before["closed"]
    assert after["raised"] == 39


async def test_asking_again_releases_nothing_anew(intelligence: ServiceUnderTest) -> None:
    await import_year(intelligence)
    first = await intelligence.call("GET", "/volumes", role=Role.READER)
    again = await intelligence.call("GET", "/volumes", role=Role.READER)
    assert first.json() == again.json()
    await raise_late(intelligence)
    assert (await intelligence.call("GET", "/volumes", role=Role.READER)).json() == first.json()
    assert await intelligence.pool.fetchval("select count(*) from volume_releases") == 1


async def test_a_year_that_runs_is_not_counted(intelligence: ServiceUnderTest) -> None:
    await raise_late(intelligence, 4, raised_on="2023-11-06")
    await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=SCOPE)
    listed = await volumes(intelligence)
    assert listed["2023-24"]["raised"] == 4
    today = (await raise_late(intelligence, 1, raised_on="2024-05-01"))[0]["raised_on"]
    assert all(year["last_day"] < today or year["raised"] is None for year in listed.values())


async def test_volumes_need_the_permission_to_read(intelligence: ServiceUnderTest) -> None:
    assert (await intelligence.call("GET", "/volumes", role=None)).status_code == 401
