"""What funding does with the outcomes of visits."""

import asyncio
import uuid
from datetime import date

from funding_cases import FENBROOK, RECORDER, TOTAL, decide, outcome, propose, read, sign

from shared.contracts.fields import AdjustmentReason, Category, FindingKind, Lever, ProviderRef
from shared.contracts.investments import InvestmentAdjusted, InvestmentProposed
from shared.contracts.outcomes import OutcomeRecorded
from shared.reference.kinds import ProviderKind
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

REQUIRED, AT_ONCE = FindingKind.MANDATORY_REQUIREMENT, FindingKind.IMMEDIATE_MANDATORY_REQUIREMENT


async def test_an_outcome_becomes_a_proposal_with_its_reasons_and_an_event(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    concern, event_id = uuid.uuid4(), uuid.uuid4()
    recorded = outcome(AT_ONCE, REQUIRED, category=Category.SIGNIFICANT, concern_ids=[concern])
    await funding.receive(recorded, key=FENBROOK, correlation_id=concern, event_id=event_id)

    (event,) = await funding.emitted(InvestmentProposed)
    assert event.outcome_id == recorded.outcome_id
    assert (event.lever, event.amount.pence, event.amount.currency) == (Lever.WITHHOLD, -TOTAL * 3 // 100, "GBP")
    assert event.reason is AdjustmentReason.QUALITY_OUTCOME
    assert event.policy_version == "funding-policy-1"
    assert event.reasons == [
        "requirement",
        "requirement-on-significant-concern",
        "immediate-mandatory-requirement",
    ]
    assert event.concern_ids == [concern]
    row = await funding.pool.fetchrow("select correlation_id, causation_id, key, event_id from outbox")
    assert row is not None
    assert (row["correlation_id"], row["causation_id"], row["key"]) == (concern, event_id, FENBROOK)

    found = await read(funding, f"/proposals/{event.proposal_id}")
    assert (found["state"], found["agreement_id"], found["proposed_by"]) == ("open", agreement["id"], None)
    assert found["reasons"] == event.reasons
    assert [(one["change"], one["actor"]) for one in found["history"]] == [("proposed", f"event:{event_id}")]
    assert found["events"] == [
        {"id": str(event_id), "type": "uk.nhs.quality.outcome.recorded.v1"},
        {"id": str(row["event_id"]), "type": "uk.nhs.quality.investment.proposed.v1"},
    ]
    # Nothing moves before a person approves.
    assert (await read(funding, f"/agreements/{agreement['id']}"))["remaining_pence"] == TOTAL


async def test_the_same_outcome_in_two_events_is_proposed_for_once(funding: ServiceUnderTest) -> None:
    await sign(funding)
    recorded = outcome(AT_ONCE)
    for _ in range(2):
        await funding.receive(recorded, key=FENBROOK)
    assert len(await funding.emitted(InvestmentProposed)) == 1
    assert len((await read(funding, "/proposals", outcome_id=recorded.outcome_id))["items"]) == 1


async def test_the_id_of_a_proposal_is_the_same_when_its_event_is_applied_anew(funding: ServiceUnderTest) -> None:
    await sign(funding)
    event_id = uuid.uuid4()
    await funding.receive(outcome(AT_ONCE), key=FENBROOK, event_id=event_id)
    (event,) = await funding.emitted(InvestmentProposed)
    assert event.proposal_id == uuid.uuid5(event_id, "proposal")


async def test_an_outcome_waits_for_its_agreement_and_is_proposed_for_on_signing(funding: ServiceUnderTest) -> None:
    concern, event_id = uuid.uuid4(), uuid.uuid4()
    recorded = outcome(REQUIRED, REQUIRED, REQUIRED, concern_ids=[concern])
    await funding.receive(recorded, key=FENBROOK, correlation_id=concern, event_id=event_id)
    await funding.receive(recorded, key=FENBROOK, correlation_id=concern)
    assert await funding.emitted(InvestmentProposed) == []
    (waiting,) = (await read(funding, "/waiting-outcomes"))["items"]
    assert (waiting["outcome_id"], waiting["financial_year"]) == (str(recorded.outcome_id), "2024-25")

    await sign(funding, financial_year="2025-26")
    await sign(funding, "FICTHT002")
    assert await funding.emitted(InvestmentProposed) == []

    agreement = await sign(funding)
    (event,) = await funding.emitted(InvestmentProposed)
    assert event.agreement_id == uuid.UUID(agreement["id"])
    assert event.proposal_id == uuid.uuid5(event_id, "proposal")
    assert (event.lever, event.amount.pence) == (Lever.WITHHOLD, -TOTAL // 100)
    row = await funding.pool.fetchrow("select correlation_id, causation_id from outbox")
    assert row is not None
    assert tuple(row) == (concern, event_id)
    assert (await read(funding, "/waiting-outcomes"))["items"] == []

    await funding.receive(recorded, key=FENBROOK)
    assert len(await funding.emitted(InvestmentProposed)) == 1


async def test_who_recorded_an_outcome_that_waited_may_not_approve_either(funding: ServiceUnderTest) -> None:
    await funding.receive(outcome(AT_ONCE), key=FENBROOK)
    await sign(funding)
    (event,) = await funding.emitted(InvestmentProposed)
    assert (await decide(funding, str(event.proposal_id), subject=RECORDER)).status_code == 403
    assert (await decide(funding, str(event.proposal_id))).status_code == 200


async def test_the_day_of_the_visit_decides_which_year_pays(funding: ServiceUnderTest) -> None:
    ended = await sign(funding, financial_year="2023-24", signed_on="2023-04-01")
    begun = await sign(funding)
    await funding.receive(outcome(AT_ONCE, visit_date=date(2024, 3, 31)), key=FENBROOK)
    await funding.receive(outcome(AT_ONCE, visit_date=date(2024, 4, 1)), key=FENBROOK)
    assert [str(one.agreement_id) for one in await funding.emitted(InvestmentProposed)] == [ended["id"], begun["id"]]


async def test_an_outcome_and_the_signing_of_its_agreement_never_pass_each_other(funding: ServiceUnderTest) -> None:
    for number in range(8):
        provider = f"FICTHT1{number:02}"
        await asyncio.gather(
            sign(funding, provider), funding.receive(outcome(AT_ONCE, provider=provider), key=provider)
        )
    assert (await read(funding, "/waiting-outcomes"))["items"] == []
    assert len(await funding.emitted(InvestmentProposed)) == 8


async def test_what_is_taken_is_rounded_towards_zero(funding: ServiceUnderTest) -> None:
    await sign(funding, lines=[{"tariff_group": "clinical", "amount_pence": 12_345_699}])
    await funding.receive(outcome(AT_ONCE), key=FENBROOK)
    (event,) = await funding.emitted(InvestmentProposed)
    # 300 basis points are 370370.97 pence.
    assert event.amount.pence == -370_370


async def test_what_an_earlier_adjustment_took_is_not_proposed_again(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    body = {
        "agreement_id": agreement["id"],
        "lever": "move_placements",
        "amount_pence": -TOTAL + 100,
        "reason": "workforce_planning",
        "note": "The programme moves to another provider.",
    }
    made = (await funding.call("POST", "/proposals", role=Role.FINANCE_OFFICER, json=body)).json()
    assert (await decide(funding, made["id"])).status_code == 200
    await funding.receive(outcome(AT_ONCE), key=FENBROOK)
    event = (await funding.emitted(InvestmentProposed))[-1]
    assert (event.lever, event.amount.pence, event.reasons[-1]) == (Lever.WITHHOLD, -100, "limited-to-what-remains")


async def test_an_outcome_of_a_day_far_off_waits_and_stops_nothing(funding: ServiceUnderTest) -> None:
    await funding.receive(outcome(AT_ONCE, visit_date=date(1, 1, 1)), key=FENBROOK)
    await funding.receive(outcome(AT_ONCE, visit_date=date(9999, 12, 31)), key=FENBROOK)
    assert len((await read(funding, "/waiting-outcomes"))["items"]) == 2


def named(recorded: OutcomeRecorded, name: str, kind: ProviderKind = ProviderKind.HOSPITAL_TRUST) -> OutcomeRecorded:
    return recorded.model_copy(update={"provider": ProviderRef(ods_code=FENBROOK, name=name, kind=kind)})


async def test_events_name_a_provider_as_the_last_event_about_it_did_whatever_the_agreement_says(
    funding: ServiceUnderTest,
) -> None:
    agreement = await sign(funding, name="Fenbrok Trust", kind="general_practice")
    by_hand = await propose(funding, agreement["id"])
    assert [one.provider.name for one in await funding.emitted(InvestmentProposed)] == ["Fenbrok Trust"]

    await funding.receive(named(outcome(AT_ONCE), "Fenbrook (fictional)"), key=FENBROOK)
    assert [one.provider.name for one in await funding.emitted(InvestmentProposed)][1:] == ["Fenbrook (fictional)"]

    # An outcome that is known already still says what the provider is called now.
    again = named(outcome(AT_ONCE), "Fenbrook and Aldmere (fictional)")
    for name in ("Fenbrook and Aldmere (fictional)", "Fenbrook University (fictional)"):
        await funding.receive(named(again, name), key=FENBROOK)
    assert (await decide(funding, by_hand["id"])).status_code == 200
    (adjusted,) = await funding.emitted(InvestmentAdjusted)
    assert adjusted.provider == named(again, "Fenbrook University (fictional)").provider
    answered = await read(funding, f"/agreements/{agreement['id']}")
    assert answered["provider"] == adjusted.provider.model_dump(mode="json")


async def test_an_agreement_signed_for_a_known_provider_is_told_of_under_its_known_name(
    funding: ServiceUnderTest,
) -> None:
    await funding.receive(named(outcome(AT_ONCE), "Fenbrook (fictional)"), key=FENBROOK)
    agreement = await sign(funding, name="Fenbrok Trust", kind="general_practice")
    assert agreement["provider"]["name"] == "Fenbrook (fictional)"
    (event,) = await funding.emitted(InvestmentProposed)
    assert (event.provider.name, event.provider.kind) == ("Fenbrook (fictional)", ProviderKind.HOSPITAL_TRUST)
