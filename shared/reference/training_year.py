"""The training year, 1 August to 31 July, in which learners' posts and programmes run."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, order=True)
class TrainingYear:
    """The year that begins on 1 August of `first_year` and ends on 31 July of the next."""

    first_year: int

    @classmethod
    def of(cls, day: date) -> "TrainingYear":
        """The training year a day falls in."""
        return cls(day.year if day.month >= 8 else day.year - 1)

    @property
    def label(self) -> str:
        """The usual way to write it: `2024-25`."""
        return f"{self.first_year}-{(self.first_year + 1) % 100:02}"

    @property
    def start(self) -> date:
        """Its first day, 1 August."""
        return date(self.first_year, 8, 1)

    @property
    def end(self) -> date:
        """Its last day, 31 July."""
        return date(self.first_year + 1, 7, 31)

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end

    def __str__(self) -> str:
        return self.label
