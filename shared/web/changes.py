"""The history of an aggregate as every service answers it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.persistence import history
from shared.persistence.pool import Connection


class ChangeView(BaseModel):
    """One change: who, when, what and why."""

    version: int = Field(description="Version after the change.", examples=[1])
    at: datetime = Field(description="When, UTC.")
    actor: str = Field(description="Opaque staff id, or `event:<id>` for a reaction.", examples=["quality-officer-1"])
    change: str = Field(description="What happened.", examples=["scheduled"])
    reason: str | None = Field(description="Why, in the words of who did it.")
    detail: dict[str, Any] = Field(description="Further facts of the change.")


async def changes_of(connection: Connection, aggregate: str, aggregate_id: UUID) -> list[ChangeView]:
    """All changes of an aggregate, oldest first."""
    found = await history.of(connection, aggregate, str(aggregate_id))
    return [ChangeView.model_validate(change, from_attributes=True) for change in found]
