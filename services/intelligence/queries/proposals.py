"""What the service answers of proposals: what they rest on, down to file and line, and what they may be the same as."""

from collections.abc import Sequence
from uuid import UUID

from services.intelligence import policies
from services.intelligence.domain.concern import Concern, Status
from services.intelligence.domain.proposal import Proposal, ProposalState
from services.intelligence.domain.proposing import Evidence
from services.intelligence.domain.signals import Closeness, Scope, SignalKind, closeness
from services.intelligence.store import concerns, items, proposals, signals
from services.intelligence.store.concerns import Search
from services.intelligence.store.signals import Origin
from services.intelligence.views.proposals import (
    ConcernEvidenceView,
    DuplicatesView,
    DuplicateView,
    EarlierView,
    EvidenceView,
    FileLineView,
    ProposalSummary,
    ProposalView,
    RuleView,
)
from shared.persistence.pool import Connection
from shared.web.changes import changes_of
from shared.web.problems import NotFound

#: Most open concerns of one provider that are compared; an office has some dozens in all.
_COMPARED = 1_000


async def proposal(connection: Connection, proposal_id: UUID) -> ProposalView:
    """A proposal with all it rests on. Raises NotFound."""
    found = await proposals.load(connection, proposal_id)
    if found is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    return await proposal_view(connection, found)


async def proposal_view(connection: Connection, found: Proposal) -> ProposalView:
    """A proposal that was loaded, with all it rests on."""
    others = await proposals.of_provider(connection, found.provider.ods_code)
    return ProposalView(
        **summary(found).model_dump(),
        evidence=await _evidence(connection, found.evidence),
        duplicates=await _duplicates(connection, found.scope, None),
        earlier=[
            EarlierView(
                proposal_id=one.id,
                state=one.state,
                dismissal=one.dismissal,
                decided_on=one.decided_on,
                concern_id=one.concern_id,
            )
            for one in others
            if one.id < found.id and one.scope.key == found.scope.key
        ],
        history=await changes_of(connection, "proposal", found.id),
    )


def summary(found: Proposal) -> ProposalSummary:
    """A proposal as it stands in a list."""
    return ProposalSummary(
        id=found.id,
        state=found.state,
        provider=found.provider.ref,
        site_code=found.site_code,
        programme=found.programme,
        learner_group=found.learner_group,
        standard_set=found.standard_set,
        standards=list(found.standards),
        rules=[RuleView(code=code, title=_title(found.policy_version, code)) for code in found.rules],
        policy_version=found.policy_version,
        source_kinds=found.source_kinds,
        proposed_on=found.proposed_on,
        decided_on=found.decided_on,
        dismissal=found.dismissal,
        concern_id=found.concern_id,
        version=found.version,
    )


async def evidence_of(connection: Connection, concern_id: UUID) -> ConcernEvidenceView:
    """What a concern rests on: its proposals' evidence, and the items linked to it. Raises NotFound."""
    concern = await concerns.load(connection, concern_id)
    if concern is None:
        raise NotFound(f"There is no concern {concern_id}.")
    led = await proposals.of_concern(connection, concern_id)
    evidence = {(one.signal.kind, one.signal.id): one for proposal in led for one in proposal.evidence}
    for item in await items.of_concern(connection, concern_id):
        signal = signals.of_linked(item)
        evidence.setdefault((signal.kind, signal.id), Evidence(signal, ()))
    in_order = sorted(evidence.values(), key=lambda one: (one.signal.on, *one.signal.identity))
    return ConcernEvidenceView(
        concern_id=concern_id,
        proposals=[proposal.id for proposal in led],
        evidence=await _evidence(connection, in_order),
    )


async def duplicates_of(connection: Connection, concern_id: UUID) -> DuplicatesView:
    """What may be the same as a concern. Raises NotFound."""
    concern = await concerns.load(connection, concern_id)
    if concern is None:
        raise NotFound(f"There is no concern {concern_id}.")
    scope = scope_of(concern)
    waiting = await proposals.of_provider(connection, concern.provider.ods_code)
    return DuplicatesView(
        concerns=await _duplicates(connection, scope, concern.id),
        proposals=[
            one.id
            for one in waiting
            if one.state is ProposalState.PROPOSED and closeness(one.scope, scope) in (Closeness.SAME, Closeness.WITHIN)
        ],
    )


def scope_of(concern: Concern) -> Scope:
    """Where a concern lies."""
    return Scope(concern.provider.ods_code, concern.site_code, concern.programme, concern.learner_group)


async def _duplicates(connection: Connection, scope: Scope, besides: UUID | None) -> list[DuplicateView]:
    search = Search(provider=scope.provider_code, status=Status.OPEN)
    found = await concerns.page(connection, search, after=None, limit=_COMPARED)
    near = [
        (nearness, concern)
        for concern in found
        if concern.id != besides and (nearness := closeness(scope, scope_of(concern))) is not None
    ]
    return [
        DuplicateView(
            concern_id=concern.id,
            reference=concern.reference,
            closeness=nearness,
            site_code=concern.site_code,
            programme=concern.programme,
            learner_group=concern.learner_group,
            category=concern.category,
            raised_on=concern.raised_on,
            status=concern.status,
        )
        for nearness, concern in sorted(near, key=lambda pair: (pair[0].rank, pair[1].id))
    ]


async def _evidence(connection: Connection, evidence: Sequence[Evidence]) -> list[EvidenceView]:
    origins = await signals.origins(connection, [one.signal for one in evidence])
    return [_evidence_view(one, origins.get(one.signal.id)) for one in evidence]


def _evidence_view(one: Evidence, origin: Origin | None) -> EvidenceView:
    signal = one.signal
    return EvidenceView(
        kind=signal.kind,
        id=UUID(signal.id),
        href=f"/{'flags' if signal.kind is SignalKind.FLAG else 'intelligence'}/{signal.id}",
        rules=list(one.rules),
        source_kind=signal.source_kind,
        on=signal.on,
        site_code=signal.scope.site_code,
        programme=signal.scope.programme,
        learner_group=signal.scope.learner_group,
        standards=sorted(signal.standards),
        marks=sorted(signal.marks),
        file=FileLineView.model_validate(origin, from_attributes=True) if origin and origin.file_id else None,
        holds=origin is not None and origin.revision == signal.revision and origin.holds,
    )


def _title(version: str, code: str) -> str:
    """What a rule says; its code where an earlier version of the policy had it and this one has not."""
    rules = policies.proposal_policy(version).rules
    return next((rule.title for rule in rules if rule.code == code), code)
