"""Files and questions of those who mean ill, or whose program does: refused in words, and never a failure."""

import base64
import json

from services.intelligence import policies
from services.intelligence.store import signals
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

CONCERNS = (
    "reference,origin,provider_code,site_code,programme,learner_group,standards,source_kind,source_date,raised_on,"
    "summary,action,impact,likelihood,category,rationale,rated_on,status,closed_on,closure_reason,source"
)


async def test_names_that_are_no_text_are_refused_in_words(intelligence: ServiceUnderTest) -> None:
    for source, content, status in (
        ("nts", b"provider,\xff,specialty,indicator\nX,1,2,3\n", 422),
        ("providers", b"ods_code,name,\xfe\nABC1,x,y\n", 422),
        ("providers", b'{"ods_code":"ABC1","name":"x","\\ud800\\u0000":"boo"}\n', 200),
    ):
        answer = await intelligence.call("POST", f"/imports/{source}", role=Role.QUALITY_OFFICER, content=content)
        assert answer.status_code == status, answer.text
    assert "has a member that is unknown" in answer.json()["problems"][0]["reason"]


async def test_problems_with_long_reasons_can_be_read_page_by_page(intelligence: ServiceUnderTest) -> None:
    rows = (f"R-{n},register,FICTHT001,,Surgery,medical,,bogus,,2024-01-01,s,,,,,,,open,,," for n in range(5))
    content = "\n".join([CONCERNS, *rows]) + "\n"
    sent = await intelligence.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content.encode())
    path = f"/import-files/{sent.json()['file_id']}/problems"
    lines: list[int] = []
    query = {"limit": "2"}
    while True:
        answer = await intelligence.call("GET", path, role=Role.QUALITY_OFFICER, params=query)
        assert answer.status_code == 200, answer.text
        lines += [problem["line"] for problem in answer.json()["items"]]
        if answer.json()["next"] is None:
            break
        query["cursor"] = answer.json()["next"]
    assert lines == [2, 3, 4, 5, 6]


async def test_a_cursor_that_nobody_was_given_is_refused(intelligence: ServiceUnderTest) -> None:
    for path in ("/import-files", "/import-files/1/problems"):
        for key in (10**30, -1, "1", [10**30, "", ""], [1, "\0", ""], [-1, "a", "b"], None):
            cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
            answer = await intelligence.call("GET", path, role=Role.QUALITY_OFFICER, params={"cursor": cursor})
            assert answer.status_code == 422, (path, key, answer.text)


async def test_what_a_broken_file_would_replace_still_counts(intelligence: ServiceUnderTest) -> None:
    """It breaks after its first rows are in: they do not count, and may never."""
    header = "Provider ID,Publication date,Domain,Overall rating\n"
    path = "/imports/cqc-ratings"
    first = header + "FICTHT001,14/03/2024,Safe,Inadequate\n"
    await intelligence.call("POST", path, role=Role.QUALITY_OFFICER, content=first.encode())
    rest = "".join(f"FICTHT002,{n % 28 + 1:02}/01/2024,D{n},Good\n" for n in range(200))
    broken = header + "FICTHT001,14/03/2024,Safe,Good\n" + rest + '"\n",' * 3_000_000
    answer = await intelligence.call("POST", path, role=Role.QUALITY_OFFICER, content=broken.encode())
    assert answer.status_code == 422, answer.text
    assert "has no end" in answer.text

    async def held() -> list[str]:
        async with intelligence.pool.acquire() as connection:
            found = await signals.known(connection, ["FICTHT001"], policies.proposal_policy())
            origins = await signals.origins(connection, found)
            assert all(origin.holds for origin in origins.values())
            return [one.id for one in found]

    assert len(await held()) == 1
    whole = header + "FICTHT001,14/03/2024,Safe,Outstanding\n"
    await intelligence.call("POST", path, role=Role.QUALITY_OFFICER, content=whole.encode())
    assert await held() == []
