"""Agreements and proposals: what can be signed, who may decide, and what a decision makes of a proposal."""

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from services.funding.domain import agreements, announcements, proposals
from services.funding.domain.agreements import Agreement, InvalidAgreement, Line
from services.funding.domain.proposals import AlreadyDecided, FromOutcome, Proposal, ProposalState, SamePerson
from services.funding.domain.standing import DoesNotFitStanding, Standing
from shared.contracts.fields import MAX_PENCE, AdjustmentReason, Lever, ProviderRef
from shared.reference.financial_year import FinancialYear
from shared.reference.kinds import ProviderKind
from shared.reference.tariff_groups import TariffGroup

NOW = datetime(2024, 10, 1, 12, tzinfo=UTC)
YEAR = FinancialYear(2024)
RECORDER = "0" * 32


def sign(*lines: tuple[TariffGroup, int], year: FinancialYear = YEAR, signed_on: date = date(2024, 4, 1)) -> Agreement:
    return agreements.sign(
        agreement_id=uuid.uuid4(),
        provider=ProviderRef(
            ods_code="FICTHT001", name="Fenbrook University Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
        ),
        year=year,
        lines=[Line(group, pence) for group, pence in lines],
        signed_on=signed_on,
    )


def proposal(*, proposed_by: str | None = "officer", lever: Lever = Lever.WITHHOLD, pence: int = -100) -> Proposal:
    origin = None if proposed_by else FromOutcome(uuid.uuid4(), uuid.uuid4(), RECORDER, "funding-policy-1")
    return Proposal(
        id=uuid.uuid4(),
        agreement_id=uuid.uuid4(),
        lever=lever,
        pence=pence,
        reason=AdjustmentReason.QUALITY_OUTCOME,
        reasons=("requirement",),
        concern_ids=(),
        correlation_id=uuid.uuid4(),
        proposed_at=NOW,
        proposed_by=proposed_by,
        origin=origin,
    )


def test_the_total_of_an_agreement_is_the_sum_of_its_lines() -> None:
    signed = sign((TariffGroup.CLINICAL, 1), (TariffGroup.POSTGRADUATE_MEDICAL, 20))
    assert signed.total_pence == 21


def test_a_tariff_group_stands_in_an_agreement_once() -> None:
    with pytest.raises(InvalidAgreement, match="named twice") as refused:
        sign((TariffGroup.CLINICAL, 1), (TariffGroup.CLINICAL, 2))
    assert refused.value.field == "lines"


def test_the_dental_core_and_specialty_tariff_begins_with_2025_26() -> None:
    line = (TariffGroup.DENTAL_CORE_SPECIALTY, 1)
    with pytest.raises(InvalidAgreement, match="exists from 2025-26"):
        sign(line)
    assert sign(line, year=FinancialYear(2025)).total_pence == 1


def test_lines_may_not_add_up_to_more_than_an_event_can_say() -> None:
    with pytest.raises(InvalidAgreement, match="add up to"):
        sign((TariffGroup.CLINICAL, MAX_PENCE), (TariffGroup.POSTGRADUATE_MEDICAL, 1))


def test_an_agreement_is_signed_by_the_end_of_its_year() -> None:
    assert sign((TariffGroup.CLINICAL, 1), signed_on=date(2025, 3, 31)).signed_on == YEAR.end
    with pytest.raises(InvalidAgreement, match="by 2025-03-31"):
        sign((TariffGroup.CLINICAL, 1), signed_on=date(2025, 4, 1))


def test_the_proposer_may_not_approve() -> None:
    with pytest.raises(SamePerson, match="You proposed"):
        proposals.check_may_decide(proposal(), subject="officer", pseudonym="1" * 32)
    proposals.check_may_decide(proposal(), subject="approver", pseudonym="1" * 32)


def test_who_recorded_the_outcome_may_not_approve_what_follows_from_it() -> None:
    with pytest.raises(SamePerson, match="You recorded the outcome"):
        proposals.check_may_decide(proposal(proposed_by=None), subject="approver", pseudonym=RECORDER)
    proposals.check_may_decide(proposal(proposed_by=None), subject="approver", pseudonym="1" * 32)


def test_an_approval_closes_the_proposal_and_names_who_gave_it() -> None:
    approved = proposals.approve(proposal(), Standing(100, 100, {}), by="approver", now=NOW)
    assert (approved.state, approved.decided_by, approved.version) == (ProposalState.APPROVED, "approver", 2)


def test_a_proposal_for_which_the_money_is_gone_cannot_be_approved() -> None:
    with pytest.raises(DoesNotFitStanding, match="99 of 1000 pence are left"):
        proposals.approve(proposal(), Standing(1000, 99, {}), by="approver", now=NOW)


def test_the_proposer_withdraws_and_others_decline() -> None:
    assert proposals.decline(proposal(), by="officer", now=NOW).state is ProposalState.WITHDRAWN
    assert proposals.decline(proposal(), by="approver", now=NOW).state is ProposalState.DECLINED
    assert proposals.decline(proposal(proposed_by=None), by="approver", now=NOW).state is ProposalState.DECLINED


def test_a_proposal_is_decided_once() -> None:
    declined = proposals.decline(proposal(), by="approver", now=NOW)
    with pytest.raises(AlreadyDecided, match="declined already"):
        proposals.approve(declined, Standing(1000, 1000, {}), by="approver", now=NOW)
    with pytest.raises(AlreadyDecided):
        proposals.decline(declined, by="approver", now=NOW)


@pytest.mark.parametrize(
    ("wanted", "today", "expected"),
    [
        (date(2024, 6, 1), date(2024, 10, 1), date(2024, 6, 1)),
        (None, date(2024, 10, 1), date(2024, 10, 1)),
        (None, date(2024, 3, 1), date(2024, 4, 1)),
    ],
    ids=["as wanted", "today", "not before the year"],
)
def test_an_adjustment_counts_from_the_day_wanted_or_from_today(
    wanted: date | None, today: date, expected: date
) -> None:
    assert proposals.effective_day(YEAR, wanted, today) == expected


def test_an_adjustment_never_counts_from_before_its_year() -> None:
    with pytest.raises(proposals.InvalidEffectiveDay, match="2024-04-01") as refused:
        proposals.effective_day(YEAR, date(2024, 3, 31), date(2024, 10, 1))
    assert refused.value.field == "effective_on"


def test_a_proposal_is_dated_by_the_day_in_england() -> None:
    late_on_the_last_day_of_june_in_utc = datetime(2024, 6, 30, 23, 30, tzinfo=UTC)
    agreement = sign((TariffGroup.CLINICAL, 1_000))
    made = replace(proposal(), proposed_at=late_on_the_last_day_of_june_in_utc)
    assert announcements.proposed(made, agreement).proposed_on == date(2024, 7, 1)
