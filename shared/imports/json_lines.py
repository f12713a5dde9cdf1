"""JSON Lines: one object a line, its members named like columns."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO

from shared.imports import text_lines
from shared.imports.mapping import Wanted
from shared.imports.pieces import MOST_CHARACTERS, Piece
from shared.imports.problems import LONGEST_CELL, FileRefused, RowProblem, shown


class _Unusable(ValueError):
    """An object that cannot be a row; the message says why."""


def pieces(file: BinaryIO, encoding: str, wanted: Wanted, size: int, skip: int) -> Iterator[Piece]:
    """The objects of a file, ``size`` at a time, without its first ``skip`` records.

    Raises FileRefused if the first object lacks what every row of this source needs.
    """
    numbered = enumerate(chain.from_iterable(text_lines.blocks(file, encoding)), 1)
    first = True
    names: dict[str, str] = {}
    rows: list[dict[str, str]] = []
    lines: list[int] = []
    problems: list[RowProblem] = []
    records = characters = 0
    for number, line in numbered:
        records += 1
        characters += len(line)
        try:
            cells = _cells(line, wanted, names) if line.strip() else None
        except _Unusable as error:
            problems.append(RowProblem(number, "", str(error)))
        else:
            if cells is not None:
                if first and (missing := wanted.missing(cells)):
                    raise FileRefused(
                        f"line {number} has not the members of {wanted.mapping.title} (missing: {', '.join(missing)})"
                    )
                first = False
                rows.append(cells)
                lines.append(number)
        if records == (min(size, skip) or size) or characters > MOST_CHARACTERS:
            if skip:
                skip -= records
            else:
                yield _piece(records, rows, lines, problems, file.tell(), names)
            rows, lines, problems, records, characters = [], [], [], 0, 0
    if records and not skip:
        yield _piece(records, rows, lines, problems, file.tell(), names)


def _piece(
    records: int,
    rows: list[dict[str, str]],
    lines: list[int],
    problems: list[RowProblem],
    position: int,
    names: Mapping[str, str],
) -> Piece:
    # As in a file of columns, a field that no row has is none that is empty.
    fields = dict.fromkeys(chain.from_iterable(rows))
    columns: dict[str, Sequence[str]] = {field: [cells.get(field, "") for cells in rows] for field in fields}
    return Piece(records, lines, columns, problems, position, dict(names))


def _cells(line: str, wanted: Wanted, names: dict[str, str]) -> dict[str, str]:
    """The cells of an object, by field; what a field was first called is added to the names. Raises _Unusable."""
    if text_lines.CUT_OFF in line:
        raise _Unusable(f"is longer than {text_lines.LONGEST_LINE} characters, or holds bytes that are not UTF-8")
    try:
        members = json.loads(line, object_pairs_hook=_Members, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply or has no end"
        raise _Unusable(f"is no JSON: {said}") from error
    if not isinstance(members, _Members):
        raise _Unusable("is no JSON object")
    cells: dict[str, str] = {}
    for name, value in members.pairs:
        field = wanted.mapping.field_of(name)
        if field is None:
            if wanted.mapping.other_columns == "refuse":
                raise _Unusable(f"has a member that is unknown: {shown(name)}")
            continue
        if field in cells:
            raise _Unusable(f"names one thing twice: {shown(name)}")
        cells[field] = _text(name, value)
        names.setdefault(field, name[:200])
    return cells


class _Members:
    """The members of an object as they stand there: a dictionary would hide one that is there twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise _Unusable(f"holds more than a plain value in {shown(name)}")
    if len(value) > LONGEST_CELL:
        raise _Unusable(f"holds more than {LONGEST_CELL} characters in {shown(name)}")
    return value
