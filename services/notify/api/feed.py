"""The feed over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from services.notify import queries
from services.notify.domain.stakeholders import EventName
from services.notify.store import feed
from services.notify.views import FeedEntry
from shared.contracts.fields import OdsCode
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["feed"])

_LARGEST = 2**63 - 1
_cursor = Cursor[int](Annotated[int, Field(strict=True, ge=0, le=_LARGEST)])


@router.get("/feed", summary="What happened", dependencies=[Depends(allowed(Permission.READ))])
async def read_feed(
    connection: Reading,
    provider: Annotated[OdsCode | None, Query(description="Only about this provider.")] = None,
    event_type: Annotated[EventName | None, Query(alias="type", description="Only of this type.")] = None,
    after: Annotated[
        int,
        Query(ge=0, le=_LARGEST, description="Only what lies after this `position`: keep the last you saw to go on."),
    ] = 0,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[FeedEntry]:
    """Every event, oldest first, without the fields that are internal to the office.

    A new entry never appears before one you have seen: ask again with `after` set to the last `position`.
    """
    found = await feed.page(
        connection,
        provider=provider,
        name=event_type,
        after=max(after, _cursor.read(cursor) or 0),
        limit=limit + 1,
    )
    return _cursor.page([FeedEntry.of(entry) for entry in found], limit, lambda entry: entry.position)


@router.get("/feed/{event_id}", summary="One event", dependencies=[Depends(allowed(Permission.READ))])
async def get_feed_entry(connection: Reading, event_id: Annotated[UUID, Path(description="The event.")]) -> FeedEntry:
    """One event of the feed."""
    return await queries.feed_entry(connection, event_id)
