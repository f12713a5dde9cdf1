"""CSV files: commas, semicolons, tabs or bars; quoted cells with line breaks; a title above the header."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import BinaryIO, Protocol

from shared.imports import text_lines
from shared.imports.mapping import HEADER_WITHIN, Header, Wanted
from shared.imports.pieces import MOST_CHARACTERS, Piece
from shared.imports.problems import LONGEST_CELL, LONGEST_ROW, FileRefused, RowProblem

_DELIMITERS = ",;\t|"

#: How a spreadsheet may say in the first line what divides the cells.
_SAYS = re.compile(r"sep=(.)\r?\n?")

_BREAK = re.compile(r"\r\n|\r|\n")

csv.field_size_limit(LONGEST_CELL)

#: Rows taken at once: as many of the longest lines are within the bounds of a piece.
_AT_ONCE = MOST_CHARACTERS // LONGEST_ROW


def pieces(file: BinaryIO, encoding: str, wanted: Wanted, size: int, skip: int) -> Iterator[Piece]:
    """The rows of a CSV file, ``size`` at a time, without its first ``skip`` records.

    Raises FileRefused if no line is a header of this source.
    """
    read = text_lines.blocks(file, encoding)
    beginning = _beginning(read)
    before, delimiter, header = _understood(beginning, wanted)
    blocks = _Blocks(chain(([line] for line in beginning), read))
    lines = chain.from_iterable(blocks)
    # Skipped by the line, as a title above the header may be no CSV.
    reader = csv.reader(islice(lines, before, None), delimiter=delimiter, strict=True)
    next(reader)
    yield from _Rows(reader, blocks, before, header).pieces(file, size, skip)


class _Blocks:
    """Lines of a file, block by block, of which a row takes only so many: one that never ends would fill the memory."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        self._blocks = blocks
        #: Characters handed out so far, and how many of them may be.
        self.characters = 0
        self.most = 2 * MOST_CHARACTERS

    def __iter__(self) -> "_Blocks":
        return self

    def __next__(self) -> list[str]:
        if self.characters > self.most:
            raise FileRefused("one of its rows has no end: look for a quotation mark that is never closed")
        block = next(self._blocks)
        self.characters += sum(map(len, block))
        return block


def _beginning(blocks: Iterable[list[str]]) -> list[str]:
    beginning: list[str] = []
    characters = 0
    for block in blocks:
        beginning += block
        characters += sum(map(len, block))
        if len(beginning) > 4 * HEADER_WITHIN or characters > MOST_CHARACTERS:
            break
    return beginning


def _understood(beginning: list[str], wanted: Wanted) -> tuple[int, str, Header]:
    """How many lines stand above the header, what divides the cells, and the header."""
    if not any(line.strip() for line in beginning):
        raise FileRefused("it is empty: it needs a line that names the columns, and rows")
    said = _SAYS.fullmatch(beginning[0])
    read = [(delimiter, *_first_rows(beginning, delimiter)) for delimiter in (said[1] if said else _DELIMITERS)]
    # By what divides them best the most columns are known; that also says most plainly what is wrong.
    delimiter, rows, starts = max(read, key=lambda one: wanted.known_columns(one[1]))
    number, header = wanted.header(rows)
    return starts[number], delimiter, header


def _first_rows(beginning: list[str], delimiter: str) -> tuple[list[list[str]], list[int]]:
    """The first rows, and at which line each begins."""
    rows: list[list[str]] = []
    starts: list[int] = []
    start = 0
    while start < len(beginning) and len(rows) < HEADER_WITHIN:
        reader = csv.reader(islice(beginning, start, None), delimiter=delimiter, strict=True)
        try:
            cells = next(reader, list[str]())
        except csv.Error:
            cells = []
        rows.append(cells)
        starts.append(start)
        start += max(reader.line_num, 1)
    return rows, starts


class _Reader(Protocol):
    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class _Rows:
    """The rows below a header."""

    def __init__(self, reader: _Reader, blocks: _Blocks, before: int, header: Header) -> None:
        self._reader = reader
        self._blocks = blocks
        self._before = before
        self._header = header

    def pieces(self, file: BinaryIO, size: int, skip: int) -> Iterator[Piece]:
        """The rows, some at a time."""
        while True:
            began = self._before + self._reader.line_num + 1
            rows, broken = self._take(min(size, skip) if skip else size)
            records = len(rows) + (broken is not None)
            if not records:
                return
            if skip:
                skip -= records
                continue
            yield self._piece(rows, began, broken, file.tell())

    def _take(self, count: int) -> tuple[list[list[str]], str | None]:
        """Up to so many rows; fewer where one is no CSV, with the reason."""
        rows: list[list[str]] = []
        blocks = self._blocks
        began = blocks.characters
        try:
            while len(rows) < count and blocks.characters - began <= MOST_CHARACTERS:
                blocks.most = blocks.characters + 2 * MOST_CHARACTERS
                before = len(rows)
                rows.extend(islice(self._reader, min(_AT_ONCE, count - before)))
                if len(rows) == before:
                    break
        except csv.Error as error:
            return rows, str(error)
        return rows, None

    def _piece(self, rows: list[list[str]], began: int, broken: str | None, position: int) -> Piece:
        records = len(rows) + (broken is not None)
        after = self._before + self._reader.line_num + 1
        lines: Sequence[int] = range(began, began + len(rows))
        if after - began != len(rows):
            lines = list(accumulate(map(_lines_of, rows), initial=began))
            began, lines = lines[-1], lines[:-1]
        problems: list[RowProblem] = []
        if broken is not None:
            last = after - 1
            several = f"; lines {began} to {last} were read as one row" if last > began else ""
            problems.append(RowProblem(began, "", f"is no CSV: {broken}{several}"))
        width = self._header.width
        if rows and set(map(len, rows)) != {width}:
            rows, lines, uneven = _of_width(rows, lines, width)
            problems += uneven
        cells: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) or [()] * width
        columns = {field: cells[place] for field, place in self._header.places.items()}
        return Piece(records, lines, columns, problems, position, self._header.names)


def _lines_of(cells: list[str]) -> int:
    """How many lines a row takes: its cells keep the line breaks they hold."""
    return 1 + sum(len(_BREAK.findall(cell)) for cell in cells)


def _of_width(
    rows: list[list[str]], lines: Sequence[int], width: int
) -> tuple[list[list[str]], list[int], list[RowProblem]]:
    """The rows as wide as the header, where empty cells at the end do not count; and problems of the others."""
    kept: list[list[str]] = []
    where: list[int] = []
    problems: list[RowProblem] = []
    for cells, line in zip(rows, lines, strict=True):
        if len(cells) == width or (len(cells) > width and not any(cell.strip() for cell in cells[width:])):
            kept.append(cells[:width])
            where.append(line)
        elif any(cell.strip() for cell in cells):
            problems.append(RowProblem(line, "", f"has {len(cells)} columns instead of {width}"))
    return kept, where, problems
