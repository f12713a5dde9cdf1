"""Reading registers from CSV: every row is either good or refused with its line, its column and the reason."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared.contracts.concerns import ClosureReason
from shared.contracts.fields import Category, Day, Line, OdsCode, Prose, StandardNumber
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind


class NotThisRegister(ValueError):
    """The text is no CSV file of this kind at all. The message says what is expected."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row was not taken."""

    #: Line of the file, from 1; the header is line 1.
    line: int
    #: Column at fault, or empty if the whole row is.
    column: str
    reason: str


class RegisterOrigin(StrEnum):
    """Where a register's row comes from."""

    PUBLISHED = "published"
    SYNTHETIC = "synthetic"
    REGISTER = "register"


class _RowError(ValueError):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


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
            raise _RowError("parent_code", "a hospital_site has one, and nothing else does")
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise _RowError("valid_to", f"is before valid_from ({self.valid_from})")
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
            raise _RowError(missing[0], f"a rating needs all of {', '.join(rating)}, or none of them")
        self._require_order("source_date", self.source_date, "raised_on", self.raised_on)
        self._require_order("raised_on", self.raised_on, "rated_on", self.rated_on)
        self._require_order("raised_on", self.raised_on, "closed_on", self.closed_on)
        self._require_order("rated_on", self.rated_on, "closed_on", self.closed_on)
        for column, value in (("closed_on", self.closed_on), ("closure_reason", self.closure_reason)):
            if (self.status == "closed") != (value is not None):
                raise _RowError(column, "a closed concern has one, an open one has none")
        if self.origin is RegisterOrigin.PUBLISHED and self.source is None:
            raise _RowError("source", "a published case cites where it was published")
        return self

    @staticmethod
    def _require_order(first: str, earlier: date | None, second: str, later: date | None) -> None:
        if earlier is not None and later is not None and later < earlier:
            raise _RowError(second, f"is before {first} ({earlier})")


R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ReadRow(Generic[R]):
    """A good row and the line it began on."""

    line: int
    row: R


def read(text: str, model: type[R], *, skipped: int = 0) -> tuple[list[ReadRow[R]], list[RowProblem]]:
    """The good rows of a CSV text, and what is wrong with the others.

    ``skipped`` is how many lines of the file were left out between the header and the text's first row, so that
    a file can be sent in parts. Raises NotThisRegister if the header is not the model's.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    header = _header(rows, model)
    good: list[ReadRow[R]] = []
    problems: list[RowProblem] = []
    for line, cells, broken in _numbered(rows):
        where = line + skipped
        if broken is not None:
            problems.append(RowProblem(where, "", broken))
        elif len(cells) != len(header):
            problems.append(RowProblem(where, "", f"has {len(cells)} columns instead of {len(header)}"))
        else:
            try:
                good.append(ReadRow(where, model.model_validate(dict(zip(header, cells, strict=True)))))
            except ValidationError as error:
                problems += [RowProblem(where, column, reason) for column, reason in _reasons(error)]
    return good, problems


def _header(rows: Iterator[list[str]], model: type[BaseModel]) -> list[str]:
    wanted = list(model.model_fields)
    try:
        header = [cell.strip() for cell in next(rows, list[str]())]
    except csv.Error as error:
        raise NotThisRegister(f"the first line is no CSV: {error}") from error
    missing = [name for name in wanted if name not in header]
    unknown = [name[:40] for name in header if name not in wanted]
    if missing or unknown or len(header) != len(set(header)):
        said = [f"missing: {', '.join(missing)}"] if missing else []
        said += [f"unknown: {', '.join(unknown)}"] if unknown else []
        said += ["a column stands there twice"] if len(header) != len(set(header)) else []
        raise NotThisRegister(f"the first line must name the columns {', '.join(wanted)}; {'; '.join(said)}")
    return header


def _numbered(rows: Any) -> Iterator[tuple[int, list[str], str | None]]:
    """Each row with the line it began on; a row the CSV reader cannot read comes with the reason."""
    while True:
        began = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield began, [], f"is no CSV: {error}"
            continue
        if cells:
            yield began, cells, None


def _reasons(error: ValidationError) -> Iterator[tuple[str, str]]:
    for found in error.errors(include_url=False, include_input=False):
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, _RowError):
            yield cause.column, str(cause)
        else:
            yield str(found["loc"][0]) if found["loc"] else "", found["msg"]
