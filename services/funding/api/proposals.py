"""Proposed adjustments and the decisions on them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.funding import queries
from services.funding.api.agreements import OfProvider
from services.funding.bodies import ApproveProposal, DeclineProposal, ProposeAdjustment
from services.funding.commands import proposals as commands
from services.funding.domain.proposals import ProposalState
from services.funding.views import ProposalDetail, ProposalView
from shared.security.roles import Permission
from shared.web.callers import Reader
from shared.web.commands import Command, command
from shared.web.etags import Expected, etag
from shared.web.pages import CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["proposals"])


Proposing = Annotated[Command, Depends(command(Permission.PROPOSE_ADJUSTMENT))]
Approving = Annotated[Command, Depends(command(Permission.APPROVE_ADJUSTMENT))]


@router.post("/proposals", status_code=201, response_model=ProposalView, summary="Propose an adjustment")
async def propose_adjustment(body: ProposeAdjustment, command: Proposing) -> Response:
    """By hand, where no policy does. Another person must approve it."""
    return await command.run(lambda work: commands.propose(work, command.caller, body))


@router.get("/proposals", response_model=Page[ProposalView], summary="List proposals")
async def list_proposals(
    connection: Reading,
    _: Reader,
    state: Annotated[ProposalState | None, Query(description="Only those that stand so.")] = None,
    provider: OfProvider = None,
    agreement_id: Annotated[UUID | None, Query(description="Only those of this agreement.")] = None,
    outcome_id: Annotated[UUID | None, Query(description="Only the one that follows from this outcome.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ProposalView]:
    """In the order they were made."""
    return await queries.list_proposals(
        connection,
        state=state,
        provider=provider,
        agreement_id=agreement_id,
        outcome_id=outcome_id,
        cursor=cursor,
        limit=limit,
    )


@router.get("/proposals/{proposal_id}", response_model=ProposalDetail, summary="Read a proposal")
async def get_proposal(proposal_id: UUID, connection: Reading, _: Reader, response: Response) -> ProposalDetail:
    """With its reasons, its history and the events behind it."""
    found = await queries.proposal(connection, proposal_id)
    response.headers["ETag"] = etag(found.version)
    return found


@router.post("/proposals/{proposal_id}/approval", response_model=ProposalView, summary="Approve a proposal")
async def approve_proposal(
    proposal_id: UUID, body: ApproveProposal, command: Approving, expected: Expected
) -> Response:
    """By another person than the proposer and than who recorded the outcome (403 otherwise). The money moves in the
    ledger; 409 if it is not there any more."""
    return await command.run(
        lambda work: commands.approve(work, command.caller, proposal_id, body, expected, command.pseudonym)
    )


@router.post("/proposals/{proposal_id}/decline", response_model=ProposalView, summary="Decline or withdraw a proposal")
async def decline_proposal(
    proposal_id: UUID, body: DeclineProposal, command: Proposing, expected: Expected
) -> Response:
    """An approver declines it, unless they recorded the outcome; the proposer withdraws it. No money moves."""
    return await command.run(
        lambda work: commands.decline(work, command.caller, proposal_id, body, expected, command.pseudonym)
    )
