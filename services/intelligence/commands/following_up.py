"""Registers, effectiveness checks, exit conditions, and training suspended and restored."""

from datetime import date
from uuid import UUID

from uuid_utils.compat import uuid7

from services.intelligence.commands.changing import change, keep, locked
from services.intelligence.commands.raising import require_not_after
from services.intelligence.domain import following_up
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.standing import ExitCondition
from services.intelligence.queries import concern_view
from services.intelligence.store import concern_life
from services.intelligence.views.following_up import (
    DeEscalate,
    Escalate,
    PlanCheck,
    RecordCheck,
    RestoreTraining,
    SetCondition,
    SettleCondition,
    SuspendTraining,
)
from shared.contracts.fields import EventData
from shared.messaging.unit_of_work import UnitOfWork
from shared.rules import RuleBroken
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.refusals import rules


async def escalate(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: Escalate
) -> Answer:
    """Put a concern on a register or under enhanced monitoring."""

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        on = _day(work, "escalated_on", body.escalated_on)
        return following_up.escalate(concern, body.register_kind, on, why=body.rationale)

    return await change(work, caller, concern_id, expected, decide, called="escalated", reason=body.rationale)


async def de_escalate(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: DeEscalate
) -> Answer:
    """Take a concern off a register."""

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        on = _day(work, "de_escalated_on", body.de_escalated_on)
        return following_up.de_escalate(
            concern, body.register_kind, on, why=body.rationale, conditionally=body.conditionally
        )

    return await change(work, caller, concern_id, expected, decide, called="de-escalated", reason=body.rationale)


async def plan_check(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: PlanCheck
) -> Answer:
    """Plan the check of whether what was done is effective. Nobody outside is told of a plan."""

    def decide(concern: Concern) -> tuple[Concern, None]:
        if body.due_on < work.today:
            raise RuleBroken("due_on", f"is before {work.today}")
        return concern.moved(concern.life.plan_check(body.register_kind, body.due_on, body.rationale)), None

    called = "effectiveness check planned"
    return await change(work, caller, concern_id, expected, decide, called=called, reason=body.rationale)


async def record_check(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: RecordCheck
) -> Answer:
    """Record what an effectiveness check found."""

    def decide(concern: Concern) -> tuple[Concern, None]:
        on = _day(work, "checked_on", body.checked_on)
        concern.require_not_before_raised("checked_on", on)
        life = concern.life.record_check(body.register_kind, on, body.rationale, effective=body.effective)
        return concern.moved(life), None

    called = "found effective" if body.effective else "found not effective"
    return await change(work, caller, concern_id, expected, decide, called=called, reason=body.rationale)


async def set_condition(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: SetCondition
) -> Answer:
    """Make leaving a register depend on a condition."""
    condition = ExitCondition(uuid7(), body.register_kind, body.wording, body.owner, work.today, body.due_on)

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        return following_up.set_condition(concern, condition, why=body.rationale)

    return await change(work, caller, concern_id, expected, decide, called="exit condition set", reason=body.rationale)


async def settle_condition(
    work: UnitOfWork,
    caller: Caller,
    concern_id: UUID,
    condition_id: UUID,
    expected: ExpectedVersion,
    body: SettleCondition,
) -> Answer:
    """Say that an exit condition was met, missed or withdrawn."""

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        on = _day(work, "settled_on", body.settled_on)
        return following_up.settle_condition(concern, condition_id, body.state, on, why=body.rationale)

    called = f"exit condition {body.state}"
    return await change(work, caller, concern_id, expected, decide, called=called, reason=body.rationale)


async def suspend_training(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: SuspendTraining
) -> Answer:
    """Suspend training where a concern lies."""
    ended = [one.restored_on for one in await concern_life.suspensions_of(work.connection, concern_id)]

    def decide(concern: Concern) -> tuple[Concern, EventData]:
        on = _day(work, "suspended_on", body.suspended_on)
        if any(day is not None and on < day for day in ended):
            raise RuleBroken("suspended_on", "is before the end of an earlier suspension")
        return following_up.suspend_training(concern, uuid7(), body.reason, on, why=body.rationale)

    return await change(work, caller, concern_id, expected, decide, called="training suspended", reason=body.rationale)


async def restore_training(
    work: UnitOfWork, caller: Caller, concern_id: UUID, expected: ExpectedVersion, body: RestoreTraining
) -> Answer:
    """End the suspension of training where a concern lies."""
    before = await locked(work, concern_id, expected)
    with rules():
        on = _day(work, "restored_on", body.restored_on)
        after, restoration, event = following_up.restore_training(before, body.reason, on, why=body.rationale)
    await concern_life.end_suspension(work.connection, restoration)
    await keep(work, caller.subject, before, after, called="training restored", reason=body.rationale, event=event)
    return Answer(await concern_view(work.connection, after), version=after.version)


def _day(work: UnitOfWork, field: str, given: date | None) -> date:
    """The day a body names, or today. Raises RuleBroken for a day to come."""
    day = given or work.today
    require_not_after(field, day, work.today)
    return day
