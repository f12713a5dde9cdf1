"""The stages held against each other and against their events: every effect there, and there once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from deploy.verify.delivery_checks import Service
from deploy.verify.findings import Finding, Kind, found
from deploy.verify.topic_log import Told, TopicLog, place
from services.funding.domain.proposals import ProposalState
from services.notify.store.deliveries import State
from services.visits.domain.requirement import RequirementState
from services.visits.policies import visit_policy
from shared.contracts.concerns import (
    ConcernClosed,
    ConcernCorrected,
    ConcernDeEscalated,
    ConcernDismissed,
    ConcernEscalated,
    ConcernMerged,
    ConcernProposed,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
    ExitConditionSet,
    ExitConditionSettled,
)
from shared.contracts.fields import Category, EventData
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model
from shared.contracts.training import TrainingRestored, TrainingSuspended
from shared.contracts.visits import VisitCancelled, VisitRequired, VisitScheduled
from shared.reference.office_day import office_day

if TYPE_CHECKING:
    from datetime import datetime

    from services.funding.store.facts import Facts as Funding
    from services.intelligence.store.facts import ConcernFacts
    from services.intelligence.store.facts import Facts as Intelligence
    from services.notify.store.facts import Facts as Notify
    from services.visits.domain.concern import Concern
    from services.visits.domain.requirement import Requirement
    from services.visits.store.facts import Facts as Visits

#: How often each subject must have been told of, by the model of the event.
Expected = Mapping[type[EventData], Mapping[UUID, int]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a stage has accepted, and what it reacts to."""

    service: Service
    types: Collection[str]
    #: Events that an operator discarded: they have no effect.
    discarded: Collection[UUID]

    @classmethod
    def by(cls, service: Service, types: Collection[str]) -> Heard:
        """What a service hears of the topics."""
        letters = service.facts.letters
        return cls(service, types, {one.event_id for one in letters if one.event_id and one.status == "discarded"})

    def accepted(self, event_id: UUID, told: Told) -> bool:
        """True if the stage's database says that it has taken this event in and must show its effect."""
        if told.type not in self.types or event_id in self.discarded:
            return False
        position = self.service.facts.positions.get(told.stream)
        return position is not None and (position.baseline or 0) <= told.sequence <= position.last_sequence


# What a stage's state says was told ----------------------------------------------------------------------------------


def told_by_intelligence(facts: Intelligence) -> Expected:
    """The events that the register's concerns and the proposals of others have been through."""
    every = facts.concerns.values()
    return {
        ConcernRaised: {concern.id: 1 for concern in every},
        ConcernRated: {concern.id: concern.rated for concern in every},
        ConcernClosed: {concern.id: concern.closed for concern in every},
        ConcernReopened: {concern.id: concern.reopened for concern in every},
        ConcernEscalated: {concern.id: concern.escalated for concern in every},
        ConcernDeEscalated: {concern.id: concern.de_escalated for concern in every},
        ConcernCorrected: {concern.id: concern.corrected for concern in every},
        ConcernMerged: {concern.id: concern.took_over for concern in every},
        ExitConditionSet: dict.fromkeys(facts.conditions, 1),
        ExitConditionSettled: facts.conditions,
        ConcernProposed: dict.fromkeys(facts.proposals, 1),
        ConcernDismissed: {proposal: int(dismissed) for proposal, dismissed in facts.proposals.items()},
        TrainingSuspended: dict.fromkeys(facts.suspensions, 1),
        TrainingRestored: {suspension: int(ended) for suspension, ended in facts.suspensions.items()},
    }


def told_by_visits(facts: Visits) -> Expected:
    """The events of visits and outcomes. How often a requirement was announced, its state does not say."""
    return {
        VisitScheduled: dict.fromkeys(facts.visits, 1),
        VisitCancelled: {visit: int(cancelled) for visit, cancelled in facts.visits.items()},
        OutcomeRecorded: dict.fromkeys(facts.outcomes, 1),
    }


def told_by_funding(facts: Funding) -> Expected:
    """The events of proposals and adjustments."""
    declined = (ProposalState.DECLINED, ProposalState.WITHDRAWN)
    return {
        InvestmentProposed: dict.fromkeys(facts.proposals, 1),
        InvestmentAdjusted: {adjustment.id: 1 for adjustment in facts.adjustments},
        InvestmentDeclined: {one.id: int(one.state in declined) for one in facts.proposals.values()},
    }


def told_by_notify(facts: Notify) -> Expected:
    """The events of messages."""
    return {
        NotificationDelivered: {one.id: int(one.state is State.SENT) for one in facts.deliveries},
        NotificationFailed: {one.id: one.failed for one in facts.deliveries},
    }


def announcements(service: Service, expected: Expected, log: TopicLog, required: Collection[UUID]) -> Iterator[Finding]:
    """Every change of state was told of, as often as it happened, and nothing was told of that did not happen.

    ``required`` are subjects that were announced at least once by ``visit.required``; empty for other stages.
    """
    told: dict[tuple[str, str], dict[UUID, None]] = defaultdict(dict)
    for event_id, one in log.events.items():
        if one.stream.source == service.source:
            told[one.type, one.subject][event_id] = None
    for event in service.facts.saved:
        told[event.type, event.subject][event.id] = None
    cut = truncated(log, service)
    untold: list[str] = []
    again: list[str] = []
    groundless: list[str] = []
    for model, subjects in expected.items():
        spec = by_model(model)
        counted = {subject: times for (kind, subject), times in told.items() if kind == spec.type}
        for subject, times in subjects.items():
            events = list(counted.pop(str(subject), ()))
            if len(events) < times and spec.topic not in cut:
                untold.append(f"{subject} {spec.name} {len(events)} of {times}")
            elif len(events) > times and times:
                again.append(f"{subject} {spec.name} {len(events)} of {times}: {' '.join(map(str, events))}")
            elif len(events) > times:
                groundless.append(f"{' '.join(map(str, events))} {spec.name} {subject}")
        groundless += [f"{' '.join(map(str, events))} {spec.name} {subject}" for subject, events in counted.items()]
    spec = by_model(VisitRequired)
    if required and spec.topic not in cut:
        untold += [f"{one} {spec.name} 0 of 1" for one in required if (spec.type, str(one)) not in told]
    name = service.name
    yield from found("effects.untold", Kind.LOST, name, f"{{n}} changes in {name} were not told of", untold)
    yield from found("effects.told_twice", Kind.DOUBLED, name, f"{{n}} changes in {name} were told of twice", again)
    yield from found(
        "events.without_state", Kind.LOST, name, f"{{n}} events of {name} tell of what its database lacks", groundless
    )


def truncated(log: TopicLog, service: Service) -> set[str]:
    """Topics that no longer hold the beginning of every stream of a service, nor does its outbox."""
    lowest = {stream: one.lowest for stream, one in log.streams.items() if stream.source == service.source}
    for event in service.facts.saved:
        lowest[event.stream] = min(lowest.get(event.stream, event.sequence), event.sequence)
    cut = {stream.topic for stream, number in lowest.items() if number > 1}
    known = {(stream.topic, stream.key) for stream in lowest}
    return cut | {topic for (topic, key), last in service.facts.counters.items() if last and (topic, key) not in known}


# Intelligence and visits ---------------------------------------------------------------------------------------------


def concerns(intelligence: Intelligence, visits: Visits, log: TopicLog, source: str) -> Iterator[Finding]:
    """Every concern of the register is known to visits as it is, and visits knows no other of this register."""
    missing = [one for one in intelligence.concerns if one not in visits.concerns]
    yield from found("concerns.missing", Kind.LOST, "visits", "{n} concerns are unknown to visits", missing)
    differing = [
        f"{one.id} category {_number(one.category)} {_open(one.open)}, visits: {_number(known.category)} "
        f"{_open(known.open)}"
        for one in intelligence.concerns.values()
        if (known := visits.concerns.get(one.id)) and not _agree(one, known)
    ]
    yield from found(
        "concerns.differ",
        Kind.DIFFERS,
        "visits",
        "{n} concerns stand otherwise in visits than in intelligence",
        differing,
    )
    elsewhere = {told.subject for told in log.events.values() if told.stream.source != source}
    unknown = [
        one for one in visits.concerns if one not in intelligence.concerns and str(one) not in elsewhere
    ]  # another office's concerns are in its own register
    yield from found("concerns.unknown", Kind.DIFFERS, "visits", "{n} concerns of visits are in no register", unknown)


def requirements(intelligence: Intelligence, visits: Visits, now: datetime) -> Iterator[Finding]:
    """Every rating that calls for a visit has its requirement, and nothing else has one that stands."""
    today = office_day(now)
    calling = {one for one in Category if visit_policy().call(one, today, today) is not None}
    missing: list[UUID] = []
    groundless: list[str] = []
    for concern in intelligence.concerns.values():
        known = visits.concerns.get(concern.id)
        if known is None or not _agree(concern, known):
            continue  # the comparison of concerns says so already
        all_of_it = visits.requirements.get(concern.id, [])
        latest = all_of_it[-1] if all_of_it else None
        calls = concern.open and concern.category in calling and concern.rated_since_reopening
        if calls and not _answered(known, latest):
            missing.append(concern.id)
        elif not calls and latest and latest.called_for and latest.state is not RequirementState.MET:
            groundless.append(f"{latest.id} of concern {concern.id}")
        elif concern.categories & calling and latest is None:
            missing.append(concern.id)
    yield from found(
        "requirements.missing",
        Kind.LOST,
        "visits",
        "{n} concerns call for a visit and no requirement says so",
        missing,
    )
    yield from found(
        "requirements.groundless",
        Kind.DIFFERS,
        "visits",
        "{n} requirements stand although nothing calls for them",
        groundless,
    )
    active = (RequirementState.OPEN, RequirementState.SCHEDULED)
    doubled = [
        f"{concern} {' '.join(str(one.id) for one in several)}"
        for concern, several in visits.requirements.items()
        if sum(one.state in active for one in several) > 1
        or [one.number for one in several] != list(range(1, len(several) + 1))
    ]
    yield from found(
        "requirements.doubled",
        Kind.DOUBLED,
        "visits",
        "{n} concerns have two requirements at a time",
        doubled,
        may_pass=False,
    )


def _answered(concern: Concern, latest: Requirement | None) -> bool:
    """True if the latest requirement is what a rating of the concern's category leaves behind."""
    if latest is None:
        return False
    if latest.state is RequirementState.MET:
        return concern.visited_category is not None and concern.category <= concern.visited_category  # pyright: ignore[reportOptionalOperand]
    return latest.called_for and latest.category == concern.category


def _agree(concern: ConcernFacts, known: Concern) -> bool:
    return (concern.category, concern.open) == (known.category, known.open)


def _number(category: Category | None) -> str:
    return "none" if category is None else str(int(category))


def _open(is_open: bool) -> str:
    return "open" if is_open else "closed"


# Visits and funding --------------------------------------------------------------------------------------------------


def outcomes(visits: Visits | None, funding: Funding, heard: Heard, log: TopicLog) -> Iterator[Finding]:
    """One proposal, or a place among those that wait, for each outcome recorded; and none without an outcome."""
    kind = by_model(OutcomeRecorded).type
    told = {UUID(one.subject): event_id for event_id, one in log.events.items() if one.type == kind}
    unheard = {one for one, event_id in told.items() if not heard.accepted(event_id, log.events[event_id])}
    recorded = told.keys() | (visits.outcomes if visits else set[UUID]())
    taken = Counter(one.outcome_id for one in funding.proposals.values() if one.outcome_id)
    taken.update(funding.waiting)
    yield from found(
        "outcomes.without_proposal",
        Kind.LOST,
        "funding",
        "{n} outcomes have no proposal and do not wait for one",
        [one for one in recorded if not taken[one] and one not in unheard],
    )
    yield from found(
        "outcomes.proposed_twice",
        Kind.DOUBLED,
        "funding",
        "{n} outcomes were proposed for more than once",
        [one for one, times in taken.items() if times > 1],
        may_pass=False,
    )
    yield from found(
        "proposals.without_outcome",
        Kind.DIFFERS,
        "funding",
        "{n} proposals rest on an outcome that nobody recorded",
        [one for one in taken if one not in recorded] if visits else [],
    )


def ledger(funding: Funding) -> Iterator[Finding]:
    """Double entry sums to zero, agreements fit their entries, and every approval moved what was approved, once."""

    def wrong(check: str, summary: str, ids: Iterable[object]) -> list[Finding]:
        return found(check, Kind.LEDGER, "funding", summary, ids, may_pass=False)

    yield from wrong(
        "ledger.transaction",
        "{n} transactions do not balance",
        [f"{t.id} {t.pence} pence in {t.entries} of {t.announced} entries" for t in funding.unbalanced],
    )
    yield from wrong(
        "ledger.total",
        "the sum of all entries is not zero",
        [f"{funding.total_pence} pence"] if funding.total_pence else [],
    )
    moved: Counter[UUID] = Counter()
    for adjustment in funding.adjustments:
        proposal = funding.proposals.get(adjustment.proposal_id)
        if proposal is not None:
            moved[proposal.agreement_id] += proposal.pence
    yield from wrong(
        "ledger.agreement",
        "{n} agreements do not fit their entries",
        [
            f"{a.id} lines {a.lines_pence}, {a.commitments} commitment(s) of {a.committed_pence}, "
            f"adjusted {moved[a.id]}, left {a.balance_pence} pence"
            for a in funding.agreements
            if a.commitments != 1
            or a.committed_pence != a.lines_pence
            or a.balance_pence != a.lines_pence + moved[a.id]
        ],
    )
    adjusted = Counter(one.proposal_id for one in funding.adjustments)
    approved = {one.id for one in funding.proposals.values() if one.state is ProposalState.APPROVED}
    yield from wrong(
        "ledger.approval",
        "{n} proposals were not posted exactly when they were approved",
        [
            f"{one} {'approved' if one in approved else 'not approved'}, posted {adjusted[one]} time(s)"
            for one in {*approved, *adjusted}
            if adjusted[one] != (one in approved)
        ],
    )
    yield from wrong(
        "ledger.adjustment",
        "{n} adjustments moved another sum than was approved",
        [
            f"{one.id} moved {one.moved_pence} of {funding.proposals[one.proposal_id].pence} pence"
            for one in funding.adjustments
            if one.proposal_id in funding.proposals and one.moved_pence != funding.proposals[one.proposal_id].pence
        ],
    )
    yield from wrong("ledger.unexplained", "{n} transactions belong to no adjustment", funding.unexplained)


# What comes back, and what is told to stakeholders -------------------------------------------------------------------


def stories(intelligence: Intelligence, heard: Heard, log: TopicLog, whole: bool) -> Iterator[Finding]:
    """Every event about a concern is in its story once. ``whole``: nothing of the topics' beginnings is missing."""
    chapters = Counter(intelligence.chapters)
    own = heard.service
    missing = [
        f"{event_id} {concern}"
        for event_id, told in log.events.items()
        if heard.accepted(event_id, told) or _is_own(own, told)
        for concern in told.concerns
        if concern in intelligence.concerns and (concern, event_id) not in chapters
    ]
    yield from found(
        "stories.missing",
        Kind.LOST,
        "intelligence",
        "{n} events are not in the story of a concern they tell of",
        missing,
    )
    yield from found(
        "stories.doubled",
        Kind.DOUBLED,
        "intelligence",
        "{n} events are more than once in a story",
        [f"{event_id} {concern}" for (concern, event_id), times in chapters.items() if times > 1],
        may_pass=False,
    )
    saved = {event.id for event in own.facts.saved}
    yield from found(
        "stories.unknown",
        Kind.DIFFERS,
        "intelligence",
        "{n} chapters tell of events that are in no topic",
        [f"{event} {concern}" for concern, event in chapters if event not in log.events and event not in saved]
        if whole
        else [],
    )


def feed(notify: Notify, heard: Heard, log: TopicLog, whole: bool) -> Iterator[Finding]:
    """Every event but notify's own is in the feed once, and those of one stream in their order."""
    shown = Counter(notify.feed)
    yield from found(
        "feed.missing",
        Kind.LOST,
        "notify",
        "{n} events were accepted by notify and are not in its feed",
        [
            f"{event_id} {place(told.stream, told.sequence)}"
            for event_id, told in log.events.items()
            if event_id not in shown and heard.accepted(event_id, told)
        ],
        may_pass=False,
    )
    yield from found(
        "feed.doubled",
        Kind.DOUBLED,
        "notify",
        "{n} events are in the feed more than once",
        [event_id for event_id, times in shown.items() if times > 1],
        may_pass=False,
    )
    yield from found(
        "feed.unknown",
        Kind.DIFFERS,
        "notify",
        "{n} entries of the feed are in no topic",
        [event_id for event_id in shown if event_id not in log.events] if whole else [],
    )
    last: dict[object, int] = {}
    disordered: list[str] = []
    for event_id in notify.feed:
        if (told := log.events.get(event_id)) is not None:
            if told.sequence < last.get(told.stream, 0):
                disordered.append(f"{event_id} {place(told.stream, told.sequence)} after #{last[told.stream]}")
            last[told.stream] = max(told.sequence, last.get(told.stream, 0))
    yield from found(
        "feed.order",
        Kind.ORDER,
        "notify",
        "{n} entries of the feed stand after a later one of the same stream",
        disordered,
        may_pass=False,
    )


def deliveries(notify: Notify) -> Iterator[Finding]:
    """A stakeholder is told once of an event, and nobody waits."""
    to = Counter((one.event_id, one.stakeholder_id) for one in notify.deliveries)
    yield from found(
        "notifications.doubled",
        Kind.DOUBLED,
        "notify",
        "{n} messages were queued twice",
        [f"event {event} to {stakeholder}" for (event, stakeholder), times in to.items() if times > 1],
        may_pass=False,
    )
    unfinished = (State.QUEUED, State.SENDING)
    yield from found(
        "notifications.waiting",
        Kind.WAITING,
        "notify",
        "{n} messages are still to be sent",
        [one.id for one in notify.deliveries if one.active and one.state in unfinished],
    )


def _is_own(service: Service, told: Told) -> bool:
    given = service.facts.counters.get((told.stream.topic, told.stream.key), 0)
    return told.stream.source == service.source and told.sequence <= given
