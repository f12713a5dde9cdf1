"""What a row of a register is: of organisations, or of concerns."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.contracts.concerns import ClosureReason
from shared.contracts.fields import Category, Day, Line, OdsCode, Prose, StandardNumber
from shared.imports.rows import RowError
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind


class RegisterOrigin(StrEnum):
    """Where a register's row comes from."""

    PUBLISHED = "published"
    SYNTHETIC = "synthetic"
    REGISTER = "register"


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _numbers(value: Any) -> Any:
    return [part.strip() for part in value.split(";") if part.strip()] if isinstance(value, str) else value


_Blank = BeforeValidator(_blank_is_none)
_Digit = Annotated[int, Field(ge=1, le=5)]


class ProviderRow(BaseModel):
    """A row of a register of organisations."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    ods_code: OdsCode
    name: Line
    kind: ProviderKind
    parent_code: Annotated[OdsCode | None, _Blank]
    valid_from: Annotated[date | None, _Blank]
    valid_to: Annotated[date | None, _Blank]
    successor_code: Annotated[OdsCode | None, _Blank]
    source: Line

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind is ProviderKind.HOSPITAL_SITE) != (self.parent_code is not None):
            raise RowError("parent_code", "a hospital_site has one, and nothing else does")
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise RowError("valid_to", f"is before valid_from ({self.valid_from})")
        return self


class ConcernRow(BaseModel):
    """A row of a concerns register."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    reference: Annotated[Line, Field(max_length=60)]
    origin: RegisterOrigin
    provider_code: OdsCode
    site_code: Annotated[OdsCode | None, _Blank]
    programme: Line
    learner_group: LearnerGroup
    standards: Annotated[list[StandardNumber], BeforeValidator(_numbers), Field(max_length=60)]
    source_kind: SourceKind
    source_date: Annotated[Day | None, _Blank]
    raised_on: Day
    summary: Prose
    action: Annotated[Prose | None, _Blank]
    impact: Annotated[_Digit | None, _Blank]
    likelihood: Annotated[_Digit | None, _Blank]
    category: Annotated[Annotated[int, Field(ge=0, le=4)] | None, _Blank]
    rationale: Annotated[Prose | None, _Blank]
    rated_on: Annotated[Day | None, _Blank]
    status: Annotated[str, Field(pattern="^(open|closed)$")]
    closed_on: Annotated[Day | None, _Blank]
    closure_reason: Annotated[ClosureReason | None, _Blank]
    source: Annotated[Annotated[Prose, Field(max_length=2_000)] | None, _Blank]

    @property
    def confirmed(self) -> Category | None:
        """The confirmed category, if it was rated."""
        return None if self.category is None else Category(self.category)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rating = {
            "impact": self.impact,
            "likelihood": self.likelihood,
            "category": self.category,
            "rationale": self.rationale,
            "rated_on": self.rated_on,
        }
        missing = [name for name, value in rating.items() if value is None]
        if missing and len(missing) < len(rating):
            raise RowError(missing[0], f"a rating needs all of {', '.join(rating)}, or none of them")
        self._require_order("source_date", self.source_date, "raised_on", self.raised_on)
        self._require_order("raised_on", self.raised_on, "rated_on", self.rated_on)
        self._require_order("raised_on", self.raised_on, "closed_on", self.closed_on)
        self._require_order("rated_on", self.rated_on, "closed_on", self.closed_on)
        for column, value in (("closed_on", self.closed_on), ("closure_reason", self.closure_reason)):
            if (self.status == "closed") != (value is not None):
                raise RowError(column, "a closed concern has one, an open one has none")
        if self.origin is RegisterOrigin.PUBLISHED and self.source is None:
            raise RowError("source", "a published case cites where it was published")
        return self

    @staticmethod
    def _require_order(first: str, earlier: date | None, second: str, later: date | None) -> None:
        if earlier is not None and later is not None and later < earlier:
            raise RowError(second, f"is before {first} ({earlier})")
