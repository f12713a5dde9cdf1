"""What intelligence says about survey results that stand out. Topic ``quality.concerns.v1``.

No event holds a number of respondents, and none is published for a result of fewer than three.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.fields import EventData, Line, OdsCode, ProviderRef, internal, public
from shared.reference.kinds import SourceKind


class SurveyFlag(StrEnum):
    """How a survey result stands in its benchmark group. Source: GMC reporting tool, help on flags."""

    RED = "red"
    """In the bottom quartile, and its interval does not overlap that of the benchmark mean."""
    PINK = "pink"
    """In the bottom quartile, intervals overlap."""
    WHITE = "white"
    LIGHT_GREEN = "light-green"
    """In the top quartile, intervals overlap."""
    GREEN = "green"
    """In the top quartile, intervals do not overlap."""
    GREY = "grey"
    """Fewer than three respondents: no score is published."""
    YELLOW = "yellow"
    """No respondents."""


class FlaggedResult(EventData):
    """One survey result of the provider that stands out."""

    flag_id: UUID = public("The flag; the same one when it is corrected.")
    site_code: OdsCode | None = public("ODS code of the site, if the result is about one site.", default=None)
    programme: Line = public("Specialty or programme.")
    indicator: Line = public("Indicator or theme of the survey.")
    flag: SurveyFlag = public("How it stands in its benchmark group.")
    triple_red: bool = public("True if it is red in this year and in both years before.")


class CorrectedResult(FlaggedResult):
    """One survey result of the provider whose flag changed."""

    previous_flag: SurveyFlag = public("How it stood before.")
    previous_triple_red: bool = public("Whether it was a triple red before.")


class OfFlags(EventData):
    """What both events name of the survey whose results they are about."""

    flagging_id: UUID = internal("This announcement: what one file means for one provider, survey and year, or a part.")
    provider: ProviderRef = public("The provider the results are about.")
    source_kind: SourceKind = public("The survey.")
    year: int = public("Year of the survey.", ge=2000, le=2100)
    policy_version: Line = public("Edition of the rule that gave the flags.")
    import_id: int = internal("Number of the imported file.", ge=1)


class IntelligenceFlagged(OfFlags):
    """Results of a provider in a survey stand out from their benchmark groups."""

    results: Annotated[list[FlaggedResult], Field(min_length=1, max_length=500)] = public("The results.")
    flagged_on: date = public("Day on which the flags were given.")


class IntelligenceCorrected(OfFlags):
    """A later file changed results of a provider in a survey, or their benchmark groups, and with them the flags."""

    results: Annotated[list[CorrectedResult], Field(min_length=1, max_length=500)] = public("The results.")
    corrected_on: date = public("Day of the correction.")
