"""What the visits service answers to."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from uuid import UUID

from services.visits.domain import visit as rules
from services.visits.domain.concern import Provider
from services.visits.domain.panel import Seat
from services.visits.domain.requirement import Requirement, RequirementState
from services.visits.domain.visit import Visit, VisitState
from services.visits.store import concerns, outcomes, people, requirements, visits
from services.visits.store.outcomes import Outcome
from services.visits.store.people import Person
from services.visits.views import (
    ConflictView,
    FindingView,
    OutcomeView,
    PersonView,
    ProblemView,
    RequirementStory,
    RequirementView,
    SeatView,
    VisitSummary,
    VisitView,
)
from shared.contracts.fields import PanelRole
from shared.persistence.pool import Connection
from shared.reference.office_day import office_day
from shared.reference.standards import standard_set
from shared.security.callers import Caller
from shared.security.roles import Permission
from shared.web.changes import changes_of
from shared.web.pages import Cursor, Page
from shared.web.problems import NotFound

_BY_ID: Cursor[UUID] = Cursor(UUID)
_BY_DAY: Cursor[tuple[date, UUID]] = Cursor(tuple[date, UUID])


def may_see_names(caller: Caller) -> bool:
    """True for those who manage the pool: all others see panels by role."""
    return caller.may(Permission.MANAGE_PEOPLE)


# People -----------------------------------------------------------------------------------------------------


async def person(connection: Connection, person_id: UUID) -> PersonView:
    """One person of the pool. Raises NotFound."""
    found = (await people.load(connection, [person_id])).get(person_id)
    if found is None:
        raise NotFound(f"The pool has no person {person_id}.")
    return person_view(found)


async def list_people(
    connection: Connection, *, role: PanelRole | None, active: bool | None, limit: int, cursor: str | None
) -> Page[PersonView]:
    """A page of the pool, in the order in which people were added."""
    found = await people.page(connection, role=role, active=active, after=_BY_ID.read(cursor), limit=limit + 1)
    return _BY_ID.page([person_view(one) for one in found], limit, lambda view: view.id)


def person_view(found: Person) -> PersonView:
    """A person as answered."""
    return PersonView(
        id=found.id,
        name=found.name,
        organisation=found.organisation,
        roles=list(found.roles),
        active=found.active,
        conflicts=[
            ConflictView(id=c.id, provider_code=c.provider_code, note=c.note, declared_at=c.declared_at)
            for c in found.conflicts
        ],
        version=found.version,
    )


# Requirements -----------------------------------------------------------------------------------------------


async def requirement(connection: Connection, requirement_id: UUID, now: datetime) -> RequirementStory:
    """One requirement with its history. Raises NotFound."""
    found = await requirements.get(connection, requirement_id)
    if found is None:
        raise NotFound(f"There is no requirement {requirement_id}.")
    (view,) = await _requirement_views(connection, [found], office_day(now))
    changes = await changes_of(connection, "requirement", requirement_id)
    return RequirementStory(**dict(view), history=changes)


async def list_requirements(
    connection: Connection,
    *,
    state: RequirementState | None,
    provider_code: str | None,
    limit: int,
    cursor: str | None,
    now: datetime,
) -> Page[RequirementView]:
    """A page of requirements, the most pressing first."""
    found = await requirements.page(
        connection, state=state, provider_code=provider_code, after=_BY_DAY.read(cursor), limit=limit + 1
    )
    views = await _requirement_views(connection, found, office_day(now))
    return _BY_DAY.page(views, limit, lambda view: (view.latest_date, view.id))


async def _requirement_views(
    connection: Connection, found: Sequence[Requirement], today: date
) -> list[RequirementView]:
    providers = await concerns.providers(connection, {r.provider_code for r in found})
    references = await concerns.references(connection, {r.concern_id for r in found})
    return [
        RequirementView(
            id=r.id,
            provider=providers[r.provider_code].ref,
            concern_id=r.concern_id,
            concern_reference=references[r.concern_id],
            category=r.category,
            kind=r.kind,
            latest_date=r.latest_date,
            overdue=r.state is RequirementState.OPEN and r.latest_date < today,
            state=r.state,
            called_for=r.called_for,
            visit_id=r.visit_id,
            policy_version=r.policy_version,
            version=r.version,
        )
        for r in found
    ]


# Visits -----------------------------------------------------------------------------------------------------


async def visit(connection: Connection, visit_id: UUID, *, names: bool) -> VisitView:
    """One visit with all that is known of it; ``names`` tells whose panel it is. Raises NotFound."""
    found = await visits.get(connection, visit_id)
    if found is None:
        raise NotFound(f"There is no visit {visit_id}.")
    providers = await concerns.providers(connection, [found.provider_code])
    pool = await people.load(connection, [seat.person_id for seat in found.panel])
    members = {person_id: one.member for person_id, one in pool.items()}
    problems = rules.problems(found, members, await requirements.of_visit(connection, visit_id))
    recorded = await outcomes.get(connection, found.outcome_id) if found.outcome_id else None
    return VisitView(
        **dict(_summary(found, providers)),
        parent_code=found.parent_code,
        panel=_seats(found.panel, pool, names),
        problems=[ProblemView(**asdict(problem)) for problem in problems],
        reason=found.reason,
        late_reason=found.late_reason,
        cancellation_reason=found.cancellation_reason,
        cancellation_note=found.cancellation_note,
        history=await changes_of(connection, "visit", visit_id),
        outcome=_outcome_view(recorded, _seats(found.panel, pool, names)) if recorded else None,
    )


async def list_visits(
    connection: Connection,
    *,
    provider_code: str | None,
    state: VisitState | None,
    first: date | None,
    last: date | None,
    limit: int,
    cursor: str | None,
) -> Page[VisitSummary]:
    """A page of visits, the latest day first."""
    found = await visits.page(
        connection,
        provider_code=provider_code,
        state=state,
        first=first,
        last=last,
        before=_BY_DAY.read(cursor),
        limit=limit + 1,
    )
    providers = await concerns.providers(connection, {one.provider_code for one in found})
    views = [_summary(one, providers) for one in found]
    return _BY_DAY.page(views, limit, lambda view: (view.visit_date, view.id))


async def outcome(connection: Connection, outcome_id: UUID, *, names: bool) -> OutcomeView:
    """One outcome with its findings. Raises NotFound."""
    recorded = await outcomes.get(connection, outcome_id)
    if recorded is None:
        raise NotFound(f"There is no outcome {outcome_id}.")
    found = await visits.get(connection, recorded.visit_id)
    assert found is not None  # an outcome refers to its visit
    pool = await people.load(connection, [seat.person_id for seat in found.panel])
    return _outcome_view(recorded, _seats(found.panel, pool, names))


def _summary(found: Visit, providers: dict[str, Provider]) -> VisitSummary:
    return VisitSummary(
        id=found.id,
        provider=providers[found.provider_code].ref,
        site_code=found.site_code,
        kind=found.kind,
        visit_date=found.visit_date,
        state=found.state,
        concern_ids=list(found.concern_ids),
        requirement_ids=list(found.requirement_ids),
        panel_roles=[seat.role for seat in found.panel],
        outcome_id=found.outcome_id,
        version=found.version,
    )


def _seats(panel: Sequence[Seat], pool: dict[UUID, Person], names: bool) -> list[SeatView]:
    return [
        SeatView(
            person_id=seat.person_id,
            role=seat.role,
            name=pool[seat.person_id].name if names else None,
            organisation=pool[seat.person_id].organisation if names else None,
        )
        for seat in panel
    ]


def _outcome_view(recorded: Outcome, agreed_by: list[SeatView]) -> OutcomeView:
    standards = standard_set(recorded.standard_set)
    return OutcomeView(
        id=recorded.id,
        visit_id=recorded.visit_id,
        recorded_on=recorded.recorded_on,
        standard_set=recorded.standard_set,
        policy_version=recorded.policy_version,
        highest_category=recorded.highest_category,
        summary=recorded.summary,
        background=recorded.background,
        findings=[
            FindingView(
                id=finding.id,
                kind=finding.draft.kind,
                standard=finding.draft.standard,
                standard_label=standards.get(finding.draft.standard).label,
                text=finding.draft.text,
                due_on=finding.draft.due_on,
            )
            for finding in recorded.findings
        ],
        agreed_by=agreed_by,
    )
