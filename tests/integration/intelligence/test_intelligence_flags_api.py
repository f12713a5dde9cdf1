"""Flags over HTTP: found, explained, corrected, read as a series, and without numbers of fewer than three people."""

from typing import Any

import pytest

from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

HEADER = "provider,site,specialty,indicator,year,mean,sd,n\n"

#: Means 50 60 70 80 90 of 25 people each: Q1 60, Q3 80, the benchmark 70 ± 3.04.
GROUP = "".join(
    f"{provider},,Surgery,Induction,{{year}},{mean},10,25\n"
    for provider, mean in (("FICTHT001", 50), ("FICTHT002", 60), ("FICTMH001", 70), ("FICTGP001", 80), ("ZZZ99", 90))
)


async def take_in(service: ServiceUnderTest, rows: str, source: str = "nts") -> int:
    answer = await service.call(
        "POST", f"/imports/{source}", role=Role.QUALITY_OFFICER, content=(HEADER + rows).encode()
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["refused"] == 0, answer.text
    return answer.json()["file_id"]


async def get(service: ServiceUnderTest, path: str, **query: Any) -> Any:
    answer = await service.call("GET", path, role=Role.READER, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def explained(service: ServiceUnderTest, **query: Any) -> Any:
    (flag,) = (await get(service, "/flags", **query))["items"]
    return await get(service, f"/flags/{flag['id']}")


async def test_a_flag_explains_itself(intelligence: ServiceUnderTest) -> None:
    file_id = await take_in(intelligence, GROUP.format(year=2024))
    found = await explained(intelligence, provider="FICTHT001")
    assert (found["flag"], found["triple_red"], found["edition"]) == ("red", False, "nts-2026-1")
    assert found["numbers"] == {"n": 25, "mean": 50, "sd": 10, "lower": 46.08, "upper": 53.92}
    assert found["row"] == {"file_id": file_id, "line": 2}
    assert found["benchmark"] == {
        "results": 5,
        "lower_quartile": 60,
        "upper_quartile": 80,
        "mean": 70,
        "lower": 66.9636,
        "upper": 73.0364,
    }
    assert found["why"][-1] == "Flagged by edition nts-2026-1 of the rule."
    assert any("from 46.08 to 53.92" in sentence for sentence in found["why"])
    assert found["corrections"] == []


async def test_flags_are_found_by_what_they_are_about(intelligence: ServiceUnderTest) -> None:
    file_id = await take_in(intelligence, "".join(GROUP.format(year=year) for year in (2022, 2023, 2024)))

    async def count(**query: Any) -> int:
        return len((await get(intelligence, "/flags", **query))["items"])

    assert await count() == 12, "those of providers of the register"
    assert await count(provider="FICTHT001") == 3
    assert await count(year=2023, flag="red") == 1
    assert await count(triple_red=True) == 1
    assert await count(specialty="Surgery", indicator="Induction", report_type="nts", file_id=file_id) == 12
    for nothing in ({"specialty": "Medicine"}, {"indicator": "Feedback"}, {"file_id": 9}, {"site": "FICTHT001A"}):
        assert await count(**nothing) == 0
    first = await get(intelligence, "/flags", limit=5)
    second = await get(intelligence, "/flags", limit=200, cursor=first["next"])
    assert len({flag["id"] for page in (first, second) for flag in page["items"]}) == 12
    assert second["next"] is None


async def test_a_correction_says_what_was_and_why_it_is_no_more(intelligence: ServiceUnderTest) -> None:
    first = await take_in(intelligence, GROUP.format(year=2024))
    second = await take_in(intelligence, "FICTHT001,,Surgery,Induction,2024,72,10,25\n")
    found = await explained(intelligence, provider="FICTHT001")
    assert (found["flag"], found["version"], found["by_file"], found["row"]["file_id"]) == ("white", 2, second, second)
    (was,) = found["corrections"]
    assert (was["flag"], was["row"], was["corrected_by_file"]) == ("red", {"file_id": first, "line": 2}, second)
    benchmark = await intelligence.pool.fetchval("select count(*) from flag_benchmarks")
    assert benchmark == 2


async def test_a_grey_flag_shows_no_number(intelligence: ServiceUnderTest) -> None:
    await take_in(intelligence, GROUP.format(year=2024) + "FICTHT003,,Surgery,Induction,2024,12.5,3,2\n")
    found = await explained(intelligence, provider="FICTHT003")
    assert (found["flag"], found["numbers"], found["numbers_withheld"]) == ("grey", None, True)
    assert "12.5" not in str(found)
    assert "2" not in "".join(found["why"]).replace("nts-2026-1", "")


async def test_a_total_over_a_grey_row_shows_no_number_and_neither_does_its_benchmark(
    intelligence: ServiceUnderTest,
) -> None:
    sites = (
        "FICTHT001,FICTHT001A,Surgery,Induction,2024,49,10,23\nFICTHT001,FICTHT001B,Surgery,Induction,2024,61.5,1,2\n"
    )
    await take_in(intelligence, GROUP.format(year=2024) + sites)
    found = {flag["site_code"]: flag for flag in (await get(intelligence, "/flags", provider="FICTHT001"))["items"]}
    assert {site: flag["numbers"] is None for site, flag in found.items()} == {
        None: True,
        "FICTHT001A": False,
        "FICTHT001B": True,
    }
    assert found[None]["numbers_withheld"]
    # From the quartiles of five means of which four are shown the fifth would follow.
    for flag in (await get(intelligence, "/flags"))["items"]:
        assert (await get(intelligence, f"/flags/{flag['id']}"))["benchmark"] is None
    series = await get(intelligence, "/series", provider="FICTHT001", indicator="Induction")
    assert [point["value"] for point in series["points"]] == [49]


async def test_a_group_of_two_shows_no_benchmark(intelligence: ServiceUnderTest) -> None:
    await take_in(intelligence, "".join(GROUP.format(year=2024).splitlines(keepends=True)[:2]))
    assert (await explained(intelligence, provider="FICTHT001"))["benchmark"] is None


async def test_a_series_has_limits_and_says_what_is_special(intelligence: ServiceUnderTest) -> None:
    means = [70, 71, 70, 69, 70, 71, 70, 69, 70, 40]
    rows = "".join(f"FICTHT001,,Surgery,Induction,{2015 + n},{mean},10,25\n" for n, mean in enumerate(means))
    await take_in(intelligence, rows)
    series = await get(intelligence, "/series", provider="FICTHT001", indicator="Induction")
    assert [(point["year"], point["value"]) for point in series["points"]] == list(
        zip(range(2015, 2025), means, strict=True)
    )
    assert series["mean"] == 67
    # Moving ranges 1 1 1 1 1 1 1 1 30: 38/9 on average, limits ± 2.66 times that.
    assert (series["lower_limit"], series["upper_limit"]) == (55.7689, 78.2311)
    special = {point["year"]: point["causes"] for point in series["points"] if point["causes"]}
    assert special[2024] == [{"kind": "outside_limits", "direction": "down"}]
    assert all({"kind": "shift", "direction": "up"} in special[year] for year in range(2015, 2024))


async def test_a_series_counts_nobody_twice(intelligence: ServiceUnderTest) -> None:
    rows = (
        "FICTHT001,,All specialties,Induction,2024,1,10,40\n"
        "FICTHT001,,Surgery,Induction,2024,2,10,30\n"
        "FICTHT001,FICTHT001A,Surgery,Induction,2024,50,10,10\n"
        "FICTHT001,FICTHT001B,Surgery,Induction,2024,80,10,20\n"
        "FICTHT001,,Medicine,Induction,2024,90,10,10\n"
    )
    await take_in(intelligence, rows)
    series = await get(intelligence, "/series", provider="FICTHT001", indicator="Induction")
    assert [point["value"] for point in series["points"]] == [75], "(10·50 + 20·80 + 10·90) / 40"
    of_site = await get(
        intelligence, "/series", provider="FICTHT001", indicator="Induction", specialty="Surgery", site="FICTHT001B"
    )
    assert [point["value"] for point in of_site["points"]] == [80]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/flags/018f5c1e-0000-7000-8000-000000000000", {}, 404),
        ("/series", {"provider": "ZZZ99", "indicator": "Induction"}, 404),
        ("/series", {"provider": "FICTHT001"}, 422),
        ("/flags", {"flag": "blue"}, 422),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_said(
    intelligence: ServiceUnderTest, path: str, query: dict[str, str], status: int
) -> None:
    answer = await intelligence.call("GET", path, role=Role.READER, params=query)
    assert answer.status_code == status, answer.text


async def test_a_provider_without_results_has_an_empty_series(intelligence: ServiceUnderTest) -> None:
    series = await get(intelligence, "/series", provider="FICTHT001", indicator="Induction")
    assert (series["points"], series["mean"], series["lower_limit"]) == ([], None, None)


async def test_a_total_in_another_report_is_a_total_too(intelligence: ServiceUnderTest) -> None:
    sites = (
        "FICTHT001,FICTHT001A,Surgery,Induction,2024,49,10,23\nFICTHT001,FICTHT001B,Surgery,Induction,2024,61.5,1,2\n"
    )
    await take_in(intelligence, sites)
    total = "report_type," + HEADER + "nts-provider,FICTHT001,,All,Induction,2024,50,10,25\n"
    answer = await intelligence.call("POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=total.encode())
    assert answer.json()["refused"] == 0, answer.text
    found = (await get(intelligence, "/flags", provider="FICTHT001"))["items"]
    assert {flag["report_type"]: flag["numbers_withheld"] for flag in found if flag["site_code"] is None} == {
        "nts-provider": True
    }
