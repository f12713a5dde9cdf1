"""The working days of England: Monday to Friday, bank holidays excepted.

Bank holidays are the statutory and proclaimed ones of England and Wales, with their substitute days, as
kept by the `holidays` library.
"""

from datetime import date, timedelta
from functools import lru_cache

import holidays


def is_working_day(day: date) -> bool:
    """Whether a day is neither at a weekend nor a bank holiday in England."""
    return day.weekday() < 5 and day not in _bank_holidays(day.year)


def add_working_days(start: date, days: int) -> date:
    """The working day that is `days` working days after `start`.

    The day after `start` is the first that counts, so a requirement of five working days that is issued on a
    Thursday is due the Thursday after. `days` may be negative, to count back. With 0 it is `start` itself if
    that is a working day, otherwise the next working day.
    """
    step = timedelta(days=-1 if days < 0 else 1)
    day = start
    if days == 0:
        while not is_working_day(day):
            day += step
        return day
    left = abs(days)
    while left:
        day += step
        left -= is_working_day(day)
    return day


def working_days_between(start: date, end: date) -> int:
    """How many working days come after `start` up to and including `end`; negative if `end` is the earlier.

    It is the inverse of `add_working_days`: `working_days_between(d, add_working_days(d, n)) == n`.
    """
    if end < start:
        return -working_days_between(end - timedelta(days=1), start - timedelta(days=1))
    return sum(is_working_day(start + timedelta(days=n)) for n in range(1, (end - start).days + 1))


@lru_cache(maxsize=256)
def _bank_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("GB", subdiv="ENG", years=year))
