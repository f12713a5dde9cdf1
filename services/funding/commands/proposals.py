"""Proposing an adjustment by hand, and deciding on a proposal."""

from uuid import UUID

from uuid_utils.compat import uuid7

from services.funding import changes, views
from services.funding.bodies import ApproveProposal, DeclineProposal, ProposeAdjustment
from services.funding.commands.refusals import unprocessable
from services.funding.domain import announcements
from services.funding.domain import ledger as book
from services.funding.domain import proposals as deciding
from services.funding.domain.agreements import Agreement
from services.funding.domain.errors import RuleBroken
from services.funding.domain.proposals import Adjustment, AlreadyDecided, Proposal, SamePerson
from services.funding.domain.standing import DoesNotFitStanding
from services.funding.store import agreements, ledger, proposals
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.security.callers import Caller
from shared.security.roles import Permission
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import Conflict, Forbidden, NotFound, Unprocessable


async def propose(work: UnitOfWork, caller: Caller, body: ProposeAdjustment) -> Answer:
    """Propose an adjustment. Raises Unprocessable if there is no such agreement, or if lever, amount, reason and what
    is left of the agreement do not fit together."""
    agreement = await agreements.get(work.connection, body.agreement_id)
    if agreement is None:
        reason = f"There is no agreement {body.agreement_id}."
        raise Unprocessable(reason, errors=[("body.agreement_id", reason)])
    standings = await ledger.standings(work.connection, [agreement.id])
    try:
        proposal = deciding.by_hand(
            proposal_id=uuid7(),
            agreement=agreement,
            agreement_standing=standings[agreement.id],
            lever=body.lever,
            pence=body.amount_pence,
            reason=body.reason,
            concern_ids=body.concern_ids,
            note=body.note,
            proposed_by=caller.subject,
            now=work.now,
        )
    except RuleBroken as error:
        raise unprocessable(error) from error
    await proposals.add(work.connection, [proposal])
    event_id = work.emit(
        announcements.proposed(proposal, agreement),
        key=agreement.provider.ods_code,
        correlation_id=proposal.correlation_id,
    )
    await history.record(work.connection, [changes.proposed(proposal, event_id)])
    return Answer(
        views.proposal(proposal, agreement, None),
        status=201,
        version=proposal.version,
        location=f"/proposals/{proposal.id}",
    )


async def approve(
    work: UnitOfWork,
    caller: Caller,
    proposal_id: UUID,
    body: ApproveProposal,
    expected: ExpectedVersion,
    pseudonym: str,
) -> Answer:
    """Approve a proposal: post it to the ledger and tell of it. ``pseudonym`` is the caller's.

    Raises NotFound; Forbidden if the caller proposed it or recorded its outcome; PreconditionFailed;
    Conflict if it is decided already or the agreement has not enough left; Unprocessable for the day.
    """
    found, agreement = await _load(work, proposal_id)
    _require_another_person(found, caller, pseudonym)
    expected.require(found.version)
    standings = await ledger.standings(work.connection, [agreement.id])
    try:
        effective_on = deciding.effective_day(agreement.year, body.effective_on, work.today)
        proposal = deciding.approve(found, standings[agreement.id], by=caller.subject, now=work.now)
    except AlreadyDecided as error:
        raise _decided(found, error) from error
    except DoesNotFitStanding as error:
        raise Conflict(
            f"{error} Decline the proposal, or propose less.",
            extra={"available_pence": error.available_pence, "amount_pence": found.pence},
        ) from error
    except RuleBroken as error:
        raise unprocessable(error) from error

    transaction = book.adjustment(uuid7(), agreement, proposal.lever, proposal.pence, effective_on)
    adjustment = Adjustment(uuid7(), proposal.id, transaction.id, effective_on, caller.subject, work.now)
    await ledger.post(work.connection, transaction, by=caller.subject, at=work.now)
    await proposals.save_decision(work.connection, proposal)
    await proposals.add_adjustment(work.connection, adjustment)
    await agreements.raise_version(work.connection, agreement)
    event_id = work.emit(
        announcements.adjusted(proposal, agreement, adjustment),
        key=agreement.provider.ods_code,
        correlation_id=proposal.correlation_id,
    )
    await history.record(
        work.connection,
        [changes.adjusted(proposal, event_id, body.note), _agreement_adjusted(agreement, proposal, adjustment)],
    )
    return Answer(views.proposal(proposal, agreement, adjustment), version=proposal.version)


async def decline(
    work: UnitOfWork,
    caller: Caller,
    proposal_id: UUID,
    body: DeclineProposal,
    expected: ExpectedVersion,
    pseudonym: str,
) -> Answer:
    """Decline a proposal; its proposer withdraws it in the same way. ``pseudonym`` is the caller's.

    Raises NotFound; Forbidden if the caller neither proposed it nor may decide on it; PreconditionFailed; Conflict if
    it is decided already.
    """
    found, agreement = await _load(work, proposal_id)
    if caller.subject != found.proposed_by:
        if not caller.may(Permission.APPROVE_ADJUSTMENT):
            raise Forbidden(
                "Only its proposer may withdraw a proposal, and only who has the permission "
                f"{Permission.APPROVE_ADJUSTMENT.value} may decline it."
            )
        _require_another_person(found, caller, pseudonym)
    expected.require(found.version)
    try:
        proposal = deciding.decline(found, by=caller.subject, now=work.now)
    except AlreadyDecided as error:
        raise _decided(found, error) from error
    await proposals.save_decision(work.connection, proposal)
    event_id = work.emit(
        announcements.declined(proposal, agreement, work.today),
        key=agreement.provider.ods_code,
        correlation_id=proposal.correlation_id,
    )
    await history.record(work.connection, [changes.declined(proposal, event_id, body.reason)])
    return Answer(views.proposal(proposal, agreement, None), version=proposal.version)


async def _load(work: UnitOfWork, proposal_id: UUID) -> tuple[Proposal, Agreement]:
    proposal = await proposals.lock(work.connection, proposal_id)
    if proposal is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    agreement = await agreements.lock(work.connection, proposal.agreement_id)
    assert agreement is not None  # agreements are never deleted, and the proposal refers to this one
    return proposal, agreement


def _require_another_person(proposal: Proposal, caller: Caller, pseudonym: str) -> None:
    try:
        deciding.check_may_decide(proposal, subject=caller.subject, pseudonym=pseudonym)
    except SamePerson as error:
        raise Forbidden(str(error)) from error


def _decided(proposal: Proposal, error: AlreadyDecided) -> Conflict:
    return Conflict(str(error), extra={"state": proposal.state.value, "current_version": proposal.version})


def _agreement_adjusted(agreement: Agreement, proposal: Proposal, adjustment: Adjustment) -> Change:
    return Change(
        aggregate="agreement",
        aggregate_id=str(agreement.id),
        version=agreement.version + 1,
        at=adjustment.approved_at,
        actor=adjustment.approved_by,
        change="adjusted",
        detail={"proposal_id": str(proposal.id), "lever": proposal.lever.value, "pence": proposal.pence},
    )
