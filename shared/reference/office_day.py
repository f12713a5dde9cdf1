"""The day it is at an office in England."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

_OFFICE_TIME = ZoneInfo("Europe/London")


def office_day(now: datetime) -> date:
    """The day it is at an office in England at an instant: in summer it begins at 23:00 UTC of the day before."""
    return now.astimezone(_OFFICE_TIME).date()
