"""Proposing by hand, approving and declining over HTTP."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from funding_cases import FENBROOK, RECORDER, TOTAL, balances, decide, outcome, proposal_body, propose, read, sign

from shared.contracts.fields import FindingKind
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

OFFICER, APPROVER = "finance_officer-1", "finance_approver-1"


@asynccontextmanager
async def all_at_once(funding: ServiceUnderTest, agreement_id: str, count: int) -> AsyncGenerator[None]:
    """Lets the requests that are begun inside go on only when all of them stand in line for what they change."""
    async with funding.pool.acquire() as holder, holder.transaction():
        await holder.execute("select from agreements where id = $1 for update", uuid.UUID(agreement_id))
        yield
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(20):
            while await funding.pool.fetchval(waiting) < count:  # noqa: ASYNC110 the database sends no signal
                await asyncio.sleep(0.01)


async def test_an_approved_proposal_moves_the_money_and_tells_of_it(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    concern = uuid.uuid4()
    made = await propose(funding, agreement["id"], concern_ids=[str(concern)])
    response = await decide(funding, made["id"], body={"effective_on": "2024-11-01", "note": "Agreed."})
    assert response.status_code == 200, response.text
    assert response.headers["ETag"] == '"2"'
    approved = response.json()
    assert (approved["state"], approved["decided_by"]) == ("approved", APPROVER)

    (event,) = await funding.emitted(InvestmentAdjusted)
    adjustment = approved["adjustment"]
    assert (str(event.adjustment_id), str(event.ledger_transaction_id)) == (
        adjustment["id"],
        adjustment["ledger_transaction_id"],
    )
    assert (event.amount.pence, event.effective_on.isoformat()) == (-50_000_00, "2024-11-01")
    assert event.concern_ids == [concern]
    assert set(await funding.pool.fetch("select distinct correlation_id from outbox")) == {(concern,)}

    assert await balances(funding) == {
        "budget": -TOTAL,
        f"committed:{FENBROOK}:2024-25": TOTAL - 50_000_00,
        f"withheld:{FENBROOK}:2024-25": 50_000_00,
    }
    posted = (await read(funding, "/ledger/transactions"))["items"][-1]
    assert (posted["id"], posted["adjustment_id"], posted["proposal_id"]) == (
        adjustment["ledger_transaction_id"],
        adjustment["id"],
        made["id"],
    )
    found = await read(funding, f"/proposals/{made['id']}")
    assert [(one["change"], one["actor"], one["reason"]) for one in found["history"]] == [
        ("proposed", OFFICER, "Supervision was not put right."),
        ("approved", APPROVER, "Agreed."),
    ]
    assert [one["type"] for one in found["events"]] == [
        "uk.nhs.quality.investment.proposed.v1",
        "uk.nhs.quality.investment.adjusted.v1",
    ]


async def test_an_adjustment_without_money_is_a_memo_in_the_ledger(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    made = await propose(funding, agreement["id"], lever="action_plan", amount_pence=0)
    approved = (await decide(funding, made["id"])).json()
    posted = (await read(funding, "/ledger/transactions"))["items"][-1]
    assert (posted["id"], posted["kind"], posted["entries"]) == (
        approved["adjustment"]["ledger_transaction_id"],
        "memo",
        [],
    )
    (event,) = await funding.emitted(InvestmentAdjusted)
    assert event.amount.pence == 0
    assert await read(funding, "/ledger/balance") == {"balanced": True, "sum_pence": 0}


async def test_the_proposer_may_not_approve_their_own_proposal(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    made = await propose(funding, agreement["id"])
    response = await decide(funding, made["id"], subject=OFFICER)
    assert response.status_code == 403
    assert "You proposed" in response.json()["detail"]
    assert await funding.emitted(InvestmentAdjusted) == []


async def test_who_recorded_the_outcome_may_neither_approve_nor_decline(funding: ServiceUnderTest) -> None:
    await sign(funding)
    await funding.receive(outcome(FindingKind.IMMEDIATE_MANDATORY_REQUIREMENT), key=FENBROOK)
    (event,) = await funding.emitted(InvestmentProposed)
    for decision in ("approval", "decline"):
        response = await decide(funding, str(event.proposal_id), decision, subject=RECORDER)
        assert response.status_code == 403
        assert "You recorded the outcome" in response.json()["detail"]
    assert (await decide(funding, str(event.proposal_id))).status_code == 200


async def test_a_role_that_may_not_approve_is_refused(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    for role in (Role.FINANCE_OFFICER, Role.QUALITY_LEAD, Role.READER):
        assert (await decide(funding, made["id"], role=role, subject="another")).status_code == 403, role
    assert await funding.emitted(InvestmentAdjusted) == []


async def test_a_decision_says_which_version_it_was_made_for(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    assert (await decide(funding, made["id"], version=None)).status_code == 428
    stale = await decide(funding, made["id"], version=7)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 1)
    assert (await decide(funding, made["id"], "decline", version=None)).status_code == 428
    assert (await decide(funding, made["id"])).status_code == 200


async def test_an_approval_sent_again_with_its_key_moves_the_money_once(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    answers = [await decide(funding, made["id"], key="approve-1") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 200]
    assert answers[0].json() == answers[2].json()
    assert len(await funding.emitted(InvestmentAdjusted)) == 1
    assert (await balances(funding))[f"withheld:{FENBROOK}:2024-25"] == 50_000_00


async def test_of_approvers_at_once_one_moves_the_money(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    made = await propose(funding, agreement["id"])
    async with all_at_once(funding, agreement["id"], 5):
        attempts = [asyncio.create_task(decide(funding, made["id"], subject=f"approver-{n}")) for n in range(5)]
    answers = await asyncio.gather(*attempts)
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412, 412]
    assert len(await funding.emitted(InvestmentAdjusted)) == 1
    assert (await balances(funding))[f"withheld:{FENBROOK}:2024-25"] == 50_000_00


async def test_approvals_at_once_never_take_an_agreement_below_zero(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    made = [await propose(funding, agreement["id"], amount_pence=-300_000_00) for _ in range(5)]
    async with all_at_once(funding, agreement["id"], 5):
        attempts = [asyncio.create_task(decide(funding, one["id"])) for one in made]
    answers = await asyncio.gather(*attempts)
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 409, 409]
    refused = next(one for one in answers if one.status_code == 409).json()
    assert (refused["available_pence"], refused["amount_pence"]) == (100_000_00, -300_000_00)
    assert (await read(funding, f"/agreements/{agreement['id']}"))["remaining_pence"] == 100_000_00
    assert len(await funding.emitted(InvestmentAdjusted)) == 3


async def test_a_decided_proposal_stays_as_it_is(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    assert (await decide(funding, made["id"], "decline")).status_code == 200
    for decision in ("approval", "decline"):
        again = await decide(funding, made["id"], decision, version=2)
        assert (again.status_code, again.json()["state"]) == (409, "declined")


async def test_a_declined_proposal_moves_nothing_and_tells_of_it(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    declined = (await decide(funding, made["id"], "decline", body={"reason": "Met on 1 October."})).json()
    assert (declined["state"], declined["adjustment"]) == ("declined", None)
    (event,) = await funding.emitted(InvestmentDeclined)
    assert str(event.proposal_id) == made["id"]
    assert "Met on" not in event.model_dump_json()
    assert (await balances(funding))[f"committed:{FENBROOK}:2024-25"] == TOTAL
    history = (await read(funding, f"/proposals/{made['id']}"))["history"]
    assert history[-1]["reason"] == "Met on 1 October."


async def test_a_proposer_withdraws_their_own_and_no_other_officer_does(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    other = await decide(funding, made["id"], "decline", role=Role.FINANCE_OFFICER, subject="finance-officer-2")
    assert other.status_code == 403
    own = await decide(funding, made["id"], "decline", role=Role.FINANCE_OFFICER, subject=OFFICER)
    assert own.json()["state"] == "withdrawn"
    assert len(await funding.emitted(InvestmentDeclined)) == 1


async def test_what_was_withheld_can_be_given_back_and_no_more(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    made = await propose(funding, agreement["id"])
    await decide(funding, made["id"])
    too_much = proposal_body(agreement["id"], amount_pence=50_000_01, reason="quality_reinstatement")
    refused = await funding.call("POST", "/proposals", role=Role.FINANCE_OFFICER, json=too_much)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.amount_pence")
    back = await propose(funding, agreement["id"], amount_pence=50_000_00, reason="quality_reinstatement")
    assert (await decide(funding, back["id"])).status_code == 200
    assert (await balances(funding))[f"withheld:{FENBROOK}:2024-25"] == 0


async def test_without_a_day_an_adjustment_counts_from_today(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    approved = (await decide(funding, made["id"], body={})).json()
    assert approved["adjustment"]["effective_on"] == approved["adjustment"]["approved_at"][:10]


async def test_an_adjustment_cannot_count_from_before_its_year(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    response = await decide(funding, made["id"], body={"effective_on": "2024-03-31"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "body.effective_on")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"amount_pence": 1}, "body.amount_pence"),
    ({"amount_pence": 0}, "body.amount_pence"),
    ({"amount_pence": -TOTAL - 1}, "body.amount_pence"),
    ({"amount_pence": -1.5}, "body.amount_pence"),
    ({"amount_pence": "-1"}, "body.amount_pence"),
    ({"amount_pence": -(10**30)}, "body.amount_pence"),
    ({"lever": "action_plan"}, "body.amount_pence"),
    ({"lever": "improvement_grant"}, "body.amount_pence"),
    ({"lever": "suspend", "reason": "workforce_planning"}, "body.reason"),
    ({"lever": "nonsense"}, "body.lever"),
    ({"agreement_id": "0192f0c1-7a3e-7cc0-a1d5-3f1f0e2b9a10"}, "body.agreement_id"),
    ({"note": "   "}, "body.note"),
    ({"note": "a\x00b"}, "body.note"),
    ({"concern_ids": ["x"]}, "body.concern_ids.0"),
    ({"proposed_by": "me"}, "body.proposed_by"),
]


async def test_a_proposal_that_cannot_be_is_refused_with_the_field(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    for changes, field in REFUSED:
        body = {**proposal_body(agreement["id"]), **changes}
        response = await funding.call("POST", "/proposals", role=Role.FINANCE_OFFICER, json=body)
        assert response.status_code == 422, changes
        assert [error["field"] for error in response.json()["errors"]] == [field], changes
    assert await funding.emitted(InvestmentProposed) == []


async def test_who_may_not_propose_is_refused(funding: ServiceUnderTest) -> None:
    body = proposal_body((await sign(funding))["id"])
    response = await funding.call("POST", "/proposals", role=Role.QUALITY_LEAD, json=body)
    assert response.status_code == 403


async def test_proposals_are_filtered_by_state_and_provider_and_paged(funding: ServiceUnderTest) -> None:
    agreement, other = await sign(funding), await sign(funding, "FICTHT002")
    made = [(await propose(funding, agreement["id"]))["id"] for _ in range(4)]
    elsewhere = (await propose(funding, other["id"]))["id"]
    await decide(funding, made[0])
    first = await read(funding, "/proposals", state="open", provider=FENBROOK, limit=2)
    second = await read(funding, "/proposals", state="open", provider=FENBROOK, limit=2, cursor=first["next"])
    assert [one["id"] for one in first["items"] + second["items"]] == made[1:]
    assert second["next"] is None
    assert [one["id"] for one in (await read(funding, "/proposals", agreement_id=other["id"]))["items"]] == [elsewhere]


async def test_nothing_that_names_a_person_or_their_words_is_in_an_event(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"], note="Dr Testbrook told us in confidence.")
    await decide(funding, made["id"], body={"note": "Dr Testbrook agrees."})
    for row in await funding.pool.fetch("select data from outbox"):
        for private in ("Testbrook", OFFICER, APPROVER):
            assert private not in row["data"]
