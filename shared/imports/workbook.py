"""Sheets of .xlsx workbooks, row by row in constant memory."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO

from shared.imports.mapping import HEADER_WITHIN, Header, Wanted
from shared.imports.pieces import MOST_CHARACTERS, Piece
from shared.imports.problems import LONGEST_CELL, LONGEST_ROW, FileRefused, RowProblem, shown
from shared.imports.workbook_parts import Archive, Contents, Sheet, contents

#: Columns of a sheet that are looked at; a sheet may have 16,384.
_COLUMNS = 1_024

#: Rows that a sheet may have.
_ROWS = 1_048_576

#: What a cell takes in memory beside its characters, in bytes.
_EACH_CELL = 100

_CELL = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")

#: What a formula may come to that is no value. Source: the error values of ECMA-376, and #SPILL! and #CALC! of later.
_ERRORS = frozenset(
    {"#N/A", "#REF!", "#DIV/0!", "#NAME?", "#VALUE!", "#NUM!", "#NULL!", "#GETTING_DATA", "#SPILL!", "#CALC!"}
)

_NO_RESULT = "is a formula whose result was not saved: open the file, let it calculate, and save it"


@dataclass(slots=True)
class _Row:
    line: int
    #: Text of each cell by its place.
    cells: dict[int, str] = field(default_factory=dict[int, str])
    #: Why a cell has none.
    faults: dict[int, str] = field(default_factory=dict[int, str])
    #: Characters of its cells, with what a cell takes beside them.
    weight: int = 0


def pieces(file: BinaryIO, wanted: Wanted, size: int, skip: int) -> Iterator[Piece]:
    """The rows of the first sheet that fits, or of the one the mapping names; as of a CSV file.

    Raises FileRefused for what is no workbook, is larger than it says, or has no such sheet.
    """
    archive = Archive(file)
    common = contents(archive)
    rows, header = _fitting(archive, common, wanted)
    taken: list[_Row] = []
    weight = 0
    for row in rows:
        if skip:
            skip -= 1
            continue
        taken.append(row)
        weight += row.weight
        if len(taken) == size or weight > MOST_CHARACTERS:
            yield _piece(taken, header, file.tell())
            taken, weight = [], 0
    if taken:
        yield _piece(taken, header, file.tell())


def _fitting(archive: Archive, common: Contents, wanted: Wanted) -> tuple[Iterator[_Row], Header]:
    name = wanted.mapping.sheet
    sheets = [sheet for sheet in common.sheets if (sheet.name == name if name else not sheet.hidden)]
    if not sheets:
        raise FileRefused(f"the workbook has no sheet {name!r}" if name else "the workbook has no sheet that is shown")
    refusals: list[str] = []
    for sheet in sheets:
        rows = _rows(archive, common, sheet)
        first = [row for _, row in zip(range(HEADER_WITHIN), rows, strict=False)]
        if not first:
            refusals.append("it is empty")
            continue
        try:
            number, header = wanted.header([_wide(row.cells) for row in first])
        except FileRefused as error:
            refusals.append(str(error))
            continue
        return _rest(first[number + 1 :], rows), header
    raise FileRefused(f"in sheet {shown(sheets[0].name)!r} {refusals[0]}")


def _rest(first: Sequence[_Row], rows: Iterator[_Row]) -> Iterator[_Row]:
    yield from first
    yield from rows


def _wide(cells: dict[int, str]) -> list[str]:
    return [cells.get(place, "") for place in range(max(cells, default=-1) + 1)]


def _piece(rows: list[_Row], header: Header, position: int) -> Piece:
    names = {place: header.names[fld] for fld, place in header.places.items()}
    problems: list[RowProblem] = []
    kept: list[_Row] = []
    for row in rows:
        faults = [RowProblem(row.line, names[place], why) for place, why in row.faults.items() if place in names]
        beyond = any(place >= header.width for place, cell in row.cells.items() if cell.strip())
        if faults:
            problems += faults
        elif beyond:
            problems.append(RowProblem(row.line, "", f"has cells beyond the {header.width} columns of the header"))
        elif any(cell.strip() for cell in row.cells.values()):
            kept.append(row)
    columns: dict[str, Sequence[str]] = {
        fld: [row.cells.get(place, "") for row in kept] for fld, place in header.places.items()
    }
    return Piece(len(rows), [row.line for row in kept], columns, problems, position, header.names)


def _rows(archive: Archive, common: Contents, sheet: Sheet) -> Iterator[_Row]:
    """The rows of a sheet that have cells."""
    parser = _SheetParser(common)
    for _ in archive.parse(sheet.part, parser.start, parser.end, parser.text):
        yield from parser.done
        parser.done.clear()


class _SheetParser:
    """What the XML of a sheet says, event by event."""

    def __init__(self, common: Contents) -> None:
        #: Rows that were read to their end.
        self.done: list[_Row] = []
        self._common = common
        self._row = _Row(0)
        self._place = -1
        self._kind = ""
        self._style = 0
        self._formula = False
        self._value: list[str] = []
        self._length = 0
        self._has_value = self._inside = self._phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "row":
            self._row = _Row(_line(attributes.get("r", ""), self._row.line + 1))
            self._place = -1
        elif name == "c":
            self._place = _place(attributes.get("r"), self._place + 1)
            self._kind = attributes.get("t", "n")
            style = attributes.get("s", "0")
            self._style = int(style) if style.isdecimal() else 0
            self._formula = self._has_value = False
            self._value.clear()
            self._length = 0
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._phonetic = True
        elif name == "v" or (name == "t" and not self._phonetic):
            self._inside = self._has_value = True

    def end(self, name: str) -> None:
        """An element ends."""
        if name in {"v", "t"}:
            self._inside = False
        elif name == "rPh":
            self._phonetic = False
        elif name == "c":
            self._take()
        elif name == "row" and (self._row.cells or self._row.faults):
            self.done.append(self._row)

    def text(self, part: str) -> None:
        """Text within an element."""
        if self._inside and self._length <= LONGEST_CELL:
            self._value.append(part)
            self._length += len(part)

    def _take(self) -> None:
        if self._place >= _COLUMNS:
            return
        if not self._has_value:
            if self._formula:
                self._row.faults[self._place] = _NO_RESULT
            return
        value = "".join(self._value)
        if self._kind == "e":
            said = value if value in _ERRORS else "of a formula"
            self._row.faults[self._place] = f"holds the error {said}"
            return
        try:
            text = self._text(value)
        except (ValueError, IndexError, OverflowError):
            self._row.faults[self._place] = "holds what no workbook holds: save the file again"
            return
        self._row.weight += _EACH_CELL + len(text)
        if len(text) > LONGEST_CELL:
            self._row.faults[self._place] = f"holds more than {LONGEST_CELL} characters"
        elif self._row.weight > LONGEST_ROW:
            self._row.faults[self._place] = f"is of a row with more than {LONGEST_ROW} characters"
        else:
            self._row.cells[self._place] = text

    def _text(self, value: str) -> str:
        match self._kind:
            case "s":
                place = int(value)
                if place < 0:
                    raise ValueError("no such text")
                return self._common.texts[place]
            case "str" | "inlineStr" | "d":
                return value
            case "b":
                return "true" if value.strip() == "1" else "false"
            case _:
                if self._style in self._common.days:
                    return _day(float(value), from_1904=self._common.from_1904)
                return _number(value)


def _line(number: str, following: int) -> int:
    """The number of a row: what it says, if a sheet can have it and it lies below the row before."""
    if not number.isascii() or not number.isdecimal() or len(number) > len(str(_ROWS)):
        return following
    return max(int(number), following) if int(number) <= _ROWS else following


def _place(reference: str | None, following: int) -> int:
    """The place of a cell in its row, from 0."""
    found = _CELL.fullmatch(reference) if reference else None
    if found is None:
        return following
    place = 0
    for letter in found[1]:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def _number(value: str) -> str:
    """A number as people see it: 72.349999999999994 in the file is 72.35 in the sheet."""
    text = value.strip()
    if len(text) <= 15 and "e" not in text.lower():
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _day(serial: float, *, from_1904: bool) -> str:
    """A day, or an instant, as ISO 8601. Raises ValueError or OverflowError for one that no calendar has."""
    if not -1e6 < serial < 1e7:
        raise ValueError("no day")
    moment = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30)
    moment += timedelta(days=serial)
    # To the second: a fraction of a day is rarely exact.
    moment = (moment + timedelta(milliseconds=500)).replace(microsecond=0)
    return moment.date().isoformat() if moment.time() == datetime.min.time() else moment.isoformat()
