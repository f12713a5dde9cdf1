"""Cutting a CSV file into parts between its rows, so that each is a CSV text with the file's header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import UserError


@dataclass(frozen=True)
class Part:
    """Some rows of a file, under its header."""

    text: str
    rows: int
    #: Lines of the file between the header and the first of these rows.
    skipped_lines: int


def parts_of(file: Path, *, rows: int) -> Iterator[Part]:
    """The parts of a file, each with up to `rows` rows.

    What the CSV reader cannot make out goes into one last part as it is: the service says what is wrong with it.
    Raises UserError if the file cannot be read, is empty or is not UTF-8.
    """
    lines = _lines(file)
    header, *ends = _row_ends(lines)
    head = "".join(lines[:header])
    if not ends:
        yield Part(head, 0, 0)
    began = header
    for first in range(0, len(ends), rows):
        portion = ends[first : first + rows]
        yield Part(head + "".join(lines[began : portion[-1]]), len(portion), began - header)
        began = portion[-1]


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{file} is not UTF-8 in line {line}: save it as “CSV UTF-8”.") from error
    lines = io.StringIO(text, newline="").readlines()
    if not lines:
        raise UserError(f"{file} is empty: it needs a header line and rows.")
    return lines


def _row_ends(lines: list[str]) -> list[int]:
    """For each row, the header's first, the number of lines up to its end; a quoted cell may hold line breaks."""
    reader = csv.reader(lines, strict=True)
    ends: list[int] = []
    try:
        for _ in reader:
            ends.append(reader.line_num)
    except csv.Error:
        ends.append(len(lines))
    return ends
