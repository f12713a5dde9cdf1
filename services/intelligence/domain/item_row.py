"""What a row of a report is: something that was heard about a provider, as another body writes it down."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.contracts.fields import Day, Line, OdsCode, Prose, StandardNumber
from shared.reference.kinds import LearnerGroup, SourceKind, Tendency


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _numbers(value: Any) -> Any:
    return [part.strip() for part in value.split(";") if part.strip()] if isinstance(value, str) else value


def _plain_word(value: Any) -> Any:
    """As this project writes words of a list: patient_safety for “Patient safety”."""
    return "_".join(value.replace("-", " ").casefold().split()) if isinstance(value, str) else value


_Blank = BeforeValidator(_none_if_blank)
_Word = BeforeValidator(_plain_word)


class ItemRow(BaseModel):
    """A row of a report from outside."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    provider_code: OdsCode
    site_code: Annotated[OdsCode | None, _Blank] = None
    programme: Annotated[Line | None, _Blank] = None
    learner_group: Annotated[LearnerGroup | None, _Blank, _Word] = None
    standards: Annotated[list[StandardNumber], BeforeValidator(_numbers), Field(max_length=60)] = Field(
        default_factory=list[str]
    )
    source_kind: Annotated[SourceKind, _Word]
    source_date: Day
    summary: Prose
    reference: Annotated[Line | None, _Blank] = None
    theme: Annotated[Line | None, _Blank, _Word] = None
    rating: Annotated[Line | None, _Blank] = None
    tendency: Annotated[Tendency | None, _Blank, _Word] = None

    def identity(self, source: str, fields: Sequence[str]) -> str:
        """By what this row is known again in a later file: the values of these fields, or all if they have none."""
        content = self.model_dump(mode="json")
        named = [content.get(field) for field in fields]
        if not any(value for value in named):
            named = [content]
        return f"{source}:{hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()}"


#: What a file of reports must have.
ITEM_NEEDS = ({"provider_code"}, {"source_kind"}, {"source_date"}, {"summary"})
