"""A proposal: a concern that the policy thinks there is, and what a person makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.intelligence.domain.concern import Concern
from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.proposal_policy import Then
from services.intelligence.domain.proposing import Draft, Evidence
from services.intelligence.domain.signals import Scope, SignalKind
from shared.contracts.concerns import ConcernDismissed, ConcernProposed, DismissalReason
from shared.reference.kinds import LearnerGroup, SourceKind
from shared.rules import RuleBroken
from shared.state_machine import Machine, Transition

#: Most flags and most items an event names: the contract's limit. The proposal itself keeps all.
_NAMED = 100


class ProposalState(StrEnum):
    """What has become of a proposal."""

    PROPOSED = "proposed"
    """It waits for a person. Until then it gathers what else points to the same scope."""
    ACCEPTED = "accepted"
    MERGED = "merged"
    """What it rests on went to a concern that was open already."""
    DISMISSED = "dismissed"
    RAISED_AT_ONCE = "raised_at_once"
    """The policy raised a concern without waiting for a person."""


class ProposalCommand(StrEnum):
    """What may be done to a proposal."""

    GATHER = "gather"
    ACCEPT = "accept"
    MERGE = "merge"
    DISMISS = "dismiss"
    RAISE_AT_ONCE = "raise_at_once"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed concern."""

    id: UUID
    provider: Organisation
    site_code: str | None
    programme: str | None
    learner_group: LearnerGroup | None
    standard_set: str
    #: In the order of the set.
    standards: tuple[str, ...]
    #: Codes of the policy's rules that hold, in the policy's order.
    rules: tuple[str, ...]
    policy_version: str
    proposed_on: date
    #: Oldest first.
    evidence: tuple[Evidence, ...]
    state: ProposalState = ProposalState.PROPOSED
    #: The concern that was raised from it, or that it was merged into.
    concern_id: UUID | None = None
    dismissal: DismissalReason | None = None
    decided_on: date | None = None
    version: int = 1

    @property
    def scope(self) -> Scope:
        """Where it lies."""
        return Scope(self.provider.ods_code, self.site_code, self.programme, self.learner_group)

    @property
    def source_kinds(self) -> list[SourceKind]:
        """The kinds of source it rests on, each once."""
        return list(dict.fromkeys(one.signal.source_kind for one in self.evidence))

    @property
    def item_ids(self) -> list[UUID]:
        """The items of intelligence it rests on, oldest first."""
        return self._ids(SignalKind.ITEM)

    @property
    def flag_ids(self) -> list[UUID]:
        """The flags it rests on, oldest first."""
        return self._ids(SignalKind.FLAG)

    @property
    def newest(self) -> Evidence:
        """The evidence of the latest day: what made it a proposal, or the last that was added."""
        return self.evidence[-1]

    def proposed(self, *, raised_at_once: bool = False) -> ConcernProposed:
        """The event of its proposal; ``raised_at_once`` where the policy does not wait for a person."""
        return ConcernProposed(
            proposal_id=self.id,
            provider=self.provider.ref,
            site_code=self.site_code,
            programme=self.programme,
            learner_group=self.learner_group,
            standard_set=self.standard_set,
            standards=list(self.standards),
            source_kinds=self.source_kinds,
            flag_ids=self.flag_ids[-_NAMED:],
            item_ids=self.item_ids[-_NAMED:],
            policy_version=self.policy_version,
            reasons=list(self.rules),
            proposed_on=self.proposed_on,
            raised_at_once=raised_at_once,
        )

    def gather(self, draft: Draft, standards: Sequence[str], order: Sequence[str]) -> "Proposal":
        """Rest on what a later draft of the same scope adds, too; itself if the draft adds nothing.

        ``order`` is the order of the policy's rules. Raises NotInThisState once it is decided.
        """
        MACHINE.move(self.state, ProposalCommand.GATHER, self, None)
        evidence = _together(self.evidence, draft.evidence, order)
        if evidence == self.evidence:
            return self
        return replace(
            self,
            evidence=evidence,
            rules=_in_order({*self.rules, *draft.rules}, order),
            standards=tuple(standards),
            policy_version=draft.policy_version,
            version=self.version + 1,
        )

    def raise_at_once(self, concern_id: UUID, on: date) -> "Proposal":
        """Note the concern that the policy raised without waiting. Raises NotInThisState once it is decided."""
        return self._decided(ProposalCommand.RAISE_AT_ONCE, None, on, concern_id=concern_id)

    def accept(self, concern_id: UUID, rationale: str, on: date) -> "Proposal":
        """Note the concern that a person raised from it.

        Raises NotInThisState once it is decided, RuleBroken without a rationale.
        """
        return self._decided(ProposalCommand.ACCEPT, rationale, on, concern_id=concern_id)

    def merge(self, concern: Concern, rationale: str, on: date) -> "Proposal":
        """Give what it rests on to an open concern, which takes it over.

        Raises NotInThisState once it is decided, RuleBroken without a rationale or for another provider's concern.
        """
        if concern.provider.ods_code != self.provider.ods_code:
            raise RuleBroken("concern_id", f"concern {concern.reference} is about another provider")
        return self._decided(ProposalCommand.MERGE, rationale, on, concern_id=concern.id)

    def dismiss(self, reason: DismissalReason, rationale: str, on: date) -> tuple["Proposal", ConcernDismissed]:
        """Set it aside. Raises NotInThisState once it is decided, RuleBroken without a rationale."""
        dismissed = self._decided(ProposalCommand.DISMISS, rationale, on, dismissal=reason)
        event = ConcernDismissed(
            proposal_id=self.id,
            provider=self.provider.ref,
            policy_version=self.policy_version,
            reason=reason,
            dismissed_on=on,
        )
        return dismissed, event

    def _decided(
        self,
        command: ProposalCommand,
        rationale: str | None,
        on: date,
        *,
        concern_id: UUID | None = None,
        dismissal: DismissalReason | None = None,
    ) -> "Proposal":
        return replace(
            self,
            state=MACHINE.move(self.state, command, self, rationale),
            concern_id=concern_id,
            dismissal=dismissal,
            decided_on=on,
            version=self.version + 1,
        )

    def _ids(self, kind: SignalKind) -> list[UUID]:
        return [UUID(one.signal.id) for one in self.evidence if one.signal.kind is kind]


#: All that may happen to a proposal. Only the clock of the policy acts without a reason: it states its rules.
MACHINE: Machine[ProposalState, Proposal] = Machine(
    "The proposal",
    ProposalState,
    initial=ProposalState.PROPOSED,
    transitions=[
        Transition(ProposalCommand.GATHER, [ProposalState.PROPOSED], None, needs_reason=False),
        Transition(
            ProposalCommand.RAISE_AT_ONCE, [ProposalState.PROPOSED], ProposalState.RAISED_AT_ONCE, needs_reason=False
        ),
        Transition(ProposalCommand.ACCEPT, [ProposalState.PROPOSED], ProposalState.ACCEPTED),
        Transition(ProposalCommand.MERGE, [ProposalState.PROPOSED], ProposalState.MERGED),
        Transition(ProposalCommand.DISMISS, [ProposalState.PROPOSED], ProposalState.DISMISSED),
    ],
    final=[
        ProposalState.ACCEPTED,
        ProposalState.MERGED,
        ProposalState.DISMISSED,
        ProposalState.RAISED_AT_ONCE,
    ],
)


def may_be_raised(draft: Draft) -> bool:
    """True if a draft says all that a concern needs, and the policy does not wait for a person."""
    return draft.then is Then.RAISE_AT_ONCE and bool(draft.scope.programme) and draft.scope.learner_group is not None


def _together(before: Sequence[Evidence], added: Sequence[Evidence], order: Sequence[str]) -> tuple[Evidence, ...]:
    """Both, each signal once in the form it has now, with all rules it is evidence for; oldest first."""
    codes: dict[tuple[SignalKind, str], set[str]] = {}
    newest: dict[tuple[SignalKind, str], Evidence] = {}
    for one in (*before, *added):
        key = (one.signal.kind, one.signal.id)
        codes.setdefault(key, set()).update(one.rules)
        newest[key] = one
    together = [Evidence(one.signal, _in_order(codes[key], order)) for key, one in newest.items()]
    return tuple(sorted(together, key=lambda one: (one.signal.on, *one.signal.identity)))


def _in_order(codes: set[str], order: Sequence[str]) -> tuple[str, ...]:
    """Codes in the order of the policy, then those that only an earlier version of it had."""
    place: Mapping[str, int] = {code: number for number, code in enumerate(order)}
    return tuple(sorted(codes, key=lambda code: (place.get(code, len(place)), code)))
