"""The register as it may be published: what was said and what was done, and nobody in it."""

import csv
import io
import uuid
import zipfile

from services.intelligence.domain.said_and_done import _SOURCES, COLUMNS  # pyright: ignore[reportPrivateUsage]
from shared.contracts.examples import example_of
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model
from shared.reference import files
from shared.reference.kinds import SourceKind
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

NAME = "Quillfeather"
CONCERN = {
    "provider_code": "FICTHT001",
    "site_code": "FICTHT001A",
    "programme": "=HYPERLINK(Surgery)",
    "learner_group": "medical",
    "standards": ["3.5"],
    "source_kind": "learner",
    "source_date": "2024-05-02",
    "raised_on": "2024-05-09",
    "summary": f"Dr {NAME} leaves learners alone.",
    "action": f"Spoke to Dr {NAME}.",
    "reporter": {"name": f"Ash {NAME}", "contact": "ash@learners.example"},
}


async def rows(service: ServiceUnderTest, **query: str) -> list[dict[str, str]]:
    answer = await service.call("GET", "/register.csv", role=Role.READER, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="register.csv"'
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def raised(service: ServiceUnderTest) -> dict:
    answer = await service.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=CONCERN)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def change(service: ServiceUnderTest, concern: dict, what: str, **body: object) -> dict:
    answer = await service.call(
        "POST",
        f"/concerns/{concern['id']}/{what}",
        role=Role.QUALITY_LEAD,
        json={"rationale": f"Dr {NAME}.", **body},
        headers={"If-Match": f'"{concern["version"]}"'},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_row_says_what_was_said_and_what_was_done_without_a_word_of_anybody(
    intelligence: ServiceUnderTest,
) -> None:
    concern = await raised(intelligence)
    (row,) = await rows(intelligence)
    assert row["we_did"] == "The concern was taken up."
    concern = await change(intelligence, concern, "ratings", impact=4, likelihood=4, category=3)
    concern = await change(intelligence, concern, "escalations", register_kind="regional_register")
    outcome = example_of(by_model(OutcomeRecorded)).data.model_copy(update={"concern_ids": [uuid.UUID(concern["id"])]})
    await intelligence.receive(outcome, key="FICTHT001")
    (row,) = await rows(intelligence)
    site = (await intelligence.call("GET", "/providers/FICTHT001A", role=Role.READER)).json()["name"]
    assert row["learning_environment"].startswith(site)
    assert row["you_said"].startswith("These standards may not be met: 3.5 ")
    assert row["we_did"] == (
        "The concern was rated: major. It is on the regional register. "
        "The provider was visited, and told what has to change."
    )
    assert (row["source"], row["source_month"], row["raised_in"]) == ("Learners and educators", "2024-05", "2024-05")
    assert (row["status"], row["category"], row["closed_in"]) == ("Open", "Major", "")
    assert row["programme"] == "'=HYPERLINK(Surgery)"
    printed = str(await rows(intelligence))
    assert NAME not in printed
    assert "2024-05-0" not in printed


async def test_the_workbook_holds_what_the_csv_holds(intelligence: ServiceUnderTest) -> None:
    await raised(intelligence)
    answer = await intelligence.call("GET", "/register.xlsx", role=Role.READER)
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    (row,) = await rows(intelligence)
    assert all(f">{cell.removeprefix(chr(39))}</t>" in sheet for cell in row.values() if cell)
    assert all(f">{column}</t>" in sheet for column in COLUMNS)
    assert NAME not in sheet


async def test_an_export_holds_the_concerns_of_the_scope_that_is_asked_for(intelligence: ServiceUnderTest) -> None:
    content = files.path("concerns-synthetic-2023-24.csv").read_bytes()
    answer = await intelligence.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content)
    assert answer.json()["added"] == 36
    assert len(await rows(intelligence)) == 36
    closed = await rows(intelligence, provider="FICTHT001", status="closed")
    assert {(row["provider_code"], row["status"]) for row in closed} == {("FICTHT001", "Closed")}
    assert all("The concern was closed: " in row["we_did"] for row in closed)
    texts = [row["summary"] for row in csv.DictReader(io.StringIO(content.decode()))]
    printed = str(await rows(intelligence))
    assert not any(text in printed for text in texts)


async def test_an_export_needs_the_permission_to_read(intelligence: ServiceUnderTest) -> None:
    for path in ("/register.csv", "/register.xlsx"):
        assert (await intelligence.call("GET", path, role=None)).status_code == 401


def test_every_kind_of_source_has_a_name_and_single_persons_share_one() -> None:
    assert set(_SOURCES) == set(SourceKind)
    alone = (
        SourceKind.HEAD_OF_SCHOOL,
        SourceKind.DIRECTOR_OF_MEDICAL_EDUCATION,
        SourceKind.FREEDOM_TO_SPEAK_UP_GUARDIAN,
    )
    for kind in alone:
        assert sum(name == _SOURCES[kind] for name in _SOURCES.values()) >= 3
