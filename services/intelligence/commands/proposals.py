"""What a person makes of a proposal: a concern, more of an open one, or nothing."""

from uuid import UUID

from uuid_utils.compat import uuid7

from services.intelligence.commands.changing import keep
from services.intelligence.commands.raising import NewConcern, raise_on_register
from services.intelligence.domain.proposal import Proposal
from services.intelligence.queries.proposals import proposal_view
from services.intelligence.store import concerns, items, proposals
from services.intelligence.views.proposals import AcceptProposal, DismissProposal, MergeProposal
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.rules import RuleBroken
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import NotFound
from shared.web.refusals import rules


async def accept_proposal(
    work: UnitOfWork, caller: Caller, proposal_id: UUID, expected: ExpectedVersion, body: AcceptProposal
) -> Answer:
    """Raise a concern from a proposal; it rests on the items the proposal rests on."""
    proposal = await _locked(work, proposal_id, expected)
    concern_id = uuid7()
    with rules():
        accepted = proposal.accept(concern_id, body.rationale, work.today)
        new = _concern(work, concern_id, proposal, body)
        await raise_on_register(work, caller.subject, new, body.rationale)
    return await _decided(work, caller, accepted, "accepted", body.rationale)


async def merge_proposal(
    work: UnitOfWork, caller: Caller, proposal_id: UUID, expected: ExpectedVersion, body: MergeProposal
) -> Answer:
    """Give what a proposal rests on to an open concern about the same provider."""
    proposal = await _locked(work, proposal_id, expected)
    before = await concerns.load_locked(work.connection, body.concern_id)
    with rules():
        if before is None:
            raise RuleBroken("concern_id", f"there is no concern {body.concern_id}")
        merged = proposal.merge(before, body.rationale, work.today)
        after, event = before.take_over_proposal(proposal.id, work.today, why=body.rationale)
    await items.link(work.connection, after.id, proposal.item_ids)
    await keep(work, caller.subject, before, after, called="took over a proposal", reason=body.rationale, event=event)
    return await _decided(work, caller, merged, "merged", body.rationale)


async def dismiss_proposal(
    work: UnitOfWork, caller: Caller, proposal_id: UUID, expected: ExpectedVersion, body: DismissProposal
) -> Answer:
    """Set a proposal aside. What comes later about the same scope proposes anew."""
    proposal = await _locked(work, proposal_id, expected)
    with rules():
        dismissed, event = proposal.dismiss(body.reason, body.rationale, work.today)
    work.emit(event, key=proposal.provider.ods_code, correlation_id=proposal.id)
    return await _decided(work, caller, dismissed, "dismissed", body.rationale)


def _concern(work: UnitOfWork, concern_id: UUID, proposal: Proposal, body: AcceptProposal) -> NewConcern:
    """The concern a person makes of a proposal. Raises RuleBroken where neither says what a concern needs."""
    programme = body.programme or proposal.programme
    learner_group = body.learner_group or proposal.learner_group
    if programme is None:
        raise RuleBroken("programme", "the proposal names none; say which programme it is about")
    if learner_group is None:
        raise RuleBroken("learner_group", "the proposal names none; say which learners it is about")
    newest = proposal.newest.signal
    return NewConcern(
        id=concern_id,
        provider_code=proposal.provider.ods_code,
        site_code=body.site_code if "site_code" in body.model_fields_set else proposal.site_code,
        programme=programme,
        learner_group=learner_group,
        standards=proposal.standards if body.standards is None else body.standards,
        source_kind=body.source_kind or newest.source_kind,
        source_date=min(newest.on, work.today),
        raised_on=work.today,
        summary=body.summary,
        action=body.action,
        item_ids=proposal.item_ids,
        proposal_id=proposal.id,
    )


async def _locked(work: UnitOfWork, proposal_id: UUID, expected: ExpectedVersion) -> Proposal:
    proposal = await proposals.load_locked(work.connection, proposal_id)
    if proposal is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    expected.require(proposal.version)
    return proposal


async def _decided(work: UnitOfWork, caller: Caller, proposal: Proposal, change: str, reason: str) -> Answer:
    await proposals.save(work.connection, [proposal])
    detail = {"concern_id": str(proposal.concern_id)} if proposal.concern_id else {"dismissal": proposal.dismissal}
    await history.record(
        work.connection,
        [
            Change(
                "proposal",
                str(proposal.id),
                proposal.version,
                work.now,
                caller.subject,
                change,
                reason,
                detail,
            )
        ],
    )
    return Answer(await proposal_view(work.connection, proposal), version=proposal.version)
