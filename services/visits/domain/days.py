"""Days as an office in England counts them."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from shared.reference.working_days import add_working_days

_OFFICE_TIME = ZoneInfo("Europe/London")


class Counting(StrEnum):
    """How the days of a span are counted."""

    WORKING_DAYS = "working_days"
    """Monday to Friday without the bank holidays of England."""
    CALENDAR_DAYS = "calendar_days"


class Span(BaseModel):
    """A number of days after a day; the day itself does not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(ge=0, le=1_000)
    counted_in: Counting

    def after(self, day: date) -> date:
        """The last day of the span that begins after ``day``."""
        if self.counted_in is Counting.WORKING_DAYS:
            return add_working_days(day, self.days)
        return day + timedelta(days=self.days)


def office_day(now: datetime) -> date:
    """The day it is at an office in England at a UTC instant."""
    return now.astimezone(_OFFICE_TIME).date()
