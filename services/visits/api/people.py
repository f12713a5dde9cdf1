"""The pool of people who may sit on panels. Names are answered to those who manage it, and to nobody else."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.visits import queries
from services.visits.bodies import AddPersonBody, ChangePersonBody, DeclareConflictBody, Reason
from services.visits.commands import people as commands
from services.visits.views import PersonView
from shared.contracts.fields import PanelRole
from shared.security.callers import Caller
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import Command, command, made_at
from shared.web.etags import Expected, etag
from shared.web.pages import CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(prefix="/people", tags=["people"])

Manager = Annotated[Caller, Depends(allowed(Permission.MANAGE_PEOPLE))]
Managing = Annotated[Command, Depends(command(Permission.MANAGE_PEOPLE))]


@router.post("", summary="Add a person to the pool", status_code=201, response_model=PersonView)
async def add_person(command: Managing, body: AddPersonBody) -> Response:
    """Add somebody who may sit on panels, with the roles they can take."""
    return await command.run(
        lambda work: commands.add_person(work, command.caller, body),
        again=lambda work, location: commands.read_person(work, made_at(location)),
    )


@router.get("", summary="List the pool")
async def list_people(
    connection: Reading,
    _: Manager,
    role: Annotated[PanelRole | None, Query(description="Only those who can take this role.")] = None,
    active: Annotated[bool | None, Query(description="Only those who are, or are not, active.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[PersonView]:
    """The pool, in the order in which people were added."""
    return await queries.list_people(connection, role=role, active=active, limit=limit, cursor=cursor)


@router.get("/{person_id}", summary="Read a person")
async def get_person(person_id: UUID, response: Response, connection: Reading, _: Manager) -> PersonView:
    """A person with their declared conflicts of interest. 404 if the pool has nobody of this id."""
    view = await queries.person(connection, person_id)
    response.headers["ETag"] = etag(view.version)
    return view


@router.patch("/{person_id}", summary="Change a person", response_model=PersonView)
async def change_person(person_id: UUID, command: Managing, expected: Expected, body: ChangePersonBody) -> Response:
    """Change name, organisation or roles, or whether the person is active. Panels they sit on stay as they are."""
    return await command.run(
        lambda work: commands.change_person(work, command.caller, person_id, expected, body),
        again=lambda work, _: commands.read_person(work, person_id),
    )


@router.post(
    "/{person_id}/conflicts", summary="Declare a conflict of interest", status_code=201, response_model=PersonView
)
async def declare_conflict(person_id: UUID, command: Managing, body: DeclareConflictBody) -> Response:
    """Keep a person off all panels that visit an organisation.

    Visits already scheduled show it as a problem, and no outcome of them is taken before the panel is changed.
    """
    return await command.run(
        lambda work: commands.declare_conflict(work, command.caller, person_id, body),
        again=lambda work, _: commands.read_person(work, person_id),
    )


@router.delete(
    "/{person_id}/conflicts/{conflict_id}", summary="Withdraw a declared conflict", response_model=PersonView
)
async def withdraw_conflict(
    person_id: UUID,
    conflict_id: UUID,
    command: Managing,
    expected: Expected,
    reason: Annotated[Reason, Query()] = None,
) -> Response:
    """Withdraw a declaration that no longer holds; who did it and why is kept. ``If-Match`` is the person's ETag."""
    return await command.run(
        lambda work: commands.withdraw_conflict(work, command.caller, person_id, conflict_id, expected, reason),
        again=lambda work, _: commands.read_person(work, person_id),
    )
