"""Signing a funding agreement."""

from datetime import datetime

from uuid_utils.compat import uuid7

from services.funding import changes, policies, views
from services.funding.bodies import SignAgreement
from services.funding.commands.refusals import unprocessable
from services.funding.domain import agreements as rules
from services.funding.domain import announcements
from services.funding.domain import ledger as book
from services.funding.domain import proposals as proposing
from services.funding.domain.agreements import Agreement, Line
from services.funding.domain.errors import RuleBroken
from services.funding.store import agreements, ledger, proposals, waiting
from shared.contracts.fields import ProviderRef
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.reference.financial_year import FinancialYear, InvalidFinancialYear
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.problems import Conflict, Unprocessable


async def sign(work: UnitOfWork, caller: Caller, body: SignAgreement) -> Answer:
    """Sign an agreement, commit its total in the ledger, and propose for the outcomes that waited for it.

    Raises Unprocessable for a year, line or day that cannot be, and Conflict if the provider has an agreement for the
    year.
    """
    agreement = _agreement(body)
    key = (agreement.provider.ods_code, agreement.year.label)
    await agreements.lock_years(work.connection, [key])
    existing = (await agreements.of_years(work.connection, [key])).get(key)
    if existing is not None:
        raise Conflict(
            f"{key[0]} has an agreement for {key[1]}: {existing.id}. Propose an adjustment to change what it gives.",
            extra={"agreement_id": str(existing.id)},
        )
    agreement = await agreements.add(work.connection, agreement)
    await ledger.post(work.connection, book.commitment(uuid7(), agreement), by=caller.subject, at=work.now)
    await history.record(work.connection, [_signed(work, caller, agreement)])
    await _propose_for_waiting(work, caller, agreement)
    standings = await ledger.standings(work.connection, [agreement.id])
    return Answer(
        views.agreement(agreement, standings[agreement.id]),
        status=201,
        version=agreement.version,
        location=f"/agreements/{agreement.id}",
    )


def _agreement(body: SignAgreement) -> Agreement:
    try:
        return rules.sign(
            agreement_id=uuid7(),
            provider=ProviderRef(**body.provider.model_dump()),
            year=FinancialYear.parse(body.financial_year),
            lines=[Line(line.tariff_group, line.amount_pence) for line in body.lines],
            signed_on=body.signed_on,
        )
    except RuleBroken as error:
        raise unprocessable(error) from error
    except InvalidFinancialYear as error:
        raise Unprocessable(str(error), errors=[("body.financial_year", str(error))]) from error


def _signed(work: UnitOfWork, caller: Caller, agreement: Agreement) -> Change:
    return Change(
        aggregate="agreement",
        aggregate_id=str(agreement.id),
        version=agreement.version,
        at=work.now,
        actor=caller.subject,
        change="signed",
        detail={"financial_year": agreement.year.label, "committed_pence": agreement.total_pence},
    )


async def _propose_for_waiting(work: UnitOfWork, caller: Caller, agreement: Agreement) -> None:
    found = await waiting.take(work.connection, agreement.provider.ods_code, agreement.year.label)
    if not found:
        return
    standing = (await ledger.standings(work.connection, [agreement.id]))[agreement.id]
    made: list[proposing.Proposal] = []
    recorded: list[Change] = []
    for arrival in (one.arrival for one in found):
        proposal = proposing.from_outcome(arrival, agreement, standing, policies.policy(), work.now)
        event_id = work.emit(
            announcements.proposed(proposal, agreement),
            key=agreement.provider.ods_code,
            correlation_id=proposal.correlation_id,
            causation_id=arrival.event_id,
        )
        made.append(proposal)
        recorded += [changes.proposed(proposal, event_id), _released(work.now, caller, arrival, agreement)]
    await proposals.add(work.connection, made)
    await history.record(work.connection, recorded)


def _released(at: datetime, caller: Caller, arrival: proposing.Arrival, agreement: Agreement) -> Change:
    return Change(
        aggregate="waiting_outcome",
        aggregate_id=str(arrival.outcome.outcome_id),
        version=2,
        at=at,
        actor=caller.subject,
        change="proposed_for",
        reason="the agreement for the year of the visit was signed",
        detail={"agreement_id": str(agreement.id), "proposal_id": str(arrival.proposal_id)},
    )
