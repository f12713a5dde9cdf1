"""The financial year, 1 April to 31 March, in which agreements run and tariffs hold."""

import re
from dataclasses import dataclass
from datetime import date

_LABEL = re.compile(r"([1-9]\d{3})-(\d{2})", re.ASCII)


class InvalidFinancialYear(ValueError):
    """A label that names no financial year."""

    def __init__(self, label: str) -> None:
        super().__init__(
            f"{label!r} is not a financial year. Write the first year and the last two digits of the next, "
            "as in 2024-25."
        )
        self.label = label


@dataclass(frozen=True, slots=True, order=True)
class FinancialYear:
    """The year that begins on 1 April of `first_year` and ends on 31 March of the next."""

    first_year: int

    @classmethod
    def of(cls, day: date) -> "FinancialYear":
        """The financial year a day falls in."""
        return cls(day.year if day.month >= 4 else day.year - 1)

    @classmethod
    def parse(cls, label: str) -> "FinancialYear":
        """The year a label such as `2024-25` names; raises `InvalidFinancialYear`."""
        match = _LABEL.fullmatch(label)
        if match is None or (int(match[1]) + 1) % 100 != int(match[2]):
            raise InvalidFinancialYear(label)
        return cls(int(match[1]))

    @property
    def label(self) -> str:
        """The usual way to write it: `2024-25`."""
        return f"{self.first_year}-{(self.first_year + 1) % 100:02}"

    @property
    def start(self) -> date:
        """Its first day, 1 April."""
        return date(self.first_year, 4, 1)

    @property
    def end(self) -> date:
        """Its last day, 31 March."""
        return date(self.first_year + 1, 3, 31)

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end

    def __str__(self) -> str:
        return self.label
