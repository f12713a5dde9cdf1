"""Rows checked by column, for sources of a million rows: what comes out is ready for PostgreSQL's COPY.

A cell is checked once however often it occurs, and a column of plain numbers by one look at all of it. Only what does
not pass that way is looked at cell by cell, by the same rules, to say what is wrong with it.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Protocol

from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece
from shared.imports.problems import RowProblem
from shared.imports.rows import NO_TEXT, is_text

#: No value, as COPY's text format writes it.
NULL = r"\N"

#: Cells that are remembered for a column; then it begins anew, so that memory stays bounded.
_REMEMBERED = 20_000
#: Characters of such a cell.
_LONGEST_REMEMBERED = 400


class CellRefused(ValueError):
    """A cell that cannot be taken; the message says why and does not repeat it."""


class Column(Protocol):
    """One field of a source's rows."""

    name: str

    def texts(self, cells: Sequence[str], mapping: Mapping) -> tuple[Sequence[str], dict[int, str]]:
        """The cells as COPY wants them; and why some are refused, by their place."""
        ...


@dataclass
class Checked:
    """The good rows of a piece, by column, and what is wrong with the others."""

    lines: Sequence[int]
    #: As COPY's text format wants them.
    columns: dict[str, Sequence[str]]
    problems: list[RowProblem] = field(default_factory=list[RowProblem])

    def leave_out(self, reasons: dict[int, tuple[str, str]]) -> None:
        """Refuse more rows, by their place, with column and reason."""
        if not reasons:
            return
        self.problems += [RowProblem(self.lines[place], *reasons[place]) for place in sorted(reasons)]
        kept = [place not in reasons for place in range(len(self.lines))]
        self.lines = list(compress(self.lines, kept))
        self.columns = {name: list(compress(cells, kept)) for name, cells in self.columns.items()}


class _Memo(dict[str, str]):
    """What each cell comes to; one that was not met before is worked out."""

    def __init__(self, work_out: Callable[[str], str]) -> None:
        super().__init__()
        self._work_out = work_out
        self.refused: dict[str, str] = {}

    def __missing__(self, cell: str) -> str:
        if len(self) >= _REMEMBERED:
            self.clear()
        try:
            found = self._work_out(cell)
        except CellRefused as error:
            self.refused[cell] = str(error)
            return ""
        if len(cell) <= _LONGEST_REMEMBERED:
            self[cell] = found
        return found


class Remembering(ABC):
    """A column whose cells repeat: what each comes to is worked out once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._memo: _Memo | None = None
        self._mapping: Mapping | None = None

    def texts(self, cells: Sequence[str], mapping: Mapping) -> tuple[Sequence[str], dict[int, str]]:
        """The cells as COPY wants them; and why some are refused, by their place."""
        if self._memo is None or self._mapping is not mapping:
            self._mapping = mapping
            self._memo = _Memo(lambda cell: self.work_out(cell, mapping))
        memo = self._memo
        found = list(map(memo.__getitem__, cells))
        if not memo.refused:
            return found, {}
        refused = {place: memo.refused[cell] for place, cell in enumerate(cells) if cell in memo.refused}
        memo.refused.clear()
        return found, refused

    @abstractmethod
    def work_out(self, cell: str, mapping: Mapping) -> str:
        """What a cell comes to. Raises CellRefused."""


class Words(Remembering):
    """A name or a code: one line of text, its blanks made single."""

    def __init__(self, name: str, *, longest: int = 200, optional: bool = False) -> None:
        super().__init__(name)
        self._longest = longest
        self._optional = optional

    def work_out(self, cell: str, mapping: Mapping) -> str:
        """The text, ready for COPY. Raises CellRefused."""
        return escaped(words(cell, mapping, longest=self._longest, optional=self._optional))


class Whole(Remembering):
    """A whole number."""

    def __init__(self, name: str, *, least: int, most: int) -> None:
        super().__init__(name)
        self._least = least
        self._most = most

    def work_out(self, cell: str, mapping: Mapping) -> str:
        """The number in digits. Raises CellRefused."""
        return str(whole(cell, mapping, least=self._least, most=self._most))


#: A column of numbers as nearly all files write them, with a divider after each. Nothing in it can be read in two ways,
#: so nothing is tried twice.
_PLAIN = re.compile(r"(?:(?:[0-9]{1,9}+(?:\.[0-9]{1,9}+)?+)?+;)*+")


class Number:
    """A number, or none."""

    def __init__(self, name: str, *, least: float = -1e9, most: float = 1e9) -> None:
        self.name = name
        self._least = least
        self._most = most
        # Nine digits before the point are within any bounds that are wide enough.
        self._plain = least <= 0 and most >= 1e9

    def texts(self, cells: Sequence[str], mapping: Mapping) -> tuple[Sequence[str], dict[int, str]]:
        """The cells as COPY wants them; and why some are refused, by their place."""
        joined = ";".join(cells) + ";"
        # As many dividers as cells: none of the cells holds one.
        if self._plain and _PLAIN.fullmatch(joined) and joined.count(";") == len(cells):
            return ([cell or NULL for cell in cells] if "" in cells else cells), {}
        found: list[str] = []
        refused: dict[int, str] = {}
        for place, cell in enumerate(cells):
            try:
                value = number(cell, mapping, least=self._least, most=self._most)
                found.append(NULL if value is None else repr(value))
            except CellRefused as error:
                found.append(NULL)
                refused[place] = str(error)
        return found, refused


def check(piece: Piece, columns: Sequence[Column], mapping: Mapping) -> Checked:
    """The good rows of a piece, and a problem for each cell that is refused. Empty rows are neither."""
    count = len(piece.lines)
    done: dict[str, Sequence[str]] = {}
    refused: dict[int, list[tuple[str, str]]] = {}
    for column in columns:
        cells = piece.columns.get(column.name)
        found, why = column.texts([""] * count if cells is None else cells, mapping)
        done[column.name] = found
        for place, reason in why.items():
            refused.setdefault(place, []).append((column.name, reason))
    checked = Checked(piece.lines, done, list(piece.problems))
    if refused:
        own = [cells for name, cells in piece.columns.items() if name in mapping.columns]
        for place in sorted(refused):
            if any(cells[place].strip() for cells in own):
                checked.problems += [RowProblem(piece.lines[place], name, why) for name, why in refused[place]]
        kept = [place not in refused for place in range(count)]
        checked.lines = list(compress(piece.lines, kept))
        checked.columns = {name: list(compress(cells, kept)) for name, cells in done.items()}
    return checked


def words(cell: str, mapping: Mapping, *, longest: int, optional: bool = False) -> str:
    """A name or a code as it is kept. Raises CellRefused."""
    if not is_text(cell):
        raise CellRefused(NO_TEXT)
    text = " ".join(cell.split())
    # How spreadsheets are told to leave a code as it is: ="0012".
    if text.startswith('="') and text.endswith('"') and len(text) > 2:
        text = text[2:-1].strip()
    if text.casefold() in mapping.no_values:
        if not optional:
            raise CellRefused("is missing")
        return ""
    if text[0] in "=@":
        raise CellRefused("is a formula, not a value: save the values only")
    if len(text) > longest:
        raise CellRefused(f"has {len(text)} characters; {longest} are accepted")
    if not text.isprintable():
        raise CellRefused(NO_TEXT)
    return text


_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def whole(cell: str, mapping: Mapping, *, least: int, most: int) -> int:
    """A whole number; 12.0 is one. Raises CellRefused."""
    text = cell.strip()
    if text.casefold() in mapping.no_values:
        raise CellRefused("is missing")
    if not _WHOLE.fullmatch(text):
        raise CellRefused("is no whole number; write it in digits, such as 12")
    value = int(text.partition(".")[0])
    if not least <= value <= most:
        raise CellRefused(f"is not between {least} and {most}")
    return value


def number(cell: str, mapping: Mapping, *, least: float, most: float) -> float | None:
    """A number, or None where there is none. Raises CellRefused."""
    text = cell.strip()
    if text.casefold() in mapping.no_values:
        return None
    if mapping.decimal == "," and "." not in text:
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text) or len(text) > 100:
        raise CellRefused(f"is no number; write it in digits, such as 72{mapping.decimal}35")
    value = float(text)
    if not math.isfinite(value) or not least <= value <= most:
        raise CellRefused(f"is not between {least:g} and {most:g}")
    return value


_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def escaped(text: str) -> str:
    """A text as COPY's text format writes it."""
    return text.translate(_ESCAPED)


def copied(columns: Iterable[Iterable[str]]) -> bytes:
    """Rows in COPY's text format, from their columns."""
    text = "\n".join(map("\t".join, zip(*columns, strict=False)))
    return f"{text}\n".encode() if text else b""
