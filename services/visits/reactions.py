"""What happens to a concern decides what visit it calls for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast, get_args
from uuid import UUID

from services.visits import history, policies
from services.visits.domain import requirement as rules
from services.visits.domain.concern import Concern, Provider
from services.visits.domain.requirement import Requirement, Step
from services.visits.store import concerns, requirements
from shared.contracts.concerns import (
    ConcernClosed,
    ConcernCorrected,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
)
from shared.contracts.fields import EventData, Origin, ProviderRef
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.projections import Projection
from shared.messaging.consuming.reactions import Reacting, Reactions
from shared.persistence.history import Change, record
from shared.persistence.pool import Connection
from shared.reference.office_day import office_day

ConcernEvent = ConcernRaised | ConcernRated | ConcernCorrected | ConcernClosed | ConcernReopened
_CONCERN_EVENTS = frozenset(get_args(ConcernEvent))


@dataclass(slots=True)
class Known:
    """What visits knows of concerns and their providers, from events alone."""

    concerns: dict[UUID, Concern]
    providers: dict[str, Provider] = field(default_factory=dict[str, Provider])

    def learn(self, data: ConcernEvent) -> Concern:
        """Take in what an event says; returns its concern as it stood before, with what the event says of its place."""
        before = self._place(data)
        # The commonest first: to ask whether a model is of another class is slow, of its own is not.
        match data:
            case ConcernRaised() | ConcernCorrected():
                pass
            case ConcernRated(category=category):
                self.concerns[before.id] = before.rated(category)
            case ConcernClosed():
                self.concerns[before.id] = replace(before, open=False)
            case ConcernReopened():
                self.concerns[before.id] = before.reopened()
        return before

    def _place(self, data: ConcernEvent) -> Concern:
        self._name(data.provider)
        known = self.concerns.get(data.concern_id)
        says_where = isinstance(data, ConcernRaised | ConcernRated | ConcernCorrected)
        site_code, programme = (data.site_code, data.programme) if says_where else (None, None)
        if known is None:
            told = Concern(data.concern_id, data.reference, data.provider.ods_code, site_code, programme)
        elif says_where:
            told = replace(known, reference=data.reference, site_code=site_code, programme=programme)
        else:
            told = replace(known, reference=data.reference)
        self.concerns[told.id] = told
        return told

    def _name(self, provider: ProviderRef) -> None:
        code = provider.ods_code
        known = self.providers.get(code)
        # Most events name their provider as the one before did.
        if known is None or known.name != provider.name or known.kind is not provider.kind:
            self.providers[code] = Provider(code, provider.name, provider.kind)


@dataclass(slots=True)
class Workspace:
    """The concerns a batch is about, with their latest requirements, and what changes."""

    known: Known
    #: Concerns that the database had before.
    stored: frozenset[UUID]
    #: Latest requirement of each concern, by concern.
    requirements: dict[UUID, Requirement]
    changed: dict[UUID, Requirement] = field(default_factory=dict[UUID, Requirement])
    history: list[Change] = field(default_factory=list[Change])

    def take(self, step: Step | None, event: Received[ConcernEvent], reacting: Reacting) -> None:
        """Keep a requirement's change, if there is one, and tell others what is called for."""
        if step is None:
            return
        requirement = step.requirement
        self.requirements[requirement.concern_id] = requirement
        self.changed[requirement.id] = requirement
        self.history.append(history.of_requirement(step, at=reacting.now, actor=event.actor))
        if step.announce:
            # Only a rating calls for a visit, and it says whether it was made here.
            origin = event.data.origin if isinstance(event.data, ConcernRated) else Origin.REPORTED
            reacting.emit(requirement.announced(event.data.provider, origin), correlation_id=requirement.concern_id)


async def _load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    ids = _concerns_of(events)
    known = await concerns.lock(connection, ids)
    # Nothing was ever called for by a concern nobody has heard of.
    return Workspace(Known(known), frozenset(known), await requirements.lock_latest(connection, known.keys()))


async def _save(connection: Connection, work: Workspace) -> None:
    changed = work.known.concerns
    await concerns.save(connection, changed.values(), work.known.providers.values(), new=changed.keys() - work.stored)
    await requirements.save(connection, list(work.changed.values()))
    await record(connection, work.history)


def _concerns_of(events: Sequence[Received[EventData]]) -> set[UUID]:
    # By its very type: every event comes by here, and to ask whether a model is of one of five classes is slow.
    return {cast("ConcernEvent", event.data).concern_id for event in events if type(event.data) in _CONCERN_EVENTS}


reactions = Reactions(load=_load, save=_save)


@reactions.on(ConcernRaised)
def concern_raised(work: Workspace, event: Received[ConcernRaised], reacting: Reacting) -> None:
    """Remember the concern: nothing is called for before it is rated."""
    work.known.learn(event.data)


@reactions.on(ConcernRated)
def concern_rated(work: Workspace, event: Received[ConcernRated], reacting: Reacting) -> None:
    """Open, change or withdraw its requirement as the policy says for the confirmed category.

    A rating that arrives for a closed concern is remembered and calls for nothing.
    """
    data = event.data
    before = work.known.learn(data)
    if before.open:
        call = policies.visit_policy().call(data.category, data.rated_on, office_day(reacting.now))
        work.take(rules.after_rating(before, work.requirements.get(before.id), data.category, call), event, reacting)


@reactions.on(ConcernCorrected)
def concern_corrected(work: Workspace, event: Received[ConcernCorrected], reacting: Reacting) -> None:
    """Remember where it lies now. What is called for rests on its category, and stays."""
    work.known.learn(event.data)


@reactions.on(ConcernClosed)
def concern_closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
    """Withdraw an open requirement. A scheduled visit stays and shows it: staff decide."""
    concern = work.known.learn(event.data)
    work.take(rules.when_not_called_for(work.requirements.get(concern.id)), event, reacting)


@reactions.on(ConcernReopened)
def concern_reopened(work: Workspace, event: Received[ConcernReopened], reacting: Reacting) -> None:
    """Nothing is called for until the new rating that follows a reopening; earlier visits no longer count then."""
    work.known.learn(event.data)


# What can be learnt again ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Relearnt:
    """Concerns and providers as they are in the database, and as events tell them."""

    before: dict[UUID, Concern]
    known: Known

    def as_told(self, concern: Concern) -> Concern:
        """A concern as events tell it; what a visit has looked into is known here alone, and stays."""
        before = self.before.get(concern.id)
        return concern if before is None else replace(concern, visited_category=before.visited_category)


async def _load_known(connection: Connection, events: Sequence[Received[EventData]]) -> Relearnt:
    before = await concerns.lock(connection, _concerns_of(events))
    return Relearnt(before, Known(dict(before)))


async def _put_right(connection: Connection, work: Relearnt) -> dict[str, int]:
    providers = await concerns.providers(connection, work.known.providers)
    differing = [one for code, one in work.known.providers.items() if providers.get(code) != one]
    wrong = [one for one in map(work.as_told, work.known.concerns.values()) if work.before.get(one.id) != one]
    await concerns.save(connection, wrong, differing)
    return {"providers": len(differing), "concerns": len(wrong)}


#: Concerns and providers. Requirements and visits are decided here, and are no projection.
projection = Projection(load=_load_known, save=_put_right)


def _learn_again(work: Relearnt, event: Received[ConcernEvent], at: datetime) -> None:
    if isinstance(event.data, ConcernRaised):
        # All that is known of it follows from here on.
        work.known.concerns.pop(event.data.concern_id, None)
    work.known.learn(event.data)


for _model in (ConcernRaised, ConcernRated, ConcernCorrected, ConcernClosed, ConcernReopened):
    projection.on(_model)(_learn_again)
