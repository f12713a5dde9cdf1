"""Files of every source go in once, whatever happens, and every row of theirs can be traced."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.intelligence.app import SPEC, Settings
from services.intelligence.commands import sources
from shared.imports.problems import FileRefused
from shared.imports.running import Received, take_in
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest, StartService
from tests.fixtures.workbooks import rows as sheet_rows
from tests.fixtures.workbooks import workbook

HEADER = "provider,site,specialty,indicator,year,mean,sd,n"
ROWS = (
    "FICTHT001,FICTHT001A,Surgery,Workload,2024,72.35,10.5,12",
    "FICTHT002,,Surgery,Workload,2024,80,9,3",
    "FICTHT003,,Surgery,Workload,2024,,,2",
)


async def send(service: ServiceUnderTest, source: str, content: str | bytes, **query: str) -> dict[str, Any]:
    answer = await service.call(
        "POST", f"/imports/{source}", role=Role.QUALITY_OFFICER, content=content, params={"name": "f", **query}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["added"], report["updated"], report["unchanged"], report["refused"]


def file(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


async def stored(service: ServiceUnderTest) -> list[tuple[Any, ...]]:
    found = await service.pool.fetch("select * from survey_results order by provider_code, year, indicator")
    return [tuple(row) for row in found]


async def test_a_survey_goes_in_with_file_and_line(intelligence: ServiceUnderTest) -> None:
    report = await send(intelligence, "nts", file(*ROWS), name="nts-2024.csv")
    assert counts(report) == (3, 0, 0, 0)
    number = report["file_id"]
    assert await stored(intelligence) == [
        (number, 2, "nts", "FICTHT001", "FICTHT001A", "Surgery", "Workload", 2024, 72.35, 10.5, 12),
        (number, 3, "nts", "FICTHT002", "", "Surgery", "Workload", 2024, 80.0, 9.0, 3),
        (number, 4, "nts", "FICTHT003", "", "Surgery", "Workload", 2024, None, None, 2),
    ]
    view = (await intelligence.call("GET", f"/import-files/{number}", role=Role.QUALITY_OFFICER)).json()
    assert (view["name"], view["source"], view["added"]) == ("nts-2024.csv", "nts", 3)
    assert view["bytes_read"] == view["size"] == len(file(*ROWS))
    assert view["finished_at"]
    history = await intelligence.pool.fetchrow(
        "select actor, detail from history where aggregate = 'import' and aggregate_id = $1", str(number)
    )
    assert history is not None
    assert history["detail"] == {"source": "nts", "added": 3, "updated": 0, "unchanged": 0, "refused": 0}


async def test_a_second_import_of_the_same_file_changes_nothing(intelligence: ServiceUnderTest) -> None:
    first = await send(intelligence, "nts", file(*ROWS))
    before = await stored(intelligence)
    again = await send(intelligence, "nts", file(*ROWS), name="under another name")
    assert counts(again) == (0, 0, 3, 0)
    assert again["file_id"] == first["file_id"]
    assert await stored(intelligence) == before
    # Another file with the same rows in another order and form is another file, and changes as little.
    other = await send(intelligence, "nts", file(*reversed(ROWS)).replace("\n", "\r\n"))
    assert counts(other) == (0, 0, 3, 0)
    assert await stored(intelligence) == before


async def test_bad_rows_are_named_by_the_column_of_the_file_and_good_ones_go_in(intelligence: ServiceUnderTest) -> None:
    content = (
        "Trust;Specialty;Indicator;Survey year;Mean score;Std dev;Respondents\r\n"
        "A;Surgery;Workload;2024;70.5;10;5\r\n"
        "B;Surgery;Workload;2024;NaN;10;5\r\n"
        "C;Surgery;Workload;20x4;inf;-1;5.5\r\n"
        "D;Surgery;Workload;2024;;10;5\r\n"
        "E;Surgery;Workload;2024;;;2\r\n"
        "F;=1+1;Workload;2024;70;10;5\r\n"
        "G;Surgery;Workload;2024;70\r\n"
        "A;Surgery;Workload;2024;71;10;5\r\n"
    )
    report = await send(intelligence, "nts", content)
    assert counts(report) == (2, 0, 0, 6)
    assert [(p["line"], p["column"]) for p in report["problems"]] == [
        (3, "Mean score"),
        (4, "Mean score"),
        (4, "Respondents"),
        (4, "Std dev"),
        (4, "Survey year"),
        (5, "Mean score"),
        (7, "Specialty"),
        (8, ""),
        (9, ""),
    ]
    assert report["problems"][-1]["reason"] == "is about the same as line 2"
    assert [row[3] for row in await stored(intelligence)] == ["A", "E"]
    assert counts(await send(intelligence, "nts", content)) == (0, 0, 2, 6)


async def test_all_problems_can_be_read_page_by_page(intelligence: ServiceUnderTest) -> None:
    report = await send(intelligence, "nts", file(*(f"P{n},,S,I,2024,x,1,5" for n in range(450))))
    assert (report["refused"], len(report["problems"])) == (450, 200)
    found: list[int] = []
    cursor = {}
    while True:
        page = (
            await intelligence.call(
                "GET", f"/import-files/{report['file_id']}/problems", role=Role.QUALITY_OFFICER, params=cursor
            )
        ).json()
        found += [problem["line"] for problem in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == list(range(2, 452))


async def test_a_later_file_corrects_and_both_can_be_traced(intelligence: ServiceUnderTest) -> None:
    first = await send(intelligence, "nts", file(*ROWS))
    later = await send(
        intelligence, "nts", file(ROWS[0].replace("72.35", "60"), ROWS[1], "FICTHT009,,Surgery,Workload,2024,50,5,9")
    )
    assert counts(later) == (1, 1, 1, 0)
    now = {row[3]: row for row in await stored(intelligence)}
    assert (now["FICTHT001"][0], now["FICTHT001"][8]) == (later["file_id"], 60.0)
    assert now["FICTHT002"][0] == first["file_id"]
    replaced = await intelligence.pool.fetch("select * from survey_results_replaced")
    assert [(r["file_id"], r["line"], r["mean"], r["replaced_by_file"], r["replaced_by_line"]) for r in replaced] == [
        (first["file_id"], 2, 72.35, later["file_id"], 2)
    ]
    # What was sent before the correction is known, and does not undo it.
    assert counts(await send(intelligence, "nts", file(*ROWS))) == (0, 0, 3, 0)
    assert {row[3]: row for row in await stored(intelligence)} == now


async def test_the_same_rows_sent_at_once_in_different_files_are_there_once(intelligence: ServiceUnderTest) -> None:
    reports = await asyncio.gather(
        *(send(intelligence, "nts", file(*ROWS) + "\n" * n) for n in range(4)), send(intelligence, "nts", file(*ROWS))
    )
    assert sum(report["added"] for report in reports) == 3
    assert sum(report["unchanged"] for report in reports) == 4 * 3
    assert len(await stored(intelligence)) == 3


async def test_a_workbook_and_json_lines_say_the_same_as_csv(intelligence: ServiceUnderTest) -> None:
    names = HEADER.split(",")
    values = [
        [
            float(c) if c and n in {"mean", "sd", "n", "year"} else c or None
            for n, c in zip(names, r.split(","), strict=True)
        ]
        for r in ROWS
    ]
    forms = (
        workbook(sheet_rows([names, *values])),
        "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in values).encode(),
    )
    await send(intelligence, "nts", file(*ROWS))
    before = await stored(intelligence)
    for content in forms:
        report = await send(intelligence, "nts", content)
        assert counts(report) == (0, 0, 3, 0), report["problems"]
    assert await stored(intelligence) == before


async def test_an_interval_does_for_a_standard_deviation(intelligence: ServiceUnderTest) -> None:
    report = await send(
        intelligence,
        "nts",
        "provider,specialty,indicator,year,mean,lower ci,upper ci,n\n"
        "A,S,I,2024,70,66.08,73.92,4\nB,S,I,2024,70,71,69,4\n",
    )
    assert counts(report) == (1, 0, 0, 1)
    assert report["problems"][0]["column"] == "upper ci"
    assert (await stored(intelligence))[0][9] == pytest.approx(4.0)


class Stopped(Exception):
    """The process would have died here."""


async def test_an_import_that_is_broken_off_shows_nothing_and_is_gone_on_with(
    intelligence: ServiceUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file(*(f"P{n:05},,Surgery,Workload,2024,70,10,{n % 40}" for n in range(9_000)))
    path = tmp_path / "many.csv"
    path.write_text(content, encoding="utf-8")
    source = sources.source(sources.mappings(None)["nts"], "officer-1")
    monkeypatch.setattr(source, "step_records", 2_000)
    steps = 0
    take: Callable[..., Any] = source.take

    async def take_some(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        taken = await take(*arguments)
        if steps == 3:
            raise Stopped
        return taken

    monkeypatch.setattr(source, "take", take_some)
    received = Received(path, "many.csv", "officer-1")
    with pytest.raises(Stopped):
        await take_in(intelligence.pool, source, received, emitter=intelligence.service.source)
    assert await stored(intelligence) == []
    (begun,) = (
        await intelligence.call("GET", "/import-files", role=Role.QUALITY_OFFICER, params={"source": "nts"})
    ).json()["items"]
    assert (begun["finished_at"], begun["added"]) == (None, 4_000)
    assert 0 < begun["bytes_read"] < begun["size"]
    report = await send(intelligence, "nts", content)
    assert counts(report) == (9_000, 0, 0, 0)
    assert report["file_id"] == begun["id"]
    assert [row[1] for row in await stored(intelligence)] == list(range(2, 9_002))


_IMPORTER = """
import asyncio, sys
from pathlib import Path
from services.intelligence.commands import sources
from shared.imports.running import Received, take_in
from shared.persistence.pool import open_pool

async def main():
    pool = await open_pool(sys.argv[1], name="importer")
    source = sources.source(sources.mappings(None)["nts"], "officer-1")
    source.step_records = 2_000
    await take_in(pool, source, Received(Path(sys.argv[2]), "f", "officer-1"), emitter="/east-midlands/intelligence")

asyncio.run(main())
"""


async def rows_read(service: ServiceUnderTest) -> int:
    return await service.pool.fetchval("select sum(rows_read) from import_files where source = 'nts'") or 0


async def test_a_process_killed_in_mid_import_leaves_the_same_rows_once(
    intelligence: ServiceUnderTest, tmp_path: Path
) -> None:
    path = tmp_path / "many.csv"
    path.write_text(
        file(*(f"P{n:05},,Surgery,I{n % 7},2024,70,10,{n % 40}" for n in range(60_000)), "bad,,S,I,x,1,1,1"),
        encoding="utf-8",
    )
    dsn = intelligence.service.settings.database_url.get_secret_value()
    killed = 0
    for least in (1, 10_000, 30_000):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _IMPORTER, dsn, str(path))
        async with asyncio.timeout(60):
            while process.returncode is None and await rows_read(intelligence) < least:  # noqa: ASYNC110 it sends no signal
                await asyncio.sleep(0.005)
        process.kill()
        killed += await process.wait() == -signal.SIGKILL
    assert killed == 3
    assert await stored(intelligence) == []
    source = sources.source(sources.mappings(None)["nts"], "officer-1")
    done, _ = await take_in(
        intelligence.pool, source, Received(path, "f", "officer-1"), emitter=intelligence.service.source
    )
    assert (done.added, done.refused) == (60_000, 1)
    assert sorted(row[1] for row in await stored(intelligence)) == list(range(2, 60_002))
    assert await intelligence.pool.fetchval("select count(*) from survey_result_rows") == 60_000
    assert await intelligence.pool.fetchval("select count(*) from import_problems where file_id = $1", done.id) == 1


async def test_a_file_of_another_source_leaves_no_trace(intelligence: ServiceUnderTest, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    source = sources.source(sources.mappings(None)["nts"], "officer-1")
    with pytest.raises(FileRefused):
        await take_in(intelligence.pool, source, Received(path, "f", "o"), emitter=intelligence.service.source)
    assert not await intelligence.pool.fetchval("select count(*) from import_files where source = 'nts'")
    answer = await intelligence.call("POST", "/imports/nothing", role=Role.QUALITY_OFFICER, content=b"a,b\n")
    assert (answer.status_code, "nts" in answer.json()["detail"]) == (404, True)


async def test_answers_to_questions_go_in(intelligence: ServiceUnderTest) -> None:
    content = (
        "provider,profession,theme,question,year,answer,respondents\n"
        "FICTHT001,Nursing,Induction,I had an induction,2024,Yes,40\n"
        "FICTHT001,Nursing,Induction,I had an induction,2024,No,2\n"
        "FICTHT001,Nursing,Induction,I had an induction,2024,No,3\n"
        "FICTHT001,Nursing,,I had an induction,2024,No,\n"
    )
    report = await send(intelligence, "nets", content)
    assert counts(report) == (2, 0, 0, 2)
    assert {(p["line"], p["column"]) for p in report["problems"]} == {(4, ""), (5, "theme"), (5, "respondents")}
    found = await intelligence.pool.fetch("select answer, respondents from survey_responses order by respondents")
    assert [tuple(row) for row in found] == [("No", 2), ("Yes", 40)]


CQC = "Provider ID,Publication date,Domain,Overall rating\n"


async def test_ratings_become_items_with_file_line_and_tendency(intelligence: ServiceUnderTest) -> None:
    report = await send(
        intelligence, "cqc-ratings", CQC + "FICTHT001,14/03/2024,Safe,Inadequate\nFICTHT001,2024-03-14,Caring,Good\n"
    )
    assert counts(report) == (2, 0, 0, 0)
    answer = await intelligence.call("GET", "/intelligence", role=Role.QUALITY_OFFICER, params={"source_kind": "cqc"})
    first, second = answer.json()["items"]
    assert (first["file_id"], first["line"], first["source_date"]) == (report["file_id"], 2, "2024-03-14")
    assert (first["theme"], first["rating"], first["tendency"]) == ("safe", "Inadequate", "adverse")
    assert first["summary"] == "CQC rating (Safe): Inadequate."
    assert second["tendency"] == "favourable"


async def test_a_later_rating_of_the_same_day_takes_the_place_of_the_earlier(intelligence: ServiceUnderTest) -> None:
    await send(intelligence, "cqc-ratings", CQC + "FICTHT001,14/03/2024,Safe,Inadequate\n")
    later = await send(
        intelligence, "cqc-ratings", CQC + "FICTHT001,14/03/2024,Safe,Good\nFICTHT001,14/03/2024,Safe,Outstanding\n"
    )
    assert counts(later) == (0, 1, 0, 1)
    assert "line 2" in later["problems"][0]["reason"]
    answer = await intelligence.call("GET", "/intelligence", role=Role.QUALITY_OFFICER, params={"source_kind": "cqc"})
    old, new = answer.json()["items"]
    assert (old["rating"], old["replaced_by"], new["rating"], new["replaced_by"]) == (
        "Inadequate",
        new["id"],
        "Good",
        None,
    )
    assert counts(await send(intelligence, "cqc-ratings", CQC + "FICTHT001,14/03/2024,Safe,Inadequate\n")) == (
        0,
        0,
        1,
        0,
    )


async def test_a_row_refused_for_an_unknown_provider_goes_in_once_it_is_known(intelligence: ServiceUnderTest) -> None:
    content = (
        "provider,date,ref,report\nFICTNEW77,2024-05-01,H-1,Good handover\nFICTHT001,2024-05-01,H-2,Poor rota\n"
        "FICTHT001,2024-13-01,H-3,No day\n"
    )
    first = await send(intelligence, "head-of-school", content)
    assert counts(first) == (1, 0, 0, 2)
    assert {(p["line"], p["column"]) for p in first["problems"]} == {(2, "provider"), (4, "date")}
    header = "ods_code,name,kind,parent_code,valid_from,valid_to,successor_code,source"
    await send(intelligence, "providers", f"{header}\nFICTNEW77,A trust (fictional),hospital_trust,,,,,synthetic\n")
    again = await send(intelligence, "head-of-school", content)
    assert counts(again) == (1, 0, 1, 1)
    assert [(p["line"], p["column"]) for p in again["problems"]] == [(4, "date")]
    assert counts(await send(intelligence, "head-of-school", content)) == (0, 0, 2, 1)


async def test_an_office_reads_its_own_exports_by_a_mapping_of_its_own(
    start_service: StartService, tmp_path: Path
) -> None:
    mapping = {
        "source": "east-survey",
        "title": "the survey of the east",
        "takes": "survey_results",
        "columns": {"provider_code": ["Anbieter"], "specialty": ["Fach"], "indicator": ["Frage"], "year": ["Jahr"],
                    "mean": ["Mittel"], "sd": ["Streuung"], "n": ["Zahl"]},
        "constants": {"report_type": "east"},
        "decimal": ",",
        "encoding": "cp1252",
    }  # fmt: skip
    (tmp_path / "east.json").write_text(json.dumps(mapping), encoding="utf-8")
    service = await start_service(SPEC, Settings, sources_folder=tmp_path)
    content = "Anbieter;Fach;Frage;Jahr;Mittel;Streuung;Zahl\nÄrztehaus;Chirurgie;Last;2024;72,35;10,5;12\n"
    assert counts(await send(service, "east-survey", content.encode("cp1252"))) == (1, 0, 0, 0)
    assert (await stored(service))[0][2:] == ("east", "Ärztehaus", "", "Chirurgie", "Last", 2024, 72.35, 10.5, 12)
    listed = (await service.call("GET", "/sources", role=Role.READER)).json()
    assert {"east-survey", "nts", "nets", "concerns"} <= {one["source"] for one in listed}


async def test_who_may_not_import_is_refused_before_the_file_is_read(intelligence: ServiceUnderTest) -> None:
    async def endless():
        yield b"x"
        raise AssertionError("it was read")

    answer: httpx.Response = await intelligence.call("POST", "/imports/nts", role=Role.READER, content=endless())
    assert answer.status_code == 403
