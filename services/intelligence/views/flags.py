"""Flags of survey results, and the series behind them, as they are answered."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.intelligence.domain.spc import Direction, SpecialCause
from shared.contracts.intelligence import SurveyFlag


class NumbersView(BaseModel):
    """The numbers of a result."""

    n: int = Field(description="Respondents.")
    mean: float = Field(description="Mean of their scores.")
    sd: float = Field(description="Standard deviation of their scores.")
    lower: float = Field(description="Lower end of the mean's 95 % interval, to four decimals.")
    upper: float = Field(description="Upper end of it.")


class RowView(BaseModel):
    """A row of an imported file."""

    file_id: int = Field(description="Number of the imported file.")
    line: int = Field(description="Line of the file.")


class FlagView(BaseModel):
    """How a survey result stands in its benchmark group."""

    id: UUID = Field(description="Its id; the same when it is corrected.")
    provider_code: str = Field(description="The provider.")
    site_code: str | None = Field(description="The site, if the result is about one.")
    specialty: str = Field(description="Specialty or programme.")
    indicator: str = Field(description="Indicator of the survey.")
    year: int = Field(description="Year of the survey.")
    report_type: str = Field(description="Which report of which survey; results are compared within one.")
    flag: SurveyFlag = Field(description="How it stands.")
    triple_red: bool = Field(description="True if it is red in this year and in both years before.")
    edition: str = Field(description="Edition of the rule that gave the flag.")
    numbers: NumbersView | None = Field(description="Its numbers; null where there are none or they are withheld.")
    numbers_withheld: bool = Field(
        description="True if its numbers would tell of fewer than three people, by themselves or beside others."
    )
    row: RowView = Field(description="The row that the result comes from.")
    by_file: int = Field(description="The file that led to this flag: its own, or one that changed its benchmark.")
    version: int = Field(description="Grows with every correction.")
    since: datetime = Field(description="Since when the flag is as it is, UTC.")


class BenchmarkView(BaseModel):
    """What a result was compared with, to four decimals."""

    results: int = Field(description="Results in the group with enough respondents.")
    lower_quartile: float = Field(description="Lower quartile of their means.")
    upper_quartile: float = Field(description="Upper quartile of their means.")
    mean: float = Field(description="Mean of all respondents.")
    lower: float = Field(description="Lower end of that mean's 95 % interval.")
    upper: float = Field(description="Upper end of it.")


class CorrectionView(BaseModel):
    """What a flag was before a later file corrected it."""

    version: int = Field(description="The version that it was.")
    flag: SurveyFlag = Field(description="How the result stood.")
    triple_red: bool = Field(description="Whether it was a triple red.")
    edition: str = Field(description="Edition of the rule.")
    row: RowView = Field(description="The row that it came from.")
    since: datetime = Field(description="From when on, UTC.")
    until: datetime = Field(description="Until when, UTC.")
    corrected_by_file: int = Field(description="The file that corrected it.")


class FlagExplanation(FlagView):
    """A flag and why it is so."""

    benchmark: BenchmarkView | None = Field(
        description="What it was compared with; null where there is nothing, or it would tell of withheld numbers."
    )
    why: list[str] = Field(description="The numbers and the rule, in sentences.")
    corrections: list[CorrectionView] = Field(description="What it was before, oldest first.")


class CauseView(BaseModel):
    """Why a point is more than noise."""

    kind: SpecialCause = Field(description="Which rule it meets.")
    direction: Direction = Field(description="Which way; of a score of which more is better, down is of concern.")


class PointView(BaseModel):
    """A point of a series."""

    year: int = Field(description="Year of the survey.")
    value: float = Field(description="Mean of the respondents' scores, to four decimals.")
    causes: list[CauseView] = Field(description="What is special about it; empty for noise.")


class SeriesView(BaseModel):
    """A series as a chart of statistical process control."""

    provider_code: str = Field(description="The provider.")
    indicator: str = Field(description="Indicator of the survey.")
    report_type: str = Field(description="Which report of which survey.")
    specialty: str | None = Field(description="Specialty or programme, if only of one.")
    site_code: str | None = Field(description="Site, if only of one.")
    mean: float | None = Field(description="Mean of the points.")
    lower_limit: float | None = Field(description="Lower 3-sigma limit; null with fewer than two points.")
    upper_limit: float | None = Field(description="Upper 3-sigma limit.")
    points: list[PointView] = Field(description="The years that have a result that may be shown, oldest first.")
