"""Files and questions of those who mean ill, or whose program does: refused in words, and never a failure."""

import base64
import json

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
