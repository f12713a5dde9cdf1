"""Registers, effectiveness checks, exit conditions and suspended training over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.intelligence.commands import following_up as commands
from services.intelligence.store import concern_life
from services.intelligence.views.concerns import ConcernView
from services.intelligence.views.following_up import (
    DeEscalate,
    Escalate,
    ListedConditionView,
    PlanCheck,
    RecordCheck,
    RestoreTraining,
    SetCondition,
    SettleCondition,
    SuspendTraining,
)
from shared.contracts.concerns import ExitConditionOwner, ExitConditionState, Register
from shared.contracts.fields import OdsCode
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import Command, command
from shared.web.etags import Expected
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["following up"])

_cursor = Cursor[UUID](UUID)

Managing = Annotated[Command, Depends(command(Permission.MANAGE_CONCERNS))]
Confirming = Annotated[Command, Depends(command(Permission.CONFIRM_CATEGORY))]


@router.post("/concerns/{concern_id}/escalations", summary="Put on a register", response_model=ConcernView)
async def escalate(concern_id: UUID, body: Escalate, command: Confirming, expected: Expected) -> Response:
    """Put a rated concern on the regional or national register or under enhanced monitoring, each by itself."""
    return await command.run(lambda work: commands.escalate(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/de-escalations", summary="Take off a register", response_model=ConcernView)
async def de_escalate(concern_id: UUID, body: DeEscalate, command: Confirming, expected: Expected) -> Response:
    """Take a concern off a register, for good or on conditions. An effective check has to come before."""
    return await command.run(lambda work: commands.de_escalate(work, command.caller, concern_id, expected, body))


@router.post(
    "/concerns/{concern_id}/effectiveness-checks", summary="Plan an effectiveness check", response_model=ConcernView
)
async def plan_check(concern_id: UUID, body: PlanCheck, command: Managing, expected: Expected) -> Response:
    """Plan by when it is checked that what was done is effective. An earlier result no longer counts."""
    return await command.run(lambda work: commands.plan_check(work, command.caller, concern_id, expected, body))


@router.post(
    "/concerns/{concern_id}/effectiveness-checks/result",
    summary="Record an effectiveness check",
    response_model=ConcernView,
)
async def record_check(concern_id: UUID, body: RecordCheck, command: Confirming, expected: Expected) -> Response:
    """Record what the planned check found."""
    return await command.run(lambda work: commands.record_check(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/exit-conditions", summary="Set an exit condition", response_model=ConcernView)
async def set_condition(concern_id: UUID, body: SetCondition, command: Managing, expected: Expected) -> Response:
    """Make leaving a register depend on a condition with an owner and a due date. `condition.set` follows."""
    return await command.run(lambda work: commands.set_condition(work, command.caller, concern_id, expected, body))


@router.post(
    "/concerns/{concern_id}/exit-conditions/{condition_id}/settlement",
    summary="Settle an exit condition",
    response_model=ConcernView,
)
async def settle_condition(
    concern_id: UUID, condition_id: UUID, body: SettleCondition, command: Confirming, expected: Expected
) -> Response:
    """Say that a condition was met, missed or withdrawn. `condition.settled` follows."""
    return await command.run(
        lambda work: commands.settle_condition(work, command.caller, concern_id, condition_id, expected, body)
    )


@router.get("/exit-conditions", summary="List exit conditions", dependencies=[Depends(allowed(Permission.READ))])
async def list_conditions(
    connection: Reading,
    register_kind: Annotated[Register | None, Query(description="Only of this register.")] = None,
    owner: Annotated[ExitConditionOwner | None, Query(description="Only those this part has to see to.")] = None,
    state: Annotated[ExitConditionState | None, Query(description="Only those in this state.")] = None,
    provider: Annotated[OdsCode | None, Query(description="Only about this provider.")] = None,
    due_before: Annotated[date | None, Query(description="Only those due before this day.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ListedConditionView]:
    """Exit conditions of all concerns, in the order they were set."""
    found = await concern_life.page(
        connection,
        register=register_kind,
        owner=owner,
        state=state,
        provider=provider,
        due_before=due_before,
        after=_cursor.read(cursor),
        limit=limit + 1,
    )
    return _cursor.page([ListedConditionView.listed(one) for one in found], limit, lambda one: one.id)


@router.post("/concerns/{concern_id}/training/suspension", summary="Suspend training", response_model=ConcernView)
async def suspend_training(
    concern_id: UUID, body: SuspendTraining, command: Confirming, expected: Expected
) -> Response:
    """Suspend training where a concern of category 4 lies: a last resort. `training.suspended` follows."""
    return await command.run(lambda work: commands.suspend_training(work, command.caller, concern_id, expected, body))


@router.post("/concerns/{concern_id}/training/restoration", summary="Restore training", response_model=ConcernView)
async def restore_training(
    concern_id: UUID, body: RestoreTraining, command: Confirming, expected: Expected
) -> Response:
    """End a suspension of training. `training.restored` follows."""
    return await command.run(lambda work: commands.restore_training(work, command.caller, concern_id, expected, body))
