"""Looking after the pool of people who may sit on panels."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from services.visits import queries
from services.visits.bodies import AddPersonBody, ChangePersonBody, DeclareConflictBody
from services.visits.store import people
from services.visits.store.people import Declaration, Person
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.history import Change, record
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import Conflict, NotFound, Unprocessable


async def add_person(work: UnitOfWork, caller: Caller, body: AddPersonBody) -> Answer:
    """Add a person to the pool."""
    person = Person(uuid7(), body.name, body.organisation, tuple(body.roles), active=True, created_at=work.now)
    await people.add(work.connection, person)
    await _record(work, caller, person, "added", body.reason, {"roles": body.roles})
    return _created(await read_person(work, person.id), person.id)


async def read_person(work: UnitOfWork, person_id: UUID) -> Answer:
    """A person as they are now, which is what a repeated command is answered. Raises NotFound."""
    view = await queries.person(work.connection, person_id)
    return Answer(view, version=view.version)


async def change_person(
    work: UnitOfWork, caller: Caller, person_id: UUID, expected: ExpectedVersion, body: ChangePersonBody
) -> Answer:
    """Change a person's particulars. Raises NotFound, PreconditionFailed, or Unprocessable if nothing is to change."""
    changes = body.model_dump(exclude_none=True, exclude={"reason"})
    if not changes:
        raise Unprocessable(
            "Nothing is to change: send name, organisation, roles or active.", errors=[("body", "changes nothing")]
        )
    person = await _locked(work, person_id, expected)
    if "roles" in changes:
        changes["roles"] = tuple(changes["roles"])
    changed = replace(person, **changes, version=person.version + 1)
    await people.save(work.connection, changed)
    detail = {"fields": sorted(changes), "roles": changed.roles, "active": changed.active}
    await _record(work, caller, changed, "changed", body.reason, detail)
    return await read_person(work, person_id)


async def declare_conflict(work: UnitOfWork, caller: Caller, person_id: UUID, body: DeclareConflictBody) -> Answer:
    """Declare a conflict of interest. It takes no If-Match: what a person must declare cannot come too late.

    Visits already scheduled show it as a problem. Raises NotFound, or Conflict if it stands declared already.
    """
    person = await _locked(work, person_id, None)
    if any(declared.provider_code == body.provider_code for declared in person.conflicts):
        raise Conflict(f"A conflict of interest with {body.provider_code} stands declared already.")
    declaration = Declaration(uuid7(), body.provider_code, body.note, work.now)
    await people.declare(work.connection, person_id, declaration)
    changed = replace(person, version=person.version + 1)
    await people.save(work.connection, changed)
    detail = {"conflict_id": str(declaration.id), "provider_code": body.provider_code}
    await _record(work, caller, changed, "conflict_declared", body.reason, detail)
    return _created(await read_person(work, person_id), person_id)


async def withdraw_conflict(
    work: UnitOfWork,
    caller: Caller,
    person_id: UUID,
    conflict_id: UUID,
    expected: ExpectedVersion,
    reason: str | None,
) -> Answer:
    """Withdraw a declaration; it is kept as withdrawn. Raises NotFound or PreconditionFailed."""
    person = await _locked(work, person_id, expected)
    declared = next((one for one in person.conflicts if one.id == conflict_id), None)
    if declared is None:
        raise NotFound(f"Person {person_id} has no declaration {conflict_id} that stands.")
    await people.withdraw(work.connection, conflict_id, work.now)
    changed = replace(person, version=person.version + 1)
    await people.save(work.connection, changed)
    detail = {"conflict_id": str(conflict_id), "provider_code": declared.provider_code}
    await _record(work, caller, changed, "conflict_withdrawn", reason, detail)
    return await read_person(work, person_id)


async def _locked(work: UnitOfWork, person_id: UUID, expected: ExpectedVersion | None) -> Person:
    person = await people.lock(work.connection, person_id)
    if person is None:
        raise NotFound(f"The pool has no person {person_id}.")
    if expected is not None:
        expected.require(person.version)
    return person


async def _record(
    work: UnitOfWork, caller: Caller, person: Person, change: str, reason: str | None, detail: dict[str, Any]
) -> None:
    await record(
        work.connection,
        [Change("person", str(person.id), person.version, work.now, caller.subject, change, reason, detail)],
    )


def _created(answer: Answer, person_id: UUID) -> Answer:
    return replace(answer, status=201, location=f"/people/{person_id}")
