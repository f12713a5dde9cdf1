"""Spans of days as an office in England counts them."""

from datetime import date, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from shared.reference.working_days import add_working_days


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
