"""What the examples of events have in common: the provider, the concern, and how moments and ids are written."""

from datetime import UTC, datetime
from uuid import UUID

from shared.contracts.fields import EventData, ProviderRef
from shared.reference.kinds import ProviderKind

#: When an event happened, its data and, where another event brought it about, that event's model.
Moment = tuple[datetime, EventData, type[EventData] | None]

PROVIDER = ProviderRef(
    ods_code="ZZFICT01", name="Sherwell Vale Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
)
SITE = "ZZFICT01A"
STANDARD_SET = "quality-framework-2021"
REFERENCE = "EM-2025-014"


def numbered(number: int) -> UUID:
    """An id that can be told from the others."""
    return UUID(f"0199f3a1-5c00-7000-8000-{number:012x}")


def at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the year of the story."""
    return datetime(2025, month, day, hour, minute, tzinfo=UTC)


#: The concern that the story is about.
CONCERN = numbered(1)

#: The proposal it was raised from.
CONCERN_PROPOSAL = numbered(20)
