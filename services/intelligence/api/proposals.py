"""Proposals over HTTP, and the policy that makes them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from services.intelligence import policies
from services.intelligence.commands import proposals as commands
from services.intelligence.domain.proposal import ProposalState
from services.intelligence.domain.proposal_policy import ProposalPolicy
from services.intelligence.queries import proposals as queries
from services.intelligence.store import proposals
from services.intelligence.views.proposals import (
    AcceptProposal,
    ConcernEvidenceView,
    DismissProposal,
    DuplicatesView,
    MergeProposal,
    ProposalSummary,
    ProposalView,
)
from shared.contracts.fields import Line, OdsCode
from shared.policies import UnknownPolicy
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import Command, command
from shared.web.etags import Expected, etag
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.problems import NotFound
from shared.web.queries import Reading

router = APIRouter(tags=["proposals"])

_cursor = Cursor[UUID](UUID)

#: A proposal is not substantiated: whoever manages concerns sees it, and nobody else.
_MANAGING = [Depends(allowed(Permission.MANAGE_CONCERNS))]
Managing = Annotated[Command, Depends(command(Permission.MANAGE_CONCERNS))]


@router.get("/proposals", summary="List proposals", dependencies=_MANAGING)
async def list_proposals(
    connection: Reading,
    provider: Annotated[OdsCode | None, Query(description="Only about this provider.")] = None,
    state: Annotated[ProposalState | None, Query(description="Only in this state, such as `proposed`.")] = None,
    rule: Annotated[Line | None, Query(description="Only where this rule of the policy holds.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ProposalSummary]:
    """Concerns that the policy proposes, in the order they were proposed."""
    found = await proposals.page(
        connection, provider=provider, state=state, rule=rule, after=_cursor.read(cursor), limit=limit + 1
    )
    return _cursor.page([queries.summary(one) for one in found], limit, lambda one: one.id)


@router.get("/proposals/{proposal_id}", summary="One proposal", dependencies=_MANAGING)
async def get_proposal(connection: Reading, proposal_id: UUID, response: Response) -> ProposalView:
    """A proposal: what it rests on, back to file and line, the open concerns it may be, and earlier decisions."""
    found = await queries.proposal(connection, proposal_id)
    response.headers["ETag"] = etag(found.version)
    return found


@router.post("/proposals/{proposal_id}/acceptance", summary="Accept: raise a concern", response_model=ProposalView)
async def accept_proposal(proposal_id: UUID, body: AcceptProposal, command: Managing, expected: Expected) -> Response:
    """Raise a concern from it, resting on the same items. `concern.raised` follows."""
    return await command.run(lambda work: commands.accept_proposal(work, command.caller, proposal_id, expected, body))


@router.post("/proposals/{proposal_id}/merger", summary="Merge into an open concern", response_model=ProposalView)
async def merge_proposal(proposal_id: UUID, body: MergeProposal, command: Managing, expected: Expected) -> Response:
    """Give what it rests on to an open concern about the same provider. `concern.merged` follows."""
    return await command.run(lambda work: commands.merge_proposal(work, command.caller, proposal_id, expected, body))


@router.post("/proposals/{proposal_id}/dismissal", summary="Dismiss", response_model=ProposalView)
async def dismiss_proposal(proposal_id: UUID, body: DismissProposal, command: Managing, expected: Expected) -> Response:
    """Set it aside, with a reason. `concern.dismissed` follows; what comes later of the same scope proposes anew."""
    return await command.run(lambda work: commands.dismiss_proposal(work, command.caller, proposal_id, expected, body))


@router.get(
    "/concerns/{concern_id}/evidence",
    summary="What a concern rests on",
    dependencies=_MANAGING,
)
async def get_evidence(connection: Reading, concern_id: UUID) -> ConcernEvidenceView:
    """The flags and items a concern rests on, back to the file and line each came from."""
    return await queries.evidence_of(connection, concern_id)


@router.get("/concerns/{concern_id}/duplicates", summary="What may be the same", dependencies=_MANAGING)
async def get_duplicates(connection: Reading, concern_id: UUID) -> DuplicatesView:
    """Other open concerns, and waiting proposals, of the same or a near scope: to merge, or to leave apart."""
    return await queries.duplicates_of(connection, concern_id)


@router.get(
    "/policies/proposals/{version}", summary="A version of the policy", dependencies=[Depends(allowed(Permission.READ))]
)
async def get_policy(version: Annotated[Line, Path(description="Such as `proposal-policy-1`.")]) -> ProposalPolicy:
    """The rules by which concerns are proposed, as they were in this version; `current` is the one in force."""
    try:
        return policies.proposal_policy(None if version == "current" else version)
    except UnknownPolicy as error:
        raise NotFound(str(error)) from error
