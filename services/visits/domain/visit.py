"""A visit, what must be right to schedule it, and what may have become wrong with it since."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from services.visits.domain.concern import Concern
from services.visits.domain.errors import Violation
from services.visits.domain.kinds import REGULAR, RISK_LED, meets
from services.visits.domain.panel import PoolMember, Seat, conflict_with
from services.visits.domain.requirement import Requirement
from shared.contracts.fields import VisitKind
from shared.contracts.visits import CancellationReason
from shared.rules import NotInThisState


class VisitState(StrEnum):
    """Where a visit stands."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    """Its outcome was recorded."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit to a provider, or to one of its sites."""

    id: UUID
    provider_code: str
    #: The one site visited, if it is one.
    site_code: str | None
    #: The organisation the provider belongs to, where staff named it for the check of conflicts.
    parent_code: str | None
    kind: VisitKind
    visit_date: date
    concern_ids: tuple[UUID, ...]
    requirement_ids: tuple[UUID, ...]
    panel: tuple[Seat, ...]
    #: Why it takes place, and why it is later than required, in the words of staff.
    reason: str | None
    late_reason: str | None
    scheduled_at: datetime
    state: VisitState = VisitState.SCHEDULED
    cancellation_reason: CancellationReason | None = None
    cancellation_note: str | None = None
    outcome_id: UUID | None = None
    version: int = 1

    @property
    def codes(self) -> list[str]:
        """Codes of the organisations visited, for conflicts of interest."""
        return organisations_visited(self.provider_code, self.site_code, self.parent_code)

    @property
    def correlation_id(self) -> UUID:
        """The first concern it looks into, else the visit itself."""
        return self.concern_ids[0] if self.concern_ids else self.id

    def require_scheduled(self) -> None:
        """Raise NotInThisState unless it is still to take place or to be reported on."""
        if self.state is VisitState.COMPLETED:
            raise NotInThisState(f"The outcome of visit {self.id} was recorded already: it is {self.outcome_id}.")
        if self.state is VisitState.CANCELLED:
            raise NotInThisState(f"Visit {self.id} was cancelled; schedule another one.")


def organisations_visited(provider_code: str, site_code: str | None, parent_code: str | None) -> list[str]:
    """Codes of the organisations a visit is to, for conflicts of interest."""
    return [code for code in (provider_code, site_code, parent_code) if code is not None]


def check(
    *,
    provider_code: str,
    kind: VisitKind,
    visit_date: date,
    late_reason: str | None,
    requirement_ids: Sequence[UUID],
    concern_ids: Sequence[UUID],
    requirements: Mapping[UUID, Requirement],
    concerns: Mapping[UUID, Concern],
    today: date,
) -> list[Violation]:
    """Every rule that a visit to be scheduled breaks, its panel apart.

    A risk-led visit looks into at least one concern, whether by a requirement or by its id; a follow-up visit names
    the concern it follows up; annual reviews and peer visits need none. A visit that meets a requirement is at least
    as strong as the kind required, and says why if it comes later than the requirement allows.
    """
    violations: list[Violation] = []
    if visit_date < today:
        violations.append(Violation("visit_date", f"is in the past; today is {today}"))
    violations += _twice("requirement_ids", requirement_ids) + _twice("concern_ids", concern_ids)
    late: list[Requirement] = []
    for place, identity in enumerate(requirement_ids):
        field = f"requirement_ids.{place}"
        requirement = requirements.get(identity)
        if requirement is None:
            violations.append(Violation(field, "is no requirement; GET /requirements lists them"))
        elif requirement.provider_code != provider_code:
            violations.append(Violation(field, f"belongs to provider {requirement.provider_code}"))
        else:
            if not meets(kind, requirement.kind):
                violations.append(Violation("kind", f"does not meet {field}, which {_accepted(requirement.kind)}"))
            if visit_date > requirement.latest_date:
                late.append(requirement)
    for place, identity in enumerate(concern_ids):
        concern = concerns.get(identity)
        if concern is None:
            violations.append(Violation(f"concern_ids.{place}", "is no concern that visits has heard of"))
        elif concern.provider_code != provider_code:
            violations.append(Violation(f"concern_ids.{place}", f"belongs to provider {concern.provider_code}"))
    if late and late_reason is None:
        earliest = min(requirement.latest_date for requirement in late)
        violations.append(
            Violation("late_reason", f"is needed: the visit is later than {earliest}, the last day required")
        )
    if not requirement_ids and not concern_ids and kind not in REGULAR:
        field = "requirement_ids" if kind in RISK_LED else "concern_ids"
        violations.append(Violation(field, f"a {kind.value} looks into at least one concern; name it"))
    return violations


def _accepted(required: VisitKind) -> str:
    return f"calls for one of {', '.join(RISK_LED[RISK_LED.index(required) :])}"


def _twice(field: str, ids: Sequence[UUID]) -> list[Violation]:
    return [Violation(f"{field}.{place}", "stands there twice") for place, one in enumerate(ids) if one in ids[:place]]


class ProblemCode(StrEnum):
    """What may have become wrong with a visit since it was scheduled."""

    CONFLICT_OF_INTEREST = "conflict_of_interest"
    PERSON_INACTIVE = "person_inactive"
    WEAKER_THAN_REQUIRED = "weaker_than_required"
    LATER_THAN_REQUIRED = "later_than_required"
    NO_LONGER_CALLED_FOR = "no_longer_called_for"


@dataclass(frozen=True, slots=True)
class VisitProblem:
    """Something staff must see to, or know of."""

    code: ProblemCode
    detail: str
    #: True if no outcome can be recorded before it is mended.
    blocks_outcome: bool
    person_id: UUID | None = None
    requirement_id: UUID | None = None


def problems(visit: Visit, pool: Mapping[UUID, PoolMember], requirements: Iterable[Requirement]) -> list[VisitProblem]:
    """What has become wrong with a visit that is scheduled; none for one that is cancelled or completed.

    A conflict of interest declared later blocks the outcome until the panel is changed. A person who left the pool,
    or a requirement that changed, is only shown: the visit stays, and staff decide.
    """
    if visit.state is not VisitState.SCHEDULED:
        return []
    return [*_of_people(visit, pool), *_of_requirements(visit, requirements)]


def _of_people(visit: Visit, pool: Mapping[UUID, PoolMember]) -> Iterable[VisitProblem]:
    for seat in visit.panel:
        member = pool[seat.person_id]
        if (declared := conflict_with(member, visit.codes)) is not None:
            yield VisitProblem(
                ProblemCode.CONFLICT_OF_INTEREST,
                f"The {seat.role.value} has declared a conflict of interest with {declared}: change the panel.",
                blocks_outcome=True,
                person_id=seat.person_id,
            )
        if not member.active:
            yield VisitProblem(
                ProblemCode.PERSON_INACTIVE,
                f"The {seat.role.value} is no longer active in the pool: change the panel if they cannot come.",
                blocks_outcome=False,
                person_id=seat.person_id,
            )


def _of_requirements(visit: Visit, requirements: Iterable[Requirement]) -> Iterable[VisitProblem]:
    for requirement in requirements:
        if not requirement.called_for:
            code, detail = ProblemCode.NO_LONGER_CALLED_FOR, "The concern calls for no visit any more."
            yield VisitProblem(code, detail, blocks_outcome=False, requirement_id=requirement.id)
            continue
        if not meets(visit.kind, requirement.kind):
            yield VisitProblem(
                ProblemCode.WEAKER_THAN_REQUIRED,
                f"The concern now {_accepted(requirement.kind)}; after this visit the requirement is open again.",
                blocks_outcome=False,
                requirement_id=requirement.id,
            )
        if visit.visit_date > requirement.latest_date and visit.late_reason is None:
            yield VisitProblem(
                ProblemCode.LATER_THAN_REQUIRED,
                f"The concern now calls for a visit by {requirement.latest_date}.",
                blocks_outcome=False,
                requirement_id=requirement.id,
            )
