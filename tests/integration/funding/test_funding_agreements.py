"""Signing and reading agreements over HTTP."""

import asyncio
from typing import Any

from funding_cases import FENBROOK, TOTAL, agreement_body, balances, decide, propose, read, sign

from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest


async def test_signing_commits_the_total_out_of_the_budget(funding: ServiceUnderTest) -> None:
    response = await funding.call("POST", "/agreements", role=Role.FINANCE_OFFICER, json=agreement_body())
    signed = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/agreements/{signed['id']}"
    assert response.headers["ETag"] == '"1"'
    assert (signed["committed_pence"], signed["adjusted_pence"], signed["remaining_pence"]) == (TOTAL, 0, TOTAL)
    assert await balances(funding) == {"budget": -TOTAL, f"committed:{FENBROOK}:2024-25": TOTAL}
    (posted,) = (await read(funding, "/ledger/transactions"))["items"]
    assert (posted["kind"], posted["agreement_id"], posted["proposal_id"]) == ("commitment", signed["id"], None)


async def test_a_provider_has_one_agreement_per_year(funding: ServiceUnderTest) -> None:
    signed = await sign(funding)
    again = await funding.call("POST", "/agreements", role=Role.FINANCE_OFFICER, json=agreement_body())
    assert again.status_code == 409
    assert again.json()["agreement_id"] == signed["id"]
    await sign(funding, financial_year="2025-26")
    await sign(funding, "FICTHT002")


async def test_of_two_who_sign_at_once_one_does(funding: ServiceUnderTest) -> None:
    attempts = [funding.call("POST", "/agreements", role=Role.FINANCE_OFFICER, json=agreement_body()) for _ in range(4)]
    assert sorted([one.status_code for one in await asyncio.gather(*attempts)]) == [201, 409, 409, 409]
    assert (await balances(funding))["budget"] == -TOTAL


async def test_a_repeated_signing_with_its_key_gets_the_first_answer(funding: ServiceUnderTest) -> None:
    answers = [
        await funding.call(
            "POST",
            "/agreements",
            role=Role.FINANCE_OFFICER,
            headers={"Idempotency-Key": "sign-1"},
            json=agreement_body(),
        )
        for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_an_agreement_shows_what_was_adjusted_so_far_and_its_history(funding: ServiceUnderTest) -> None:
    signed = await sign(funding)
    for lever, pence in (("withhold", -100), ("improvement_grant", 30)):
        made = await propose(funding, signed["id"], lever=lever, amount_pence=pence)
        assert (await decide(funding, made["id"])).status_code == 200
    found = await read(funding, f"/agreements/{signed['id']}")
    assert found["lines"] == signed["lines"]
    assert (found["committed_pence"], found["adjusted_pence"], found["remaining_pence"]) == (TOTAL, -70, TOTAL - 70)
    assert found["by_lever"] == [
        {"lever": "improvement_grant", "pence": 30},
        {"lever": "withhold", "pence": -100},
    ]
    assert [(one["version"], one["change"], one["actor"]) for one in found["history"]] == [
        (1, "signed", "finance_officer-1"),
        (2, "adjusted", "finance_approver-1"),
        (3, "adjusted", "finance_approver-1"),
    ]
    assert found["version"] == 3


async def test_lists_are_filtered_and_paged_without_a_loss_or_a_double(funding: ServiceUnderTest) -> None:
    signed = [(await sign(funding, f"FICTHT00{number}"))["id"] for number in range(5)]
    await sign(funding, financial_year="2023-24", signed_on="2023-04-01")
    seen: list[str] = []
    cursor = {}
    while True:
        page = await read(funding, "/agreements", financial_year="2024-25", limit=2, **cursor)
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == signed
    of_one = await read(funding, "/agreements", provider="FICTHT001")
    assert [one["financial_year"] for one in of_one["items"]] == ["2024-25", "2023-24"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"financial_year": "2024-26"}, "body.financial_year"),
    ({"financial_year": "24-25"}, "body.financial_year"),
    ({"signed_on": "2025-04-01"}, "body.signed_on"),
    ({"signed_on": "0001-01-01"}, "body.signed_on"),
    ({"lines": []}, "body.lines"),
    ({"lines": [{"tariff_group": "clinical", "amount_pence": 1}] * 2}, "body.lines"),
    ({"lines": [{"tariff_group": "dental_core_specialty", "amount_pence": 1}]}, "body.lines"),
    ({"lines": [{"tariff_group": "clinical", "amount_pence": 0}]}, "body.lines.0.amount_pence"),
    ({"lines": [{"tariff_group": "clinical", "amount_pence": 1.0}]}, "body.lines.0.amount_pence"),
    ({"lines": [{"tariff_group": "clinical", "amount_pence": "1"}]}, "body.lines.0.amount_pence"),
    ({"lines": [{"tariff_group": "clinical", "amount_pence": True}]}, "body.lines.0.amount_pence"),
    ({"lines": [{"tariff_group": "clinical", "amount_pence": 10**30}]}, "body.lines.0.amount_pence"),
    ({"provider": {"ods_code": "nope", "name": "X", "kind": "hospital_trust"}}, "body.provider.ods_code"),
    ({"provider": {"ods_code": FENBROOK, "name": "a\x00b", "kind": "hospital_trust"}}, "body.provider.name"),
    ({"extra": 1}, "body.extra"),
]


async def test_an_agreement_that_cannot_be_is_refused_with_the_field_and_nothing_is_posted(
    funding: ServiceUnderTest,
) -> None:
    for changes, field in REFUSED:
        response = await funding.call("POST", "/agreements", role=Role.FINANCE_OFFICER, json=agreement_body(**changes))
        assert response.status_code == 422, changes
        assert [error["field"] for error in response.json()["errors"]] == [field], changes
    assert await balances(funding) == {"budget": 0}


async def test_who_may_not_manage_agreements_is_refused(funding: ServiceUnderTest) -> None:
    for role, status in ((Role.QUALITY_LEAD, 403), (Role.READER, 403), (None, 401)):
        response = await funding.call("POST", "/agreements", role=role, json=agreement_body())
        assert response.status_code == status
    assert (await funding.call("GET", "/agreements", role=None)).status_code == 401


ODD = [
    ("/agreements/0192f0c1-7a3e-7cc0-a1d5-3f1f0e2b9a10", 404),
    ("/proposals/0192f0c1-7a3e-7cc0-a1d5-3f1f0e2b9a10", 404),
    ("/agreements/nonsense", 422),
    ("/agreements?cursor=nonsense", 422),
    ("/agreements?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk", 422),
    ("/agreements?cursor=LTE", 422),
    ("/agreements?provider=%00", 422),
    ("/agreements?financial_year=2024", 422),
    ("/agreements?limit=0", 422),
    ("/proposals?state=nonsense", 422),
    ("/proposals?agreement_id=1", 422),
    ("/proposals?cursor=%F0%9F%98%80", 422),
    ("/waiting-outcomes?provider=x", 422),
    ("/ledger/accounts?kind=nonsense", 422),
    ("/ledger/transactions?agreement_id=nonsense", 422),
    ("/agreements?financial_year=2024-99", 200),
]


async def test_odd_input_is_answered_as_the_callers_error(funding: ServiceUnderTest) -> None:
    answers = [(path, (await funding.call("GET", path, role=Role.READER)).status_code) for path, _ in ODD]
    assert answers == ODD
