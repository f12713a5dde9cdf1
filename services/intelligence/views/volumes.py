"""Annual volumes as they are answered."""

from datetime import date, datetime

from pydantic import BaseModel, Field

from services.intelligence.domain.volumes import YearKind

_WITHHELD = "Null if it is under three, or if it would let a number under three be worked out."


class YearView(BaseModel):
    """The volumes of one year that is over."""

    year: str = Field(description="Label of the year.", examples=["2023-24"])
    first_day: date = Field(description="First day of the year.")
    last_day: date = Field(description="Last day of the year.")
    managed: int | None = Field(
        description=f"Concerns on the register on at least one day of the year. {_WITHHELD}", examples=[36]
    )
    significant: int | None = Field(
        description="Of those managed: with a confirmed category of significant or above at some time in the year. "
        f"{_WITHHELD}",
        examples=[5],
    )
    closed: int | None = Field(
        description=f"Concerns closed in the year and not reopened since. {_WITHHELD}", examples=[20]
    )
    raised: int | None = Field(description=f"Concerns raised in the year. {_WITHHELD}", examples=[36])


class VolumesView(BaseModel):
    """The annual volumes of the office. A year is counted once it is over."""

    year_kind: YearKind = Field(description="Kind of year: April to March, or August to July.")
    released_at: datetime | None = Field(
        description="Instant since when these numbers stand, UTC; null while nothing was published. A number that was "
        "published stands until it changes by three at least."
    )
    years: list[YearView] = Field(description="The years, oldest first.")
