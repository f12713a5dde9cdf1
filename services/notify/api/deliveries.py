"""Deliveries over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from services.notify import commands, queries
from services.notify.store import deliveries
from services.notify.store.deliveries import State
from services.notify.views import DeliveryView, RetryDelivery
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.commands import Command, command
from shared.web.etags import Expected, etag
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["deliveries"])

_cursor = Cursor[int](Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)])

DeliveryId = Annotated[UUID, Path(description="The delivery.")]


@router.get("/deliveries", summary="List deliveries", dependencies=[Depends(allowed(Permission.READ))])
async def list_deliveries(
    connection: Reading,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    event_id: Annotated[UUID | None, Query(description="Only about this event.")] = None,
    stakeholder: Annotated[UUID | None, Query(description="Only to this stakeholder.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[DeliveryView]:
    """Deliveries in the order they were queued. They name no address."""
    found = await deliveries.page(
        connection,
        state=state,
        event_id=event_id,
        stakeholder_id=stakeholder,
        after=_cursor.read(cursor),
        limit=limit + 1,
    )
    page = _cursor.page(found, limit, lambda delivery: delivery.position)
    return Page(items=[DeliveryView.of(delivery) for delivery in page.items], next=page.next)


@router.get("/deliveries/{delivery_id}", summary="One delivery", dependencies=[Depends(allowed(Permission.READ))])
async def get_delivery(connection: Reading, response: Response, delivery_id: DeliveryId) -> DeliveryView:
    """Where a delivery stands."""
    found = await queries.delivery(connection, delivery_id)
    response.headers["ETag"] = etag(found.version)
    return found


@router.post("/deliveries/{delivery_id}/retry", summary="Try a failed delivery again", response_model=DeliveryView)
async def retry_delivery(
    delivery_id: DeliveryId,
    body: RetryDelivery,
    command: Annotated[Command, Depends(command(Permission.OPERATE))],
    expected: Expected,
) -> Response:
    """Queue a delivery that failed for good, once the cause is mended. It is tried at once."""
    return await command.run(lambda work: commands.retry_delivery(work, command.caller, delivery_id, body, expected))
