"""What may happen to a visit that is scheduled, its outcome apart."""

from dataclasses import replace
from uuid import UUID

from services.visits import history, queries
from services.visits.bodies import CancelVisitBody, ChangePanelBody
from services.visits.commands.refusing import refuse
from services.visits.domain import panel as panels
from services.visits.domain import requirement as requirement_rules
from services.visits.domain.panel import Seat
from services.visits.domain.requirement import RequirementState
from services.visits.domain.visit import Visit, VisitState
from services.visits.store import concerns, people, requirements, visits
from shared.contracts.visits import VisitCancelled
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.history import record
from shared.rules import NotInThisState
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import Conflict, NotFound


async def scheduled(work: UnitOfWork, visit_id: UUID, expected: ExpectedVersion) -> Visit:
    """A visit that can still be changed, locked.

    Raises NotFound, Conflict if it is completed or cancelled, or PreconditionFailed.
    """
    visit = await visits.lock(work.connection, visit_id)
    if visit is None:
        raise NotFound(f"There is no visit {visit_id}.")
    try:
        # First: that a thing was done already says more than that its version is another.
        visit.require_scheduled()
    except NotInThisState as error:
        raise Conflict(str(error), extra={"current_version": visit.version}) from error
    expected.require(visit.version)
    return visit


async def change_panel(
    work: UnitOfWork, caller: Caller, visit_id: UUID, expected: ExpectedVersion, body: ChangePanelBody
) -> Answer:
    """Give a visit another panel. Others hear who agreed, by role, with the outcome.

    Raises NotFound, Conflict, PreconditionFailed, or Unprocessable with every field at fault.
    """
    visit = await scheduled(work, visit_id, expected)
    pool = await people.hold(work.connection, [seat.person_id for seat in body.panel])
    panel = tuple(Seat(seat.person_id, seat.role) for seat in body.panel)
    refuse(
        panels.check(panel, {one: person.member for one, person in pool.items()}, visit.codes),
        "The visit cannot have this panel",
    )
    changed = replace(visit, panel=panel, version=visit.version + 1)
    await visits.save_panel(work.connection, changed)
    change = history.of_visit(
        changed,
        "panel_changed",
        at=work.now,
        actor=caller.subject,
        reason=body.reason,
        detail=history.panel_detail(changed),
    )
    await record(work.connection, [change])
    return await read_visit(work, caller, visit_id)


async def cancel_visit(
    work: UnitOfWork, caller: Caller, visit_id: UUID, expected: ExpectedVersion, body: CancelVisitBody
) -> Answer:
    """Cancel a visit: its requirements are open again if their concerns still call for them, else withdrawn.

    Raises NotFound, Conflict or PreconditionFailed.
    """
    visit = await scheduled(work, visit_id, expected)
    connection = work.connection
    await concerns.lock(connection, visit.concern_ids)
    taken_up = await requirements.lock(connection, visit.requirement_ids)
    steps = [requirement_rules.after_cancellation(taken_up[one]) for one in visit.requirement_ids]
    changed = replace(
        visit,
        state=VisitState.CANCELLED,
        cancellation_reason=body.reason,
        cancellation_note=body.note,
        version=visit.version + 1,
    )
    await visits.save(connection, changed)
    await requirements.save(connection, [step.requirement for step in steps])
    reason = body.reason.value
    await record(
        connection,
        [
            history.of_visit(changed, "cancelled", at=work.now, actor=caller.subject, reason=reason, detail={}),
            *(history.of_requirement(s, at=work.now, actor=caller.subject, reason=reason) for s in steps),
        ],
    )
    provider = await concerns.provider(connection, visit.provider_code)
    assert provider is not None  # a visit refers to its provider
    work.emit(
        VisitCancelled(
            visit_id=visit.id,
            provider=provider.ref,
            kind=visit.kind,
            visit_date=visit.visit_date,
            concern_ids=list(visit.concern_ids),
            requirement_ids=[s.requirement.id for s in steps if s.requirement.state is RequirementState.OPEN],
            reason=body.reason,
        ),
        key=visit.provider_code,
        correlation_id=visit.correlation_id,
    )
    return await read_visit(work, caller, visit_id)


async def read_visit(work: UnitOfWork, caller: Caller, visit_id: UUID) -> Answer:
    """A visit as it is now, which is what a repeated command is answered. Raises NotFound."""
    view = await queries.visit(work.connection, visit_id, names=queries.may_see_names(caller))
    return Answer(view, version=view.version)
