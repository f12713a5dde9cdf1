"""A concerns register goes in once, whatever happens, and what is wrong with it is said line by line."""

import asyncio
import csv
import io
from datetime import UTC, datetime

from services.intelligence.domain.organisation import Organisation
from services.intelligence.store import organisations
from shared.contracts.concerns import ConcernClosed, ConcernRaised, ConcernRated
from shared.contracts.fields import Origin
from shared.messaging.unit_of_work import unit_of_work
from shared.reference import files
from shared.reference.kinds import ProviderKind
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

YEAR = "concerns-synthetic-2023-24.csv"
PUBLISHED = "concerns-published.csv"


async def send(service: ServiceUnderTest, text: str | bytes) -> dict:
    answer = await service.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=text)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report.pop("file_id")
    return report


def rows_of(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files.path(name).read_text(encoding="utf-8"))))


def text_of(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


async def test_both_shipped_registers_go_in_whole(intelligence: ServiceUnderTest) -> None:
    for name, count in ((PUBLISHED, 8), (YEAR, 36)):
        report = await send(intelligence, files.path(name).read_bytes())
        assert report == {"added": count, "updated": 0, "unchanged": 0, "refused": 0, "problems": []}
    rows = rows_of(YEAR) + rows_of(PUBLISHED)
    raised = await intelligence.emitted(ConcernRaised)
    assert sorted(e.reference for e in raised) == sorted(row["reference"] for row in rows)
    assert {e.origin for e in raised} == {Origin.IMPORTED}
    assert len(await intelligence.emitted(ConcernRated)) == sum(bool(row["category"]) for row in rows)
    assert len(await intelligence.emitted(ConcernClosed)) == sum(row["status"] == "closed" for row in rows)


async def test_a_second_run_changes_nothing(intelligence: ServiceUnderTest) -> None:
    text = files.path(YEAR).read_bytes()
    await send(intelligence, text)
    before = await intelligence.pool.fetchval("select count(*) from outbox")
    report = await send(intelligence, text)
    assert report == {"added": 0, "updated": 0, "unchanged": 36, "refused": 0, "problems": []}
    assert await intelligence.pool.fetchval("select count(*) from outbox") == before


async def test_two_imports_at_once_put_each_row_in_once(intelligence: ServiceUnderTest) -> None:
    text = files.path(YEAR).read_bytes()
    reports = await asyncio.gather(*(send(intelligence, text) for _ in range(4)))
    assert sum(report["added"] for report in reports) == 36
    assert sum(report["unchanged"] for report in reports) == 3 * 36
    assert await intelligence.pool.fetchval("select count(*) from concerns") == 36


async def test_bad_rows_are_named_and_good_ones_go_in(intelligence: ServiceUnderTest) -> None:
    rows = rows_of(YEAR)
    rows[0]["impact"] = "6"
    rows[1]["provider_code"] = "ZZZ99"
    rows[2]["standards"] = "7.1"
    rows[3]["raised_on"] = "31/12/2023"
    rows[4]["rationale"] = ""
    rows[5]["reference"] = rows[6]["reference"]
    rows[7]["site_code"] = "RWEAA"
    report = await send(intelligence, text_of(rows))
    assert report["added"] == 36 - 7
    assert {(p["line"], p["column"]) for p in report["problems"]} == {
        (2, "impact"),
        (3, "provider_code"),
        (4, "standards"),
        (5, "raised_on"),
        (6, "rationale"),
        (8, "reference"),
        (9, "site_code"),
    }
    assert all(p["reason"] for p in report["problems"])


async def test_lines_are_counted_in_the_file_also_over_quoted_line_breaks(intelligence: ServiceUnderTest) -> None:
    rows = rows_of(YEAR)[:3]
    rows[0]["summary"] = "two\nlines"
    rows[2]["impact"] = "x"
    report = await send(intelligence, text_of(rows))
    assert [(p["line"], p["column"]) for p in report["problems"]] == [(5, "impact")]


async def test_a_row_that_differs_from_its_first_import_is_refused(intelligence: ServiceUnderTest) -> None:
    rows = rows_of(YEAR)[:2]
    await send(intelligence, text_of(rows))
    rows[1]["programme"] = "Another programme"
    report = await send(intelligence, text_of(rows))
    assert (report["added"], report["unchanged"], report["refused"]) == (0, 1, 1)
    assert report["problems"][0]["column"] == "programme"


async def test_text_that_is_no_register_is_refused_as_a_whole(intelligence: ServiceUnderTest) -> None:
    for content in (
        b"",
        b"a,b\n1,2\n",
        b"\xff\xfe\x00",
        b"reference,\x00",
        b"%PDF-1.7",
        b"PK\x03\x04 no archive",
        files.path("providers.csv").read_bytes(),
    ):
        answer = await intelligence.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_register_of_organisations_takes_over_a_newer_edition(intelligence: ServiceUnderTest) -> None:
    rows = rows_of("providers.csv")
    rows[0]["name"] = "University Hospitals of Leicester NHS Group"
    answer = await intelligence.call(
        "POST", "/imports/providers", role=Role.QUALITY_OFFICER, content=text_of(rows).encode()
    )
    assert (answer.json()["updated"], answer.json()["unchanged"]) == (1, len(rows) - 1)
    found = await intelligence.call("GET", f"/providers/{rows[0]['ods_code']}", role=Role.READER)
    assert found.json()["name"] == rows[0]["name"]


async def test_what_happens_after_the_import_is_told_as_news(intelligence: ServiceUnderTest) -> None:
    await send(intelligence, text_of([row for row in rows_of(YEAR) if row["status"] == "open"][:1]))
    (imported,) = (await intelligence.call("GET", "/concerns", role=Role.READER)).json()["items"]
    await intelligence.call(
        "POST",
        f"/concerns/{imported['id']}/ratings",
        role=Role.QUALITY_LEAD,
        json={"impact": 5, "likelihood": 5, "category": 3, "rationale": "It got worse."},
        headers={"If-Match": f'"{imported["version"]}"'},
    )
    origins = [event.origin for event in await intelligence.emitted(ConcernRated)]
    assert origins[-1] is Origin.REPORTED
    assert set(origins[:-1]) <= {Origin.IMPORTED}


async def test_the_same_organisations_imported_at_once_are_added_once(intelligence: ServiceUnderTest) -> None:
    text = (
        "ods_code,name,kind,parent_code,valid_from,valid_to,successor_code,source\n"
        "FICTNEW01,A new practice (fictional),general_practice,,,,,synthetic\n"
    )
    async with unit_of_work(intelligence.pool, intelligence.service.source, datetime.now(UTC)) as work:
        await organisations.lock_register(work.connection)
        await organisations.save(
            work.connection,
            [
                Organisation(
                    "FICTNEW01",
                    "A new practice (fictional)",
                    ProviderKind.GENERAL_PRACTICE,
                    None,
                    None,
                    None,
                    None,
                    "synthetic",
                )
            ],
        )
        second = asyncio.create_task(
            intelligence.call("POST", "/imports/providers", role=Role.QUALITY_OFFICER, content=text)
        )
        waiting = "select exists (select from pg_locks where not granted)"
        async with asyncio.timeout(10):
            while not await intelligence.pool.fetchval(waiting):  # noqa: ASYNC110 the database sends no signal
                await asyncio.sleep(0.01)
    answer = await second
    assert answer.status_code == 200
    assert (answer.json()["added"], answer.json()["unchanged"]) == (0, 1)


async def test_a_row_that_names_a_refused_row_is_refused_too(intelligence: ServiceUnderTest) -> None:
    header = "ods_code,name,kind,parent_code,valid_from,valid_to,successor_code,source"
    rows = [
        "FICTNEW01,A site (fictional),hospital_site,FICTNEW02,,,,synthetic",
        "FICTNEW02,A trust (fictional),hospital_trust,,,,FICTNEW99,synthetic",
        "FICTNEW03,A trust (fictional),hospital_trust,,,,FICTNEW04,synthetic",
        "FICTNEW04,A trust (fictional),hospital_trust,,,,FICTNEW03,synthetic",
    ]
    answer = await intelligence.call(
        "POST", "/imports/providers", role=Role.QUALITY_OFFICER, content="\n".join([header, *rows])
    )
    assert [(p["line"], p["column"]) for p in answer.json()["problems"]] == [(2, "parent_code"), (3, "successor_code")]
    assert (answer.json()["added"], answer.json()["refused"]) == (2, 2)


async def test_a_concern_raised_after_today_is_refused(intelligence: ServiceUnderTest) -> None:
    unrated = dict.fromkeys(("impact", "likelihood", "category", "rationale", "rated_on"), "")
    still_open = {"status": "open", "closed_on": "", "closure_reason": ""}
    row = {**rows_of(YEAR)[0], **unrated, **still_open, "raised_on": "2099-01-01"}
    report = await send(intelligence, text_of([row]))
    assert [(p["line"], p["column"]) for p in report["problems"]] == [(2, "raised_on")]
