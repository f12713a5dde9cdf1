"""Putting a concern on the register: by a person, from a proposal, or at once as the policy says."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from uuid_utils.compat import uuid7

from services.intelligence.commands.telling import tell
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.organisation import require_provider
from services.intelligence.domain.scope import require_standards
from services.intelligence.store import concerns, items, organisations, story
from shared.contracts.fields import Origin
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.reference.kinds import LearnerGroup, SourceKind
from shared.reference.standards import CURRENT
from shared.rules import RuleBroken


@dataclass(frozen=True, slots=True)
class NewConcern:
    """What is known of a concern when it is raised."""

    provider_code: str
    site_code: str | None
    programme: str
    learner_group: LearnerGroup
    standards: Sequence[str]
    source_kind: SourceKind
    source_date: date | None
    raised_on: date
    summary: str
    action: str | None
    item_ids: Sequence[UUID] = ()
    id: UUID = field(default_factory=uuid7)
    proposal_id: UUID | None = None
    #: Version of the policy by which it is raised at once, if no person decided on it.
    raised_by_policy: str | None = None


async def raise_on_register(work: UnitOfWork, actor: str, new: NewConcern, reason: str | None = None) -> Concern:
    """Keep a new concern under the next free reference, link what it rests on, and tell of it.

    Raises RuleBroken for a provider, site, standard, day or item that does not fit.
    """
    register = await organisations.load(work.connection, {new.provider_code, new.site_code or new.provider_code})
    provider = require_provider(register, new.provider_code, new.site_code, new.raised_on)
    standards = require_standards(new.standards)
    require_not_after("raised_on", new.raised_on, work.today)
    if new.source_date is not None:
        require_not_after("source_date", new.source_date, new.raised_on)
    await require_items(work, new.item_ids, new.provider_code)
    concern = Concern(
        id=new.id,
        reference=await concerns.next_reference(work.connection, new.raised_on.year),
        origin=Origin.REPORTED,
        provider=provider,
        site_code=new.site_code,
        programme=new.programme,
        learner_group=new.learner_group,
        standard_set=CURRENT,
        standards=tuple(standards),
        source_kind=new.source_kind,
        source_date=new.source_date,
        raised_on=new.raised_on,
        summary=new.summary,
        action=new.action,
    )
    while not await concerns.add(work.connection, concern, work.now):
        concern = replace(concern, reference=await concerns.next_reference(work.connection, new.raised_on.year))
    if new.item_ids:
        await items.link(work.connection, concern.id, new.item_ids)
    await history.record(
        work.connection, [Change("concern", str(concern.id), concern.version, work.now, actor, "raised", reason)]
    )
    event = concern.raised(proposal_id=new.proposal_id, raised_by_policy=new.raised_by_policy)
    await story.add(work.connection, [tell(work, concern, event)])
    return concern


async def require_items(work: UnitOfWork, item_ids: Sequence[UUID], provider_code: str) -> None:
    """Raise RuleBroken unless each is an item of intelligence about this provider."""
    found = await items.load(work.connection, item_ids)
    for place, item_id in enumerate(item_ids):
        if item_id not in found:
            raise RuleBroken(f"item_ids.{place}", f"there is no item of intelligence {item_id}")
        if found[item_id].provider_code != provider_code:
            raise RuleBroken(f"item_ids.{place}", f"item {item_id} is about another provider")


def require_not_after(field: str, day: date, latest: date) -> None:
    """Raise RuleBroken for a day after the latest one possible."""
    if day > latest:
        raise RuleBroken(field, f"is after {latest}")
