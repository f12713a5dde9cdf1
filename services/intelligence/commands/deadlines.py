"""What the clock does to concerns: exit conditions are missed and effectiveness checks fall overdue."""

from datetime import timedelta

from services.intelligence.commands.changing import keep
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.following_up import settle_condition
from services.intelligence.domain.standing import CheckState
from services.intelligence.store import concern_life, concerns, story
from shared.contracts.concerns import ExitConditionSet, ExitConditionState
from shared.contracts.registry import by_model
from shared.messaging.unit_of_work import UnitOfWork
from shared.service.schedule import Job

#: How the history names what no person did.
_ACTOR = "service:intelligence"

_PASSED = "its due date has passed"

#: Concerns in one transaction: few enough for their locks to be held briefly.
_MOST = 100


async def pass_deadlines(work: UnitOfWork) -> bool:
    """Note every due date before today that nobody has settled; True if there are more than fit one transaction."""
    ids = await concern_life.due(work.connection, work.today, _MOST)
    for concern in (await concerns.load_all_locked(work.connection, ids)).values():
        await _pass_deadlines_of(work, concern)
    return len(ids) == _MOST


async def _pass_deadlines_of(work: UnitOfWork, concern: Concern) -> None:
    set_by = await story.told_of(work.connection, concern.id, by_model(ExitConditionSet).type)
    for condition in concern.life.conditions:
        if condition.state is not ExitConditionState.OPEN or condition.due_on >= work.today:
            continue
        before = concern
        concern, event = settle_condition(before, condition.id, ExitConditionState.MISSED, work.today, why=_PASSED)
        # A database restored to the past misses it again: the event then has the same id.
        await keep(
            work,
            _ACTOR,
            before,
            concern,
            called="exit condition missed",
            reason=_PASSED,
            event=event,
            causation_id=set_by.get(str(condition.id)),
            repeat=0,
        )
    for standing in concern.life.standings:
        due_on = standing.check_due_on
        # An exit condition that was missed above may have undone the check.
        if concern.life.standing(standing.register).check is CheckState.DUE and due_on and due_on < work.today:
            before = concern
            concern = before.moved(before.life.fall_overdue(standing.register, work.today))
            await keep(work, _ACTOR, before, concern, called="effectiveness check overdue", reason=_PASSED, event=None)


#: Due dates are days, so once an hour is often enough to see one pass.
JOB = Job("concern deadlines", timedelta(hours=1), pass_deadlines)
