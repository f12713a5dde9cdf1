"""An attack on the small numbers: every endpoint, every filter, every event and export, over time, with algebra."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from services.intelligence import metrics
from services.intelligence.domain.small_numbers import LEAST, is_small
from shared.reference import files
from shared.security.roles import Role
from tests.fixtures.attacks import factors_of, numbers_in, questions
from tests.fixtures.services import ServiceUnderTest

HEADER = "provider,site,specialty,indicator,year,mean,sd,n\n"
TRUST, A, B = "FICTHT001", "FICTHT001A", "FICTHT001B"

#: Fields that count people or concerns: null, or three at least.
COUNTS = {"n", "respondents", "results", "managed", "significant", "closed", "raised"}

#: Fields with a number that counts neither.
NO_COUNTS = {
    *("year", "line", "version", "file_id", "by_file", "corrected_by_file", "id", "impact", "likelihood", "score"),
    *("category", "suggested_category", "highest_category", "previous_category", "status", "import_id"),
    # Scores of a survey, and what is computed from those that are shown.
    *("mean", "sd", "lower", "upper", "lower_quartile", "upper_quartile", "lower_limit", "upper_limit", "value"),
    # Rules of a policy, which everybody may read.
    *("months", "within_months", "sources", "least", "least_sources", "years", "days", "month", "day", "at_least"),
    # How far an office has come with what a provider has to reach.
    "open_conditions",
}

#: Fields of the reports of imports, for whoever has the file.
OF_A_FILE = {"size", "bytes_read", "added", "updated", "unchanged", "refused"}

Row = tuple[str, str, str]
Step = dict[Row, int]

#: Respondents by report, site and specialty, file by file; a later file says anew what it corrects.
STEPS: tuple[Step, ...] = (
    # The provider as a whole is published before its sites are.
    {("nts-provider", "", "All"): 40, ("nts", "", "Surgery"): 10, ("nts", "", "Medicine"): 30},
    # A site with two, one with a row of its own for all specialties, and a specialty whose other site is left out.
    {
        ("nts", A, "Surgery"): 8,
        ("nts", B, "Surgery"): 2,
        ("nts", A, "Medicine"): 14,
        ("nts", A, "All"): 22,
    },
    {("nts", B, "Medicine"): 16, ("nts", B, "All"): 18},
    # One more answered at a site, and so in every total.
    {
        ("nts", A, "Medicine"): 15,
        ("nts", "", "Medicine"): 31,
        ("nts", A, "All"): 23,
        ("nts-provider", "", "All"): 41,
    },
)
PARTS = tuple((site, specialty) for site in (A, B) for specialty in ("Surgery", "Medicine"))


async def take_in(service: ServiceUnderTest, step: Step) -> None:
    for report in ("nts", "nts-provider"):
        rows = [
            f"{TRUST},{site},{specialty},Induction,2024,{50 + n},10,{n},{report}\n"
            for (at, site, specialty), n in step.items()
            if at == report
        ]
        peers = [f"FICTHT00{m},,{s},Induction,2024,{60 + m},9,{20 + m},nts\n" for m in (2, 3) for s in ("Surgery", "X")]
        text = HEADER.replace("n\n", "n,report_type\n") + "".join(rows + (peers if report == "nts" else []))
        answer = await service.call("POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=text.encode())
        assert answer.status_code == 200, answer.text
        assert answer.json()["refused"] == 0, answer.text


async def seen(service: ServiceUnderTest) -> dict[Row, int]:
    """The respondents that are shown for the trust, whoever asks."""
    answer = await service.call("GET", "/flags", role=Role.QUALITY_LEAD, params={"provider": TRUST, "limit": 200})
    assert answer.status_code == 200, answer.text
    return {
        (flag["report_type"], flag["site_code"] or "", flag["specialty"]): flag["numbers"]["n"]
        for flag in answer.json()["items"]
        if flag["numbers"] is not None
    }


async def test_nothing_under_three_follows_from_what_is_shown_of_surveys_over_time(
    intelligence: ServiceUnderTest,
) -> None:
    """The attacker reads after every file, knows what adds up to what, and which row a file has corrected."""
    edition: dict[Row, int] = defaultdict(int)
    unknowns: list[tuple[str, str, int]] = []
    vectors: list[dict[tuple[str, str, int], int]] = []
    read: list[int] = []
    truth: dict[tuple[str, str, int], int] = {}
    for step in STEPS:
        await take_in(intelligence, step)
        for row, n in step.items():
            edition[row] += 1
            if row[2] != "All" and row[1]:
                truth[row[1], row[2], edition[row]] = n
        shown = await seen(intelligence)
        for (_, site, specialty), n in shown.items():
            assert n >= LEAST
            parts = [
                (at, of, max(1, edition["nts", at, of]))
                for at, of in PARTS
                if site in ("", at) and specialty in ("All", of)
            ]
            unknowns += [part for part in parts if part not in unknowns]
            vectors.append(dict.fromkeys(parts, 1))
            read.append(n)
    known = [[vector.get(one, 0) for one in unknowns] for vector in vectors]
    attacked = 0
    for size in range(1, len(PARTS) + 1):
        for chosen in combinations(unknowns, size):
            factors = factors_of([int(one in chosen) for one in unknowns], known)
            if factors is not None:
                number = sum(factor * n for factor, n in zip(factors, read, strict=True))
                assert not is_small(int(number)), (chosen, number)
                attacked += 1
    for site, specialty in PARTS:
        editions = [one for one in unknowns if one[:2] == (site, specialty)]
        for one, other in combinations(editions, 2):
            assert factors_of([(name == other) - (name == one) for name in unknowns], known) is None, (one, other)
    assert attacked, "the attacker learnt nothing at all: nothing was shown to attack"
    assert {n for n in truth.values() if is_small(n)} == {2}


async def test_benchmarks_do_not_tell_of_the_few_at_a_provider_that_is_not_on_the_register(
    intelligence: ServiceUnderTest,
) -> None:
    """One result is not on the register: what the benchmark has beyond the others is its, in each of two reports."""

    async def benchmarks(beyond: int) -> list[Any]:
        year = 2000 + beyond
        rows = [f"FICTHT00{m},,Surgery,Induction,{year},{60 + m},9,{20 + m},nts\n" for m in (1, 2, 3)]
        rows += [f"FICTHT00{m},,All,Induction,{year},{60 + m},9,{20 + m},nts-provider\n" for m in (1, 2, 3)]
        rows += [f"ZZZ01,,Surgery,Induction,{year},50,9,10,nts\n"]
        rows += [f"ZZZ01,,All,Induction,{year},50,9,{10 + beyond},nts-provider\n"]
        text = HEADER.replace("n\n", "n,report_type\n") + "".join(rows)
        sent = await intelligence.call("POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=text.encode())
        assert sent.json()["refused"] == 0, sent.text
        asked = {"provider": TRUST, "year": str(year)}
        found = (await intelligence.call("GET", "/flags", role=Role.READER, params=asked)).json()["items"]
        shown = [await intelligence.call("GET", f"/flags/{one['id']}", role=Role.READER) for one in found]
        return [one.json()["benchmark"] is not None for one in shown]

    assert await benchmarks(beyond=7) == [True, True]
    assert False in await benchmarks(beyond=2)


def fields_with_small_numbers(answer: Any, counts: set[str], others: set[str]) -> Iterator[str]:
    for field, number in numbers_in(answer):
        assert field in counts | others, f"say whether {field!r} counts people or concerns"
        if field in counts and number < LEAST:
            yield field


async def everything(service: ServiceUnderTest) -> None:
    """A register, surveys, and reports of single learners."""
    content = files.path("concerns-synthetic-2023-24.csv").read_bytes()
    answer = await service.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content)
    assert answer.status_code == 200, answer.text
    for step in STEPS:
        await take_in(service, step)
    report = {
        "reporter_kind": "learner",
        "provider_code": TRUST,
        "programme": "Surgery",
        "learner_group": "medical",
        "words": "I was alone.",
        "patient_safety": True,
        "immediate": True,
    }
    assert (await service.call("POST", "/reports", role=Role.REPORT_FORM, json=report)).status_code == 201


async def pools(service: ServiceUnderTest) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """Values to filter by, and ids to ask for."""

    async def listed(path: str, role: Role = Role.QUALITY_LEAD) -> list[dict]:
        answer = await service.call("GET", path, role=role, params={"limit": 200})
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()["items"]

    ids = {
        "ods_code": [TRUST, A, "FICTGP001"],
        "concern_id": [one["id"] for one in await listed("/concerns")][-4:],
        "flag_id": [one["id"] for one in await listed("/flags")],
        "item_id": [one["id"] for one in await listed("/intelligence")],
        "report_id": [one["id"] for one in await listed("/reports")],
        "proposal_id": [one["id"] for one in await listed("/proposals")],
        "file_id": [one["id"] for one in await listed("/import-files")],
        "version": ["current"],
    }
    values = {
        "provider": [TRUST, "FICTGP001"],
        "parent": [TRUST],
        "site": [A, B],
        "programme": ["Emergency medicine"],
        "specialty": ["Surgery", "All"],
        "indicator": ["Induction"],
        "report_type": ["nts", "nts-provider"],
        "standard": ["3.5"],
        "raised_from": ["2024-01-01"],
        "raised_to": ["2023-06-30"],
        "reference": ["SYN-2023-003"],
        "category": [0, 2],
        "file_id": ids["file_id"][:2],
        "year": [2024],
        "rule": ["triple-red"],
        "source": ["nts"],
        "digest": ["0" * 64],
        "due_by": ["2027-01-01"],
        "due_before": ["2027-01-01"],
        "owner": ["provider_board"],
    }
    return values, ids


async def answers(service: ServiceUnderTest, role: Role) -> Iterator[tuple[str, Any]]:
    """What every GET endpoint answers a role, in every combination of filters."""
    values, ids = await pools(service)
    asked: list[tuple[str, dict[str, Any]]] = []
    described = service.app.openapi()
    for path, operations in described["paths"].items():
        if "get" not in operations or path.startswith(("/health", "/metrics")):
            continue
        named = re.findall(r"{(\w+)}", path)
        places = [path]
        for name in named:
            places = [place.replace(f"{{{name}}}", str(one)) for place in places for one in ids[name]]
        asked += [
            (place, query)
            for place in places
            for query in questions(operations["get"], values, described["components"]["schemas"])
        ]
    found: list[tuple[str, Any]] = []
    for path, query in asked:
        answer = await service.call("GET", path, role=role, params={key: str(one) for key, one in query.items()})
        assert answer.status_code in (200, 403, 404), (path, query, answer.text)
        if answer.status_code == 200:
            kind = answer.headers["content-type"]
            found.append((f"{path} {query}", answer.json() if "json" in kind else answer.content))
    assert len({where.split(" ")[0] for where, _ in found}) > 15
    return iter(found)


async def test_no_endpoint_answers_anybody_a_count_under_three(intelligence: ServiceUnderTest) -> None:
    await everything(intelligence)
    for role, others in ((Role.READER, NO_COUNTS), (Role.QUALITY_LEAD, NO_COUNTS | OF_A_FILE)):
        for where, answer in await answers(intelligence, role):
            if isinstance(answer, bytes):
                continue
            small = list(fields_with_small_numbers(answer, COUNTS, others))
            assert not small, (role, where, small)
            text = json.dumps(answer)
            assert not re.search(r"\b[12] (people|respondents|learners|reports|concerns)\b", text), (role, where)


async def test_what_single_people_said_is_not_for_every_reader_to_count(intelligence: ServiceUnderTest) -> None:
    await everything(intelligence)
    _, ids = await pools(intelligence)
    paths = ["/intelligence", "/reports", "/proposals", "/import-files", f"/intelligence/{ids['item_id'][0]}"]
    paths += [f"/concerns/{one}/evidence" for one in ids["concern_id"]]
    for role in (Role.READER, Role.LAY_PARTNER, Role.FINANCE_OFFICER, Role.FINANCE_APPROVER):
        for path in paths:
            assert (await intelligence.call("GET", path, role=role)).status_code == 403, (role, path)
        for one in ids["concern_id"]:
            concern = (await intelligence.call("GET", f"/concerns/{one}", role=role)).json()
            assert concern["items"] == []


async def test_no_event_and_no_export_has_a_count_under_three(intelligence: ServiceUnderTest) -> None:
    await everything(intelligence)
    rows = await intelligence.pool.fetch("select type, data::text as data from outbox")
    assert len({row["type"] for row in rows}) >= 4
    for row in rows:
        small = list(fields_with_small_numbers(json.loads(row["data"]), COUNTS, NO_COUNTS))
        assert not small, (row["type"], small)
    table = (await intelligence.call("GET", "/register.csv", role=Role.READER)).content.decode("utf-8-sig")
    cells = [cell for line in csv.reader(io.StringIO(table)) for cell in line]
    assert not [cell for cell in cells if re.fullmatch(r"'?[+-]?\d+([.,]\d+)?", cell)]


async def test_volumes_of_both_kinds_compared_over_time_differ_by_nothing_small(intelligence: ServiceUnderTest) -> None:
    """The attacker asks after every single change, and compares all that was ever answered."""
    await everything(intelligence)
    ever: dict[tuple[str, str, str], set[int]] = defaultdict(set)

    async def ask() -> None:
        for kind in ("financial", "training"):
            answer = await intelligence.call("GET", "/volumes", role=Role.READER, params={"year": kind})
            for year in answer.json()["years"]:
                for measure in ("managed", "significant", "closed", "raised"):
                    if (number := year[measure]) is not None:
                        assert number >= LEAST
                        known = ever[kind, year["year"], measure]
                        assert not any(is_small(number - was) for was in known), (kind, year["year"], measure)
                        known.add(number)

    await ask()
    body = {"programme": "Urology", "learner_group": "medical", "source_kind": "learner", "summary": "Late."}
    for n in range(9):
        raised_on = f"2023-{4 + n % 6:02}-10"
        answer = await intelligence.call(
            "POST",
            "/concerns",
            role=Role.QUALITY_OFFICER,
            json={**body, "provider_code": TRUST, "raised_on": raised_on},
        )
        await ask()
        if n % 2:
            await intelligence.call(
                "POST",
                f"/concerns/{answer.json()['id']}/closure",
                role=Role.QUALITY_LEAD,
                json={"closure_reason": "resolved", "closed_on": "2024-02-01", "rationale": "Met."},
                headers={"If-Match": '"1"'},
            )
            await ask()
    assert any(len(numbers) > 1 for numbers in ever.values())


async def test_the_metric_of_open_concerns_moves_in_tens(intelligence: ServiceUnderTest) -> None:
    content = files.path("concerns-synthetic-2023-24.csv").read_bytes()
    await intelligence.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content)
    async with intelligence.pool.acquire() as connection:
        await metrics.sample(connection)
    text = (await intelligence.client.get("/metrics")).text
    assert re.findall(r"^qc_open_concerns(?:{.*})? (\S+)$", text, re.MULTILINE) == ["10.0"]


async def test_no_metric_counts_the_reports_of_single_people(intelligence: ServiceUnderTest) -> None:
    async def told() -> list[str]:
        text = (await intelligence.client.get("/metrics")).text
        return re.findall(r'^qc_http\w*{[^}]*method="POST",route="/reports".*', text, re.MULTILINE)

    before = await told()
    await everything(intelligence)
    assert await told() == before
    assert not [line for line in before if 'status="2' in line]
