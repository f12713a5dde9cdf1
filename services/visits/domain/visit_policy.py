"""The policy that says which visit a category calls for, and by when.

There is no NHS rule for it: the policy is a versioned file that the office owns.
"""

from datetime import date
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.visits.domain.days import Span
from services.visits.domain.kinds import RISK_LED
from shared.contracts.fields import Category, Line, VisitKind


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CallsFor(_Frozen):
    """What one category calls for."""

    kind: VisitKind
    within: Span = Field(description="From the day of the rating.")

    @field_validator("kind")
    @classmethod
    def _answers_a_risk(cls, kind: VisitKind) -> VisitKind:
        if kind not in RISK_LED:
            raise ValueError(f"{kind} answers no risk; choose one of {', '.join(RISK_LED)}")
        return kind


class CategoryRule(_Frozen):
    """One category's rule; ``calls_for`` is null where it calls for no visit."""

    category: Category
    calls_for: CallsFor | None


class Call(_Frozen):
    """The visit a rating calls for."""

    category: Category
    kind: VisitKind
    latest_date: date
    policy_version: Line


class VisitPolicy(_Frozen):
    """One version of the policy: a rule for each category."""

    version: Line
    note: str
    categories: tuple[CategoryRule, ...]

    @model_validator(mode="after")
    def _each_category_once(self) -> Self:
        if sorted(rule.category for rule in self.categories) != sorted(Category):
            raise ValueError(f"{self.version}: give each category from 0 to 4 exactly one rule")
        return self

    def call(self, category: Category, rated_on: date, today: date) -> Call | None:
        """The visit that a rating calls for, or None.

        A rating dated after ``today`` counts from today: a slip of the pen must not put a visit off.
        """
        calls_for = next(rule.calls_for for rule in self.categories if rule.category is category)
        if calls_for is None:
            return None
        return Call(
            category=category,
            kind=calls_for.kind,
            latest_date=calls_for.within.after(min(rated_on, today)),
            policy_version=self.version,
        )
