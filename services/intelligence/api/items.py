"""Items of intelligence over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.intelligence import queries
from services.intelligence.commands import items as commands
from services.intelligence.store import items
from services.intelligence.views.items import ItemView, RecordItem
from shared.contracts.fields import OdsCode
from shared.reference.kinds import SourceKind
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import Command, command
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["intelligence"])

_cursor = Cursor[UUID](UUID)

#: An item can be what one person said: it is for whoever works on what is heard, not for every reader.
_HEARD_OF = [Depends(allowed(Permission.RECORD_INTELLIGENCE))]


@router.post("/intelligence", summary="Record an item", status_code=201, response_model=ItemView)
async def record_item(
    body: RecordItem, command: Annotated[Command, Depends(command(Permission.RECORD_INTELLIGENCE))]
) -> Response:
    """Keep something that was heard about a provider. Concerns rest on such items."""
    return await command.run(lambda work: commands.record_item(work, command.caller, body))


@router.get("/intelligence", summary="List items", dependencies=_HEARD_OF)
async def list_items(
    connection: Reading,
    provider: Annotated[OdsCode | None, Query(description="Only about this provider.")] = None,
    source_kind: Annotated[SourceKind | None, Query(description="Only from this kind of source.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ItemView]:
    """Items in the order they were recorded."""
    found = await items.page(
        connection, provider=provider, source_kind=source_kind, after=_cursor.read(cursor), limit=limit + 1
    )
    return _cursor.page([ItemView.of(item) for item in found], limit, lambda item: item.id)


@router.get("/intelligence/{item_id}", summary="One item", dependencies=_HEARD_OF)
async def get_item(connection: Reading, item_id: UUID) -> ItemView:
    """An item of intelligence."""
    return await queries.item(connection, item_id)
