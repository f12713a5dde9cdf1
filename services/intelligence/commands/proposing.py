"""Applying the policy to what came in: concerns are proposed, and what cannot wait is raised at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from uuid_utils.compat import uuid7

from services.intelligence import policies
from services.intelligence.commands.raising import NewConcern, raise_on_register
from services.intelligence.domain import proposing
from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.proposal import Proposal, may_be_raised
from services.intelligence.domain.proposal_policy import ProposalPolicy
from services.intelligence.domain.proposing import Draft
from services.intelligence.domain.scope import require_standards
from services.intelligence.store import organisations, proposals, signals
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.reference.standards import CURRENT


@dataclass(slots=True)
class Considered:
    """What the policy made of the news."""

    proposed: list[Proposal] = field(default_factory=list[Proposal])
    #: Proposals that waited already and now rest on more.
    gathered: list[Proposal] = field(default_factory=list[Proposal])
    raised: list[Proposal] = field(default_factory=list[Proposal])

    def led_to_a_concern(self, item_id: UUID) -> bool:
        """True if a concern was raised at once that rests on this item."""
        return any(item_id in proposal.item_ids for proposal in self.raised)


async def consider(work: UnitOfWork, provider_codes: Collection[str] | None = None) -> Considered:
    """Apply the policy in force to all signals it was not applied to, about these providers or about any.

    Done twice it changes nothing: what was considered is no news any more. Call it in the transaction that brings the
    signals in, so that none is ever left unconsidered.
    """
    codes = await signals.providers_with_news(work.connection) if provider_codes is None else sorted(provider_codes)
    if not codes:
        return Considered()
    await signals.lock_providers(work.connection, codes)
    policy = policies.proposal_policy()
    news = await signals.news(work.connection, codes, policy)
    if not news:
        return Considered()
    drafts = proposing.drafts(policy, news, await signals.known(work.connection, codes, policy))
    done = await _carry_out(work, policy, drafts)
    await signals.mark_considered(work.connection, news)
    return done


async def _carry_out(work: UnitOfWork, policy: ProposalPolicy, drafts: Sequence[Draft]) -> Considered:
    done = Considered()
    if not drafts:
        return done
    codes = {draft.scope.provider_code for draft in drafts}
    register = await organisations.load(work.connection, codes)
    waiting = {one.scope.key: one for one in await proposals.waiting_locked(work.connection, codes)}
    order = [rule.code for rule in policy.rules]
    for draft in drafts:
        if may_be_raised(draft):
            done.raised.append(await _raise_at_once(work, policy, _proposal(work, register, draft)))
        elif (before := waiting.get(draft.scope.key)) is None:
            done.proposed.append(_proposal(work, register, draft))
        elif (more := before.gather(draft, _standards({*before.standards, *draft.standards}), order)) != before:
            done.gathered.append(more)
    await proposals.add(work.connection, [*done.proposed, *done.raised], work.now)
    await proposals.save(work.connection, done.gathered)
    for proposal in done.proposed:
        work.emit(proposal.proposed(), key=proposal.provider.ods_code, correlation_id=proposal.id)
    changes = [
        *((replace(proposal, version=1), "proposed") for proposal in (*done.proposed, *done.raised)),
        *((proposal, "gathered more") for proposal in done.gathered),
        *((proposal, "raised at once") for proposal in done.raised),
    ]
    await history.record(work.connection, [_change(work, policy, proposal, what) for proposal, what in changes])
    return done


def _change(work: UnitOfWork, policy: ProposalPolicy, proposal: Proposal, what: str) -> Change:
    return Change(
        aggregate="proposal",
        aggregate_id=str(proposal.id),
        version=proposal.version,
        at=work.now,
        actor=actor(policy.version),
        change=what,
        reason=reason(policy, proposal.rules),
        detail={"rules": list(proposal.rules), "evidence": [one.signal.id for one in proposal.evidence]},
    )


def _proposal(work: UnitOfWork, register: Mapping[str, Organisation], draft: Draft) -> Proposal:
    return Proposal(
        id=uuid7(),
        provider=register[draft.scope.provider_code],
        site_code=draft.scope.site_code,
        programme=draft.scope.programme,
        learner_group=draft.scope.learner_group,
        standard_set=CURRENT,
        standards=_standards(draft.standards),
        rules=draft.rules,
        policy_version=draft.policy_version,
        proposed_on=work.today,
        evidence=draft.evidence,
    )


async def _raise_at_once(work: UnitOfWork, policy: ProposalPolicy, proposal: Proposal) -> Proposal:
    """Raise a concern without waiting, in the name of the policy."""
    assert proposal.programme and proposal.learner_group  # a draft without them waits for a person
    newest = proposal.newest.signal
    concern_id = uuid7()
    work.emit(proposal.proposed(raised_at_once=True), key=proposal.provider.ods_code, correlation_id=concern_id)
    why = reason(policy, proposal.rules)
    await raise_on_register(
        work,
        actor(policy.version),
        NewConcern(
            id=concern_id,
            provider_code=proposal.provider.ods_code,
            site_code=proposal.site_code,
            programme=proposal.programme,
            learner_group=proposal.learner_group,
            standards=proposal.standards,
            source_kind=newest.source_kind,
            source_date=newest.on,
            raised_on=work.today,
            summary=why,
            action=None,
            item_ids=proposal.item_ids,
            proposal_id=proposal.id,
            raised_by_policy=policy.version,
        ),
        why,
    )
    return proposal.raise_at_once(concern_id, work.today)


def _standards(numbers: Iterable[str]) -> tuple[str, ...]:
    return tuple(require_standards(sorted(numbers)))


def actor(policy_version: str) -> str:
    """Who did it, for histories, where a policy acted and no person."""
    return f"policy:{policy_version}"


def reason(policy: ProposalPolicy, rules: Sequence[str]) -> str:
    """What the rules that hold say, for people."""
    return " ".join(rule.title for rule in policy.rules if rule.code in rules)
