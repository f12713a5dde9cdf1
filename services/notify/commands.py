"""What can be done: keep the directory, and order a failed delivery to be tried again."""

from collections.abc import Sequence
from dataclasses import fields
from uuid import UUID

from uuid_utils.compat import uuid7

from services.notify.domain.stakeholders import Stakeholder, check_scope
from services.notify.store import deliveries, directory
from services.notify.store.deliveries import State
from services.notify.store.directory import Entry
from services.notify.views import (
    AddStakeholder,
    ChangeStakeholder,
    DeliveryView,
    ImportedStakeholder,
    ImportReport,
    ImportStakeholder,
    RetryDelivery,
    StakeholderEntry,
    StakeholderView,
)
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.rules import NotInThisState, RuleBroken
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import Conflict, NotFound
from shared.web.refusals import rules


async def add_stakeholder(work: UnitOfWork, caller: Caller, body: AddStakeholder) -> Answer:
    """Put a stakeholder into the directory. Raises Unprocessable, or Conflict if its reference is taken."""
    with rules():
        entry = _entry(uuid7(), body, reference=body.reference, version=1)
    if not await directory.add(work.connection, [entry], work.now):
        raise Conflict(
            f"The directory has an entry {body.reference} already; change that one or choose another reference."
        )
    await history.record(work.connection, [_added(work, caller, entry, "added")])
    view = StakeholderView.of(entry.stakeholder)
    return Answer(view, 201, version=1, location=f"/stakeholders/{view.id}")


async def import_stakeholders(work: UnitOfWork, caller: Caller, body: Sequence[ImportStakeholder]) -> Answer:
    """Put those stakeholders into the directory whose reference it does not have; all, or nothing if one is wrong.

    Raises Unprocessable.
    """
    entries: dict[str, Entry] = {}
    for place, given in enumerate(body):
        with rules(f"{place}."):
            if given.reference in entries:
                raise RuleBroken("reference", f"{given.reference} stands there twice")
            entries[given.reference] = _entry(uuid7(), given, reference=given.reference, version=1)
    added = await directory.add(work.connection, list(entries.values()), work.now)
    new = [entry for entry in entries.values() if entry.stakeholder.id in added]
    await history.record(work.connection, [_added(work, caller, entry, "imported") for entry in new])
    ids = await directory.ids_of(work.connection, list(entries))
    return Answer(
        ImportReport(
            added=len(new),
            present=len(entries) - len(new),
            stakeholders=[
                ImportedStakeholder(reference=reference, id=ids[reference], added=ids[reference] in added)
                for reference in entries
            ],
        )
    )


async def change_stakeholder(
    work: UnitOfWork, caller: Caller, stakeholder_id: UUID, body: ChangeStakeholder, expected: ExpectedVersion
) -> Answer:
    """Replace what an entry says. Raises NotFound, PreconditionFailed or Unprocessable."""
    before = await directory.load(work.connection, stakeholder_id, for_update=True)
    if before is None:
        raise NotFound(f"There is no stakeholder {stakeholder_id} in the directory.")
    expected.require(before.stakeholder.version)
    version = before.stakeholder.version + 1
    with rules():
        after = _entry(stakeholder_id, body, reference=before.stakeholder.reference, version=version)
    await directory.change(work.connection, after)
    await history.record(
        work.connection,
        [
            Change(
                aggregate="stakeholder",
                aggregate_id=str(stakeholder_id),
                version=version,
                at=work.now,
                actor=caller.subject,
                change="changed",
                reason=body.reason,
                detail={"fields": _differing(before, after)},
            )
        ],
    )
    return Answer(StakeholderView.of(after.stakeholder), version=version)


async def retry_delivery(
    work: UnitOfWork, caller: Caller, delivery_id: UUID, body: RetryDelivery, expected: ExpectedVersion
) -> Answer:
    """Queue a failed delivery again. Raises NotFound, PreconditionFailed, or Conflict if it has not failed."""
    before = await deliveries.load(work.connection, delivery_id, for_update=True)
    if before is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    expected.require(before.version)
    with rules():
        if before.state is not State.FAILED:
            raise NotInThisState(f"The delivery is {before.state.value}; only a failed one can be tried again.")
    await deliveries.queue_again(work.connection, delivery_id)
    await history.record(
        work.connection,
        [
            Change(
                aggregate="delivery",
                aggregate_id=str(delivery_id),
                version=before.version + 1,
                at=work.now,
                actor=caller.subject,
                change="queued again",
                reason=body.reason,
            )
        ],
    )
    after = await deliveries.load(work.connection, delivery_id)
    assert after is not None  # it was loaded a moment ago, and nothing deletes deliveries
    return Answer(DeliveryView.of(after), version=after.version)


def _entry(stakeholder_id: UUID, body: StakeholderEntry, *, reference: str | None, version: int) -> Entry:
    check_scope(body.kind, body.provider_code, body.subscriptions)
    stakeholder = Stakeholder(
        id=stakeholder_id,
        reference=reference,
        kind=body.kind,
        organisation=body.organisation,
        provider_code=body.provider_code,
        active=body.active,
        subscriptions=tuple(body.subscriptions),
        version=version,
    )
    return Entry(stakeholder, body.email)


def _added(work: UnitOfWork, caller: Caller, entry: Entry, change: str) -> Change:
    return Change(
        aggregate="stakeholder",
        aggregate_id=str(entry.stakeholder.id),
        version=1,
        at=work.now,
        actor=caller.subject,
        change=change,
        detail={"kind": entry.stakeholder.kind.value, "reference": entry.stakeholder.reference},
    )


def _differing(before: Entry, after: Entry) -> list[str]:
    """Names of the fields that change. Never what they hold: an address would stay in the history for good."""
    names = [field.name for field in fields(Stakeholder) if field.name != "version"]
    changed = [name for name in names if getattr(before.stakeholder, name) != getattr(after.stakeholder, name)]
    return [*changed, "email"] if before.email != after.email else changed
