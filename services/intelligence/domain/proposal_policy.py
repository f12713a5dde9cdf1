"""The policy that says which signals propose a concern.

There is no NHS rule for it: a policy is a versioned file that the office owns. It proposes, and a person decides; what
it may raise at once is a report that somebody is at risk now, and nothing else.
"""

from collections import Counter
from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.intelligence.domain.signals import Mark
from shared.contracts.fields import Line

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,99}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Then(StrEnum):
    """What follows where a rule holds."""

    PROPOSE = "propose"
    """A concern is proposed; a person accepts, merges or dismisses it."""
    RAISE_AT_ONCE = "raise_at_once"
    """A concern is raised without waiting for a person."""


class When(_Frozen):
    """When a rule holds for signals that agree on a scope: all that is said must hold."""

    marks: frozenset[Mark] = frozenset()
    """Among the signals, each of these is found. Only signals with one of them are evidence; with none named, all."""
    sources: Annotated[int, Field(ge=1, le=20, strict=True)] = 1
    """Least number of different sources among the evidence."""
    within_months: Annotated[int, Field(ge=0, le=60, strict=True)] = 0
    """Calendar months within which the evidence lies, first and last day included; 0 is the same day."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.marks and self.sources < 2:
            raise ValueError("a rule without marks needs two sources or more: else every signal would be a proposal")
        return self


class Rule(_Frozen):
    """One rule: when it holds, and what follows."""

    code: Code
    title: Line
    when: When
    then: Then

    @model_validator(mode="after")
    def _raises_only_what_cannot_wait(self) -> Self:
        if self.then is Then.RAISE_AT_ONCE and self.when != When(marks=frozenset({Mark.IMMEDIATE})):
            raise ValueError(
                f"rule {self.code}: only an immediate safety report is raised at once; name just the mark immediate"
            )
        return self


class SurveyDay(_Frozen):
    """The day of a year that a survey's results speak of: rows of a survey know only their year."""

    month: Annotated[int, Field(ge=1, le=12, strict=True)]
    day: Annotated[int, Field(ge=1, le=28, strict=True)]


class ProposalPolicy(_Frozen):
    """One version of the policy. Once in use it is never edited: a change is a new version."""

    version: Code
    note: str
    survey_days: dict[str, SurveyDay]
    """By the name of the survey, in small letters."""
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        if twice := sorted(code for code, times in Counter(rule.code for rule in self.rules).items() if times > 1):
            raise ValueError(f"policy {self.version}: rule codes used twice: {', '.join(twice)}")
        return self

    @property
    def asks_for_red_alone(self) -> bool:
        """True if a rule holds for a red flag beside which there is nothing else."""
        return any(rule.when.marks == frozenset({Mark.RED}) and rule.when.sources == 1 for rule in self.rules)

    def survey_day(self, survey: str, year: int) -> date:
        """The day the results of a survey's year speak of: 1 July of the year, unless the policy says otherwise."""
        said = self.survey_days.get(survey.lower())
        return date(year, said.month, said.day) if said else date(year, 7, 1)

    def title(self, code: str) -> str:
        """What a rule says. Raises KeyError for a code that is none of this version's."""
        return {rule.code: rule.title for rule in self.rules}[code]
