"""Which column of a source's files is which field: data, so that a new export needs a mapping and no code."""

import hashlib
import re
from collections.abc import Collection, Sequence
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.imports.problems import FileRefused, shown

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]

#: Rows looked through for the header: exports often begin with a title and a note or two.
HEADER_WITHIN = 30


class ValuesFrom(BaseModel):
    """A field that follows from another one by a table, whatever the case of its letters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: _FieldName = Field(description="The field it follows from.")
    values: dict[str, str] = Field(description="Its value for each of that field's.")
    otherwise: str = Field(default="", description="Its value for any other.")


class Mapping(BaseModel):
    """How the files of one source are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = Field(description="Its name.")
    title: _Name = Field(description="What it is, for people.")
    takes: _FieldName = Field(description="What its rows are.")
    columns: dict[_FieldName, Annotated[list[_Name], Field(min_length=1)]] = Field(
        description="For each field the names its column may have; case, blanks, hyphens and underscores do not count."
    )
    constants: dict[_FieldName, str] = Field(default_factory=dict[str, str], description="Fields with one value.")
    values: dict[_FieldName, ValuesFrom] = Field(
        default_factory=dict[str, ValuesFrom], description="Fields that follow from another by a table."
    )
    texts: dict[_FieldName, str] = Field(
        default_factory=dict[str, str], description="Fields put together from others, named in braces."
    )
    days: dict[_FieldName, list[str]] = Field(
        default_factory=dict[str, list[str]],
        description="How a field may write a day besides ISO 8601, such as `%d/%m/%Y`; the first that fits.",
    )
    identity: list[_FieldName] = Field(
        default_factory=list[str], description="Fields by which a row is known again in a later file; all if empty."
    )
    empty: list[str] = Field(default_factory=list[str], description="What a cell without a value may hold.")
    decimal: Literal[".", ","] = Field(default=".", description="Decimal sign of its numbers.")
    encoding: Literal["utf-8", "cp1252", "latin-1"] = Field(
        default="utf-8", description="Encoding of its text files without a byte order mark."
    )
    sheet: _Name | None = Field(default=None, description="Sheet of its workbooks; the first that fits unless named.")
    other_columns: Literal["ignore", "refuse"] = Field(default="ignore", description="What of columns not named here.")

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        seen: dict[str, str] = {}
        for field, names in self.columns.items():
            for name in names:
                other = seen.setdefault(plain(name), field)
                if other != field:
                    raise ValueError(f"a column {name!r} would be both {other} and {field}")
        return self

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of all it says: a file that is read by another mapping is another import."""
        return hashlib.sha256(self.model_dump_json().encode()).digest()

    @cached_property
    def _fields(self) -> ReadOnly[str, str]:
        return {plain(name): field for field, names in self.columns.items() for name in names}

    @cached_property
    def no_values(self) -> frozenset[str]:
        """What a cell without a value may hold, in small letters."""
        return frozenset({"", *(text.strip().casefold() for text in self.empty)})

    def field_of(self, name: str) -> str | None:
        """The field whose column has this name, if one has."""
        return self._fields.get(plain(name))

    def derived(self, columns: dict[str, Sequence[str]], count: int) -> None:
        """Add to the columns of some rows the fields that no column of the file holds."""
        for field, formats in self.days.items():
            if field in columns:
                columns[field] = [_day(cell, formats) for cell in columns[field]]
        for field, value in self.constants.items():
            if field not in columns:
                columns[field] = [value] * count
        for field, rule in self.values.items():
            if field not in columns:
                table = {key.casefold(): value for key, value in rule.values.items()}
                cells = columns.get(rule.field, [""] * count)
                columns[field] = [table.get(cell.strip().casefold(), rule.otherwise) for cell in cells]
        for field, text in self.texts.items():
            if field not in columns:
                named = {name: columns.get(name, [""] * count) for name in _BRACED.findall(text)}
                columns[field] = [_filled(text, named, place) for place in range(count)]


_BRACED = re.compile(r"\{([a-z0-9_]+)\}")
_APART = re.compile(r"[\s_\-\u2010-\u2015]+")


def plain(name: str) -> str:
    """A column's name as it is compared."""
    return _APART.sub(" ", name.replace("\ufeff", "").strip()).strip().casefold()


def _day(cell: str, formats: Sequence[str]) -> str:
    """A day as ISO 8601, or what it was: then the field says that it is none."""
    for form in formats:
        try:
            return datetime.strptime(cell.strip(), form).date().isoformat()
        except ValueError:
            continue
    return cell


def _filled(text: str, named: ReadOnly[str, Sequence[str]], place: int) -> str:
    return _BRACED.sub(lambda found: named[found[1]][place].strip(), text)


@dataclass(frozen=True, slots=True)
class Header:
    """Where in a row which field stands."""

    #: Cells of a row; those after it must be empty.
    width: int
    #: Place of each field's cell.
    places: dict[str, int]
    #: What the file calls each field.
    names: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader looks for in a file."""

    mapping: Mapping
    #: Fields without which no row can be taken; each a set of which one is enough.
    required: Sequence[Collection[str]]

    def header(self, rows: Sequence[Sequence[str]]) -> tuple[int, Header]:
        """Which of a file's first rows is the header, and what it says.

        Raises FileRefused, naming what is missing, unknown or there twice.
        """
        best: tuple[int, str] | None = None
        for number, cells in enumerate(rows[:HEADER_WITHIN]):
            header = self._read(cells)
            missing = self.missing(header.places)
            if not missing:
                self._require_plain(cells, header)
                return number, header
            said = f"missing: {', '.join(missing)}"
            # A row that names nothing we know may be no header but somebody's words: it is not repeated.
            names = cells if header.places else ()
            if unknown := [shown(cell) for cell in names if cell.strip() and not self.mapping.field_of(cell)]:
                said += f"; unknown: {', '.join(unknown[:20])}"
            if best is None or len(header.places) > best[0]:
                best = (len(header.places), said)
        said = best[1] if best else "there is no row"
        raise FileRefused(f"no line names the columns of {self.mapping.title} ({said})")

    def known_columns(self, rows: Sequence[Sequence[str]]) -> int:
        """How many known columns the row names that names most."""
        return max((len(self._read(cells).places) for cells in rows[:HEADER_WITHIN]), default=0)

    def missing(self, fields: Collection[str]) -> list[str]:
        """What is still needed besides these fields, as a file would name it."""
        known = {*fields, *self.mapping.constants, *self.mapping.values, *self.mapping.texts}
        return [
            " or ".join(self.mapping.columns.get(field, [field])[0] for field in sorted(choice))
            for choice in self.required
            if known.isdisjoint(choice)
        ]

    def _read(self, cells: Sequence[str]) -> Header:
        width = next((n for n in range(len(cells), 0, -1) if cells[n - 1].strip()), 0)
        places: dict[str, int] = {}
        for place, cell in enumerate(cells[:width]):
            field = self.mapping.field_of(cell)
            if field is not None:
                places.setdefault(field, place)
        return Header(width, places, {field: cells[place].strip() for field, place in places.items()})

    def _require_plain(self, cells: Sequence[str], header: Header) -> None:
        found: dict[str, str] = {}
        for cell in cells[: header.width]:
            field = self.mapping.field_of(cell)
            if field is None:
                if self.mapping.other_columns == "refuse":
                    raise FileRefused(f"the header has a column that is unknown: {shown(cell) or 'one of no name'}")
            elif field in found:
                both = f"{found[field]} and {cell.strip()}"
                raise FileRefused(f"the header names one thing twice: {both}; leave one column out")
            else:
                found[field] = cell.strip()
