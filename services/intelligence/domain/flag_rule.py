"""The rule by which survey results are flagged, as a versioned policy.

Source of the colours: the GMC's help on its education data reporting tool. Where that text leaves freedom, the
edition says what holds; `docs/explanation/flags.md` gives the whole rule in words.
"""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.contracts.fields import Line

#: A column by which rows are gathered into benchmark groups.
GroupColumn = Literal["specialty", "indicator", "year"]

#: A kind of report, such as `nts`: it says which rows are compared with each other.
ReportType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class UnknownReport(LookupError):
    """The rule has no benchmark group for this report type. The message names those it has."""

    def __init__(self, report: str, rule: "FlagRule") -> None:
        super().__init__(
            f"edition {rule.version} knows no report type {report!r}; it knows {', '.join(rule.benchmark_groups)}"
        )


class FlagRule(BaseModel):
    """One edition of the rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Line
    note: str
    #: A result of fewer respondents is grey and counts in no benchmark.
    least_respondents: int = Field(ge=2)
    #: Half-width of an interval in standard errors of the mean.
    interval_multiplier: Decimal = Field(gt=0, le=10)
    #: Years in a row that have to be red, the year itself among them.
    years_of_a_triple_red: int = Field(ge=2)
    #: By report type. One that is not named here is compared as the default.
    benchmark_groups: dict[ReportType, tuple[GroupColumn, ...]] = Field(min_length=1)
    default_report: ReportType

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        for report, columns in self.benchmark_groups.items():
            if not {"indicator", "year"} <= set(columns) or len(columns) != len(set(columns)):
                raise ValueError(f"{report}: a benchmark group is of one indicator and one year, each column once")
        if self.default_report not in self.benchmark_groups:
            raise ValueError(f"default_report: {self.default_report} is none of the report types")
        return self

    def group(self, report: str) -> tuple[GroupColumn, ...]:
        """The columns whose values rows of one benchmark group share. Raises UnknownReport."""
        found = self.benchmark_groups.get(report)
        if found is None:
            raise UnknownReport(report, self)
        return found

    @property
    def over_all_specialties(self) -> list[str]:
        """The report types whose results are compared whatever their specialty."""
        return [report for report, columns in self.benchmark_groups.items() if "specialty" not in columns]
