"""A row of a file of survey results, as it is read and checked before it is flagged."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.intelligence.domain.flags import Result
from shared.contracts.fields import Line

#: Digits with a point, and perhaps an exponent: no thousands separators, no words, and no number of a million digits.
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,30}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
#: A spreadsheet writes a whole number beside empty cells as `12.0`.
_WHOLE = re.compile(r"([+-]?[0-9]{1,12})(\.0+)?", re.ASCII)


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise PydanticCustomError("number", "is no number; write it with digits and a point, such as 71.25")
    return Decimal(text)


def _whole(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _WHOLE.fullmatch(value.strip())
    if found is None:
        raise PydanticCustomError("whole_number", "is no whole number")
    return int(found[1])


def _blank(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


_Site = Annotated[Line | Annotated[str, Field(max_length=0)], BeforeValidator(_blank)]


class SurveyFileRow(BaseModel):
    """One row: its columns are the fields, each by its name."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    provider: Line
    site: _Site
    specialty: Line
    indicator: Line
    year: Annotated[int, BeforeValidator(_whole), Field(ge=1900, le=2200)]
    mean: Annotated[Decimal | None, BeforeValidator(_number)]
    sd: Annotated[Annotated[Decimal, Field(ge=0)] | None, BeforeValidator(_number)]
    n: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=100_000_000)]

    @property
    def result(self) -> Result:
        """The row as it is flagged."""
        return Result(
            provider=self.provider,
            site=self.site,
            specialty=self.specialty,
            indicator=self.indicator,
            year=self.year,
            mean=self.mean,
            sd=self.sd,
            n=self.n,
        )
