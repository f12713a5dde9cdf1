"""Stored survey results are flagged as the rule says, and a later file corrects what it must."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intelligence.policies import flag_rule
from services.intelligence.store import flag_evaluation
from shared.persistence.pool import Connection, Pool
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest
from tests.fixtures.survey_flags import Result, flags_of

RULE = flag_rule()
NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)

#: Providers of the shipped register, and one that is in none.
OURS = ("FICTHT001", "FICTHT002", "FICTMH001", "FICTGP001")
THEIRS = "ZZZ99"

Key = tuple[str, str, str, str, int]


def key_of(result: Result) -> Key:
    return result.provider, result.site, result.specialty, result.indicator, result.year


async def new_file(connection: Connection, name: str) -> int:
    return await connection.fetchval(
        "insert into import_files (source, name, digest, mapping, size, began_by, began_at, finished_at) "
        "values ('nts', $1, convert_to($1, 'UTF8'), '', 1, 'quality-officer-1', $2, $2) returning id",
        name,
        NOW,
    )


async def take_in(pool: Pool, results: Sequence[Result], *, report: str = "nts") -> int:
    """A file as the import leaves it: its rows hold, and those they contradict are replaced. Returns its number."""
    async with pool.acquire() as connection, connection.transaction():
        count = await connection.fetchval("select count(*) from import_files")
        file_id = await new_file(connection, f"file {count + 1}")
        await connection.copy_records_to_table(
            "survey_result_rows",
            columns=[
                *("file_id", "line", "report_type", "provider_code", "site_code", "specialty", "indicator", "year"),
                *("mean", "sd", "n"),
            ],
            records=[
                (
                    *(file_id, line, report, r.provider, r.site, r.specialty, r.indicator, r.year),
                    *(None if value is None else float(value) for value in (r.mean, r.sd)),
                    r.n,
                )
                for line, r in enumerate(results, start=2)
            ],
        )
        await connection.execute(
            "update survey_result_rows o set replaced_by_file = n.file_id, replaced_by_line = n.line "
            "from survey_result_rows n where n.file_id = $1 and o.file_id < $1 and o.replaced_by_file is null and "
            "(o.report_type, o.provider_code, o.site_code, o.specialty, o.indicator, o.year) = "
            "(n.report_type, n.provider_code, n.site_code, n.specialty, n.indicator, n.year)",
            file_id,
        )
        await flag_evaluation.of_file(connection, RULE, file_id, NOW)
    return file_id


async def stored(pool: Pool, report: str = "nts") -> dict[Key, asyncpg.Record]:
    rows = await pool.fetch("select * from flags where report_type = $1", report)
    return {
        (row["provider_code"], row["site_code"], row["specialty"], row["indicator"], row["year"]): row for row in rows
    }


def expected(results: Sequence[Result], report: str = "nts") -> dict[Key, tuple[str, bool]]:
    return {
        key_of(one.result): (one.flag.value, one.triple_red)
        for one in flags_of(results, RULE, report)
        if one.result.provider != THEIRS
    }


async def forget(pool: Pool) -> None:
    await pool.execute("alter table flag_corrections disable trigger flag_corrections_are_append_only")
    await pool.execute(
        "truncate import_files, survey_result_rows, flags, flag_benchmarks, flag_corrections restart identity cascade"
    )


RESULTS = st.builds(
    Result,
    provider=st.sampled_from([*OURS, THEIRS]),
    site=st.sampled_from(["", "A", "B"]),
    specialty=st.sampled_from(["Surgery", "Medicine"]),
    indicator=st.just("Induction"),
    year=st.integers(2021, 2024),
    mean=st.one_of(st.sampled_from([Decimal(10), Decimal(70)]), st.integers(0, 30).map(lambda n: Decimal(n) / 10)),
    sd=st.integers(0, 20).map(lambda n: Decimal(n) / 10),
    n=st.one_of(st.integers(0, 4), st.integers(3, 60)),
)
FILES = st.lists(st.lists(RESULTS, max_size=60, unique_by=key_of), min_size=1, max_size=3)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, report=st.sampled_from(["nts", "nts-provider"]))
async def test_what_is_stored_is_what_the_rule_says_after_every_file(
    intelligence: ServiceUnderTest, files: list[list[Result]], report: str
) -> None:
    pool = intelligence.pool
    await forget(pool)
    holds: dict[Key, Result] = {}
    for results in files:
        await take_in(pool, results, report=report)
        holds |= {key_of(result): result for result in results}
        found = await stored(pool, report)
        held_flags = {key: (row["flag"], row["triple_red"]) for key, row in found.items()}
        assert held_flags == expected(list(holds.values()), report)
        for key, row in found.items():
            held = holds[key]
            assert (row["n"], row["edition"]) == (held.n, RULE.version)
            assert row["mean"] == (None if held.mean is None else float(held.mean))


#: A row that only touches its benchmark's interval; see the tests of the rule.
TOUCHING = Result(OURS[0], "", "Surgery", "Induction", 2024, Decimal("67.06"), Decimal("1.9"), 16)
TOUCHED = [
    Result(provider, site, "Surgery", "Induction", 2024, Decimal(70), Decimal("10.86"), 32)
    for provider, site in ((OURS[1], ""), (OURS[2], ""), (OURS[3], ""), (THEIRS, ""))
]


@pytest.mark.parametrize("scale", [1, 25])
@pytest.mark.parametrize(("nudge", "flag"), [("0", "pink"), ("-0.000000000001", "red"), ("0.000000000001", "pink")])
async def test_intervals_that_only_touch_overlap_in_the_database_too(
    intelligence: ServiceUnderTest, scale: int, nudge: str, flag: str
) -> None:
    # At a 25th of the scale doubles would say that the intervals are 1e-17 apart.
    def scaled(result: Result) -> Result:
        assert result.mean is not None
        assert result.sd is not None
        return replace(result, mean=70 + (result.mean - 70) / scale, sd=result.sd / scale)

    touching = scaled(TOUCHING)
    touching = replace(touching, mean=(touching.mean or 0) + Decimal(nudge))
    await take_in(intelligence.pool, [touching, *map(scaled, TOUCHED)])
    assert (await stored(intelligence.pool))[key_of(TOUCHING)]["flag"] == flag


async def test_another_report_is_compared_by_itself_and_in_its_own_groups(intelligence: ServiceUnderTest) -> None:
    low = replace(TOUCHING, specialty="Medicine", mean=Decimal(10))
    await take_in(intelligence.pool, [low, *TOUCHED], report="nts-provider")
    await take_in(intelligence.pool, [low, *TOUCHED], report="nts")
    await take_in(intelligence.pool, [low], report="something-else")
    assert (await stored(intelligence.pool, "nts-provider"))[key_of(low)]["flag"] == "red"
    assert (await stored(intelligence.pool, "nts"))[key_of(low)]["flag"] == "white"
    assert (await stored(intelligence.pool, "something-else"))[key_of(low)]["flag"] == "white"


def years(levels: dict[int, int]) -> list[Result]:
    low = replace(TOUCHING, sd=Decimal(1))
    return [
        row
        for year, mean in levels.items()
        for row in (replace(low, mean=Decimal(mean), year=year), *(replace(one, year=year) for one in TOUCHED))
    ]


async def test_a_year_that_comes_in_later_makes_and_unmakes_a_triple_red(intelligence: ServiceUnderTest) -> None:
    pool = intelligence.pool
    latest = (*key_of(TOUCHING)[:4], 2024)
    await take_in(pool, years({2022: 10, 2024: 10}))
    before = (await stored(pool))[latest]
    assert (before["flag"], before["triple_red"], before["version"]) == ("red", False, 1)
    file_id = await take_in(pool, years({2023: 10}))
    made = (await stored(pool))[latest]
    assert (made["triple_red"], made["version"], made["by_file"], made["id"]) == (True, 2, file_id, before["id"])
    await take_in(pool, years({2022: 70}))
    assert not (await stored(pool))[latest]["triple_red"]
    kept = await pool.fetch("select * from flag_corrections where flag_id = $1 order by version", before["id"])
    assert [(row["version"], row["triple_red"]) for row in kept] == [(1, False), (2, True)]


async def test_a_correction_keeps_what_was_and_by_which_file(intelligence: ServiceUnderTest) -> None:
    pool = intelligence.pool
    first = await take_in(pool, [replace(TOUCHING, mean=Decimal(10)), *TOUCHED])
    before = (await stored(pool))[key_of(TOUCHING)]
    second = await take_in(pool, [replace(TOUCHING, mean=Decimal(70))])
    after = (await stored(pool))[key_of(TOUCHING)]
    assert (before["flag"], before["file_id"], before["line"], before["by_file"]) == ("red", first, 2, first)
    assert (after["flag"], after["file_id"], after["line"], after["by_file"]) == ("white", second, 2, second)
    (kept,) = await pool.fetch("select * from flag_corrections")
    assert (kept["flag_id"], kept["flag"], kept["mean"], kept["by_file"]) == (before["id"], "red", 10, first)
    assert (kept["corrected_by_file"], kept["until"]) == (second, NOW)
    with pytest.raises(asyncpg.PostgresError, match="flag_corrections"):
        await pool.execute("delete from flag_corrections")


async def test_another_providers_row_can_change_a_flag_and_the_benchmark_that_was_is_kept(
    intelligence: ServiceUnderTest,
) -> None:
    pool = intelligence.pool
    await take_in(pool, [replace(TOUCHING, mean=Decimal(60)), *TOUCHED])
    before = (await stored(pool))[key_of(TOUCHING)]
    await take_in(pool, [replace(TOUCHED[-1], site=str(n), mean=Decimal(0), sd=Decimal(1)) for n in range(6)])
    after = (await stored(pool))[key_of(TOUCHING)]
    assert (before["flag"], after["flag"]) == ("red", "white")
    assert (after["file_id"], after["line"]) == (before["file_id"], before["line"]), "its own row is the same"
    was, now = [
        await pool.fetchrow("select * from flag_benchmarks where id = $1", row["benchmark_id"])
        for row in (before, after)
    ]
    assert was is not None
    assert now is not None
    assert (was["results"], now["results"]) == (5, 11)
    assert (was["ended_at"], now["ended_at"]) == (NOW, None)
    assert was["lower_quartile"] == 70


async def test_the_same_file_again_changes_nothing(intelligence: ServiceUnderTest) -> None:
    pool = intelligence.pool
    file_id = await take_in(pool, years({2022: 10, 2023: 10, 2024: 10}))
    before = [await pool.fetch(query) for query in ALL_THERE_IS]
    async with pool.acquire() as connection, connection.transaction():
        for _ in range(2):
            assert await flag_evaluation.of_file(connection, RULE, file_id, datetime.now(UTC)) == 0
    assert [await pool.fetch(query) for query in ALL_THERE_IS] == before


ALL_THERE_IS = (
    "select * from flags order by id",
    "select * from flag_benchmarks order by id",
    "select * from flag_corrections",
)


async def test_a_file_that_is_not_finished_counts_for_nothing(intelligence: ServiceUnderTest) -> None:
    pool = intelligence.pool
    file_id = await take_in(pool, TOUCHED)
    await pool.execute("update import_files set finished_at = null where id = $1", file_id)
    await take_in(pool, [replace(TOUCHING, mean=Decimal(10))])
    assert (await stored(pool))[key_of(TOUCHING)]["flag"] == "white"


async def test_an_organisation_that_is_new_to_the_register_gets_its_flags(intelligence: ServiceUnderTest) -> None:
    pool = intelligence.pool
    file_id = await take_in(pool, [replace(TOUCHING, provider=THEIRS, mean=Decimal(10)), *TOUCHED[:-1]])
    assert THEIRS not in {key[0] for key in await stored(pool)}
    await pool.execute(
        "insert into organisations (ods_code, name, kind, source) values ($1, 'New', 'hospital_trust', 'test')", THEIRS
    )
    async with pool.acquire() as connection, connection.transaction():
        assert await flag_evaluation.of_providers(connection, RULE, [THEIRS], NOW) == 1
    row: Any = (await stored(pool))[(THEIRS, *key_of(TOUCHING)[1:])]
    assert (row["by_file"], row["line"]) == (file_id, 2)


SURVEY = """\
provider,site,specialty,indicator,year,mean,sd,n
FICTHT001,,Surgery,Induction,2024,50,10,25
FICTHT002,,Surgery,Induction,2024,60,10,25
FICTMH001,,Surgery,Induction,2024,70,10,25
FICTGP001,,Surgery,Induction,2024,80,10,25
ZZZ99,,Surgery,Induction,2024,90,10,25
"""


async def test_an_imported_file_is_flagged_and_each_flag_leads_to_its_row(intelligence: ServiceUnderTest) -> None:
    for _ in range(2):
        answer = await intelligence.call("POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=SURVEY.encode())
        assert answer.status_code == 200, answer.text
        rows = await intelligence.pool.fetch("select * from flags order by provider_code")
        assert [(row["provider_code"], row["flag"], row["line"], row["version"]) for row in rows] == [
            ("FICTGP001", "white", 5, 1),
            ("FICTHT001", "red", 2, 1),
            ("FICTHT002", "white", 3, 1),
            ("FICTMH001", "white", 4, 1),
        ]
        assert {row["file_id"] for row in rows} == {row["by_file"] for row in rows} == {answer.json()["file_id"]}


async def test_an_organisation_that_is_imported_after_its_results_gets_its_flags(
    intelligence: ServiceUnderTest,
) -> None:
    await intelligence.call("POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=SURVEY.encode())
    register = (
        "ods_code,name,kind,parent_code,valid_from,valid_to,successor_code,source\n"
        "ZZZ99,New (fictional),hospital_trust,,,,,test\n"
    )
    answer = await intelligence.call("POST", "/imports/providers", role=Role.QUALITY_OFFICER, content=register.encode())
    assert answer.status_code == 200, answer.text
    assert (await stored(intelligence.pool))[("ZZZ99", "", "Surgery", "Induction", 2024)]["flag"] == "green"
