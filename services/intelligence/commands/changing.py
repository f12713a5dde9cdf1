"""What every change of a concern has in common: lock, decide, save, write down who did it and why, and tell of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from services.intelligence.commands.telling import tell
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.life import moves
from services.intelligence.domain.story import concerns_of
from services.intelligence.queries import concern_view
from services.intelligence.store import concerns, story
from services.intelligence.store.story import Chapter
from shared.contracts.fields import EventData
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import NotFound
from shared.web.refusals import rules

#: Decides: the concern after the command, and the event that tells of it if others are told.
Decide = Callable[[Concern], tuple[Concern, EventData | None]]


async def locked(work: UnitOfWork, concern_id: UUID, expected: ExpectedVersion) -> Concern:
    """A concern, locked, in the version the caller has read. Raises NotFound, PreconditionFailed."""
    concern = await concerns.load_locked(work.connection, concern_id)
    if concern is None:
        raise NotFound(f"There is no concern {concern_id}.")
    expected.require(concern.version)
    return concern


async def change(
    work: UnitOfWork,
    caller: Caller,
    concern_id: UUID,
    expected: ExpectedVersion,
    decide: Decide,
    *,
    called: str,
    reason: str,
) -> Answer:
    """Carry one command out on one concern. ``called`` is how its history calls it, in the past tense."""
    before = await locked(work, concern_id, expected)
    with rules():
        after, event = decide(before)
    await keep(work, caller.subject, before, after, called=called, reason=reason, event=event)
    return Answer(await concern_view(work.connection, after), version=after.version)


async def keep(
    work: UnitOfWork,
    actor: str,
    before: Concern,
    after: Concern,
    *,
    called: str,
    reason: str | None,
    event: EventData | None,
    causation_id: UUID | None = None,
    repeat: int | None = None,
) -> None:
    """Save what a command made of a concern, with who did it, why, and every transition it brought about.

    ``causation_id`` and ``repeat`` are for what the clock brings about: see UnitOfWork.emit.
    """
    await concerns.save(work.connection, before, after)
    moved = moves(before.life, after.life)
    detail = {"transitions": moved} if moved else {}
    await history.record(
        work.connection,
        [Change("concern", str(after.id), after.version, work.now, actor, called, reason, detail)],
    )
    if event is not None:
        chapter = tell(work, after, event, causation_id=causation_id, repeat=repeat)
        await story.add(work.connection, told_in_all_stories(chapter, event))


def told_in_all_stories(chapter: Chapter, event: EventData) -> Sequence[Chapter]:
    """The chapter, once for each concern that the event is about."""
    return [replace(chapter, concern_id=concern_id) for concern_id in concerns_of(event)]
