"""A provider on one page: what is open, how it was rated, how surveys see it."""

from shared.reference import files
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

HEADER = "provider,site,specialty,indicator,year,mean,sd,n\n"
PEERS = (("FICTHT001", 50), ("FICTHT002", 60), ("FICTMH001", 70), ("FICTGP001", 80), ("FICTHT003", 90))


async def profile(service: ServiceUnderTest, provider: str = "FICTHT001", role: Role = Role.READER) -> dict:
    answer = await service.call("GET", f"/providers/{provider}/profile", role=role)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_profile_holds_open_concerns_ratings_flags_and_series(intelligence: ServiceUnderTest) -> None:
    content = files.path("concerns-synthetic-2023-24.csv").read_bytes()
    await intelligence.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content)
    survey = "".join(
        f"{code},,Surgery,Induction,{year},{mean},10,25\n" for year in (2022, 2023, 2024) for code, mean in PEERS
    )
    answer = await intelligence.call(
        "POST", "/imports/nts", role=Role.QUALITY_OFFICER, content=(HEADER + survey).encode()
    )
    assert answer.status_code == 200, answer.text
    listed = await intelligence.call(
        "GET", "/concerns", role=Role.READER, params={"provider": "FICTHT001", "status": "open"}
    )
    found = await profile(intelligence)
    assert found["provider"]["ods_code"] == "FICTHT001"
    assert {site["parent_code"] for site in found["sites"]} == {"FICTHT001"}
    assert [one["id"] for one in found["open_concerns"]] == [one["id"] for one in listed.json()["items"]]
    assert found["open_concerns"][0]["href"] == f"/concerns/{found['open_concerns'][0]['id']}"
    rated = [point["rated_on"] for point in found["ratings"]]
    assert rated == sorted(rated)
    assert len(rated) == sum(b"FICTHT001," in line for line in content.splitlines())
    assert [(one["year"], one["flag"], one["triple_red"]) for one in found["flags"]] == [(2024, "red", True)]
    (series,) = found["series"]
    assert [point["value"] for point in series["points"]] == [50, 50, 50]


async def test_a_profile_has_no_word_of_anybody(intelligence: ServiceUnderTest) -> None:
    body = {
        "provider_code": "FICTHT001",
        "programme": "Urology",
        "learner_group": "medical",
        "source_kind": "learner",
        "summary": "Dr Quillfeather leaves learners alone.",
        "action": "Spoke to Dr Quillfeather.",
        "reporter": {"name": "Ash Quillfeather", "contact": "ash@learners.example"},
    }
    raised = (await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=body)).json()
    await intelligence.call(
        "POST",
        f"/concerns/{raised['id']}/ratings",
        role=Role.QUALITY_LEAD,
        json={"impact": 4, "likelihood": 4, "category": 3, "rationale": "Dr Quillfeather."},
        headers={"If-Match": '"1"'},
    )
    found = await profile(intelligence, role=Role.QUALITY_LEAD)
    assert "uillfeather" not in str(found)
    assert [(one["category"], one["score"]) for one in found["ratings"]] == [(3, 16)]
    assert found["open_concerns"][0]["marked_for"] == ["national_team", "gmc"]


async def test_who_is_not_on_the_register_has_no_profile(intelligence: ServiceUnderTest) -> None:
    assert (await intelligence.call("GET", "/providers/NOSUCH/profile", role=Role.READER)).status_code == 404
    assert (await intelligence.call("GET", "/providers/FICTHT001/profile", role=None)).status_code == 401
