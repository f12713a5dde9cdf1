"""A visit requirement: what becomes of it with each rating, visit and closing of its concern.

A concern has one requirement at a time, under an id made from the concern's. A new rating changes it, a visit takes
it up, the visit's outcome meets it; only after that can a later rise in category open the next one, with the next
number.
"""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID, uuid5

from services.visits.domain.concern import Concern
from services.visits.domain.kinds import meets
from services.visits.domain.visit_policy import Call
from shared.contracts.fields import Category, Origin, ProviderRef, VisitKind
from shared.contracts.visits import VisitRequired
from shared.rules import NotInThisState


class RequirementState(StrEnum):
    """Where a requirement stands."""

    OPEN = "open"
    """No visit is scheduled for it."""
    SCHEDULED = "scheduled"
    MET = "met"
    """A visit's outcome was recorded."""
    WITHDRAWN = "withdrawn"
    """The concern calls for no visit any more."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A concern's call for a visit."""

    id: UUID
    concern_id: UUID
    #: 1 for the concern's first requirement, 2 for the one after a visit, and so on.
    number: int
    provider_code: str
    category: Category
    kind: VisitKind
    latest_date: date
    policy_version: str
    state: RequirementState = RequirementState.OPEN
    #: False once the concern was closed or rated 0. A scheduled visit stays even then: staff decide on it.
    called_for: bool = True
    visit_id: UUID | None = None
    version: int = 1

    def announced(self, provider: ProviderRef, origin: Origin) -> VisitRequired:
        """The event by which others hear of it; ``origin`` is that of the rating it rests on."""
        return VisitRequired(
            requirement_id=self.id,
            provider=provider,
            concern_id=self.concern_id,
            category=self.category,
            kind=self.kind,
            latest_date=self.latest_date,
            policy_version=self.policy_version,
            origin=origin,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A requirement after a change."""

    requirement: Requirement
    #: What happened, in the past tense, for the history.
    change: str
    #: True if others must hear that the concern calls for this visit.
    announce: bool = False


def requirement_id(concern_id: UUID, number: int) -> UUID:
    """The id of a concern's requirement: the same concern and number give the same id."""
    return uuid5(concern_id, f"visit-requirement-{number}")


def after_rating(concern: Concern, current: Requirement | None, category: Category, call: Call | None) -> Step | None:
    """What a confirmed category does to a concern's requirement; None if nothing changes.

    ``concern`` is the concern before the rating, ``current`` its latest requirement. A higher category never gives
    more time than there was, and the same category rated again does not either. A requirement that is scheduled
    keeps its visit and is changed all the same.
    """
    if call is None:
        return when_not_called_for(current)
    if current is None or current.state is RequirementState.MET:
        if concern.visited_category is not None and category <= concern.visited_category:
            return None
        number = current.number + 1 if current else 1
        opened = Requirement(
            id=requirement_id(concern.id, number),
            concern_id=concern.id,
            number=number,
            provider_code=concern.provider_code,
            category=call.category,
            kind=call.kind,
            latest_date=call.latest_date,
            policy_version=call.policy_version,
        )
        return Step(opened, "opened", announce=True)
    if not current.called_for:
        state = RequirementState.OPEN if current.state is RequirementState.WITHDRAWN else current.state
        return Step(_changed(current, call, call.latest_date, state), "called_for_again", announce=True)
    latest = call.latest_date if category < current.category else min(current.latest_date, call.latest_date)
    if (call.category, call.kind, latest) == (current.category, current.kind, current.latest_date):
        return None
    return Step(_changed(current, call, latest, current.state), "changed", announce=True)


def when_not_called_for(current: Requirement | None) -> Step | None:
    """What a closing of the concern, or a rating that calls for no visit, does; None if nothing changes."""
    if current is None or not current.called_for:
        return None
    if current.state is RequirementState.OPEN:
        withdrawn = replace(current, state=RequirementState.WITHDRAWN, called_for=False, version=current.version + 1)
        return Step(withdrawn, "withdrawn")
    if current.state is RequirementState.SCHEDULED:
        return Step(replace(current, called_for=False, version=current.version + 1), "no_longer_called_for")
    return None


def take_up(requirement: Requirement, visit_id: UUID) -> Step:
    """Schedule a visit for it. Raises NotInThisState unless it is open."""
    if requirement.state is not RequirementState.OPEN:
        by = f" for visit {requirement.visit_id}" if requirement.visit_id else ""
        raise NotInThisState(
            f"Requirement {requirement.id} is {requirement.state.value}{by}; a visit can take up open ones only."
        )
    scheduled = replace(
        requirement, state=RequirementState.SCHEDULED, visit_id=visit_id, version=requirement.version + 1
    )
    return Step(scheduled, "scheduled")


def after_cancellation(requirement: Requirement) -> Step:
    """Its visit does not take place: it is open again, or withdrawn if it is no longer called for."""
    return _released(requirement)


def after_outcome(requirement: Requirement, kind: VisitKind) -> Step:
    """Its visit took place: it is met, unless it has come to call for a stronger kind; then it is open again."""
    if requirement.called_for and not meets(kind, requirement.kind):
        return replace(_released(requirement), announce=True)
    return Step(replace(requirement, state=RequirementState.MET, version=requirement.version + 1), "met")


def _released(requirement: Requirement) -> Step:
    state, change = (
        (RequirementState.OPEN, "opened_again") if requirement.called_for else (RequirementState.WITHDRAWN, "withdrawn")
    )
    return Step(replace(requirement, state=state, visit_id=None, version=requirement.version + 1), change)


def _changed(current: Requirement, call: Call, latest: date, state: RequirementState) -> Requirement:
    return replace(
        current,
        category=call.category,
        kind=call.kind,
        latest_date=latest,
        policy_version=call.policy_version,
        state=state,
        called_for=True,
        version=current.version + 1,
    )
