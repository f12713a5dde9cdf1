"""Rows as models, for sources of some thousand rows: each is checked on its own, and across its columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece
from shared.imports.problems import LONGEST_CELL, RowProblem

R = TypeVar("R", bound=BaseModel)


class RowError(ValueError):
    """A rule across the columns of a row is broken; ``column`` is the one to look at."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


@dataclass(frozen=True, slots=True)
class ReadRow(Generic[R]):
    """A good row and the line it began on."""

    line: int
    row: R


def models(piece: Piece, model: type[R], mapping: Mapping) -> tuple[list[ReadRow[R]], list[RowProblem]]:
    """The good rows of a piece, and what is wrong with the others, by line. Empty rows are neither."""
    good: list[ReadRow[R]] = []
    problems = list(piece.problems)
    names = [name for name in piece.columns if name in model.model_fields]
    columns = [piece.columns[name] for name in names]
    for place, line in enumerate(piece.lines):
        cells = {name: _cell(column[place], mapping) for name, column in zip(names, columns, strict=True)}
        if not any(cells[name] for name in names if name in mapping.columns):
            continue
        if unreadable := [name for name, cell in cells.items() if not is_text(cell)]:
            problems += [RowProblem(line, name, NO_TEXT) for name in unreadable]
            continue
        try:
            good.append(ReadRow(line, model.model_validate(cells)))
        except ValidationError as error:
            problems += [RowProblem(line, column, reason) for column, reason in _reasons(error)]
    return good, problems


NO_TEXT = "holds characters that are no text: save the file as “CSV UTF-8”, or find the cell that is broken"


def is_text(cell: str) -> bool:
    """False if a cell holds what no text holds, such as bytes that are not of the file's encoding."""
    if cell.isascii() and cell.isprintable():
        return True
    return len(cell) <= LONGEST_CELL and not any(
        "\ud800" <= letter <= "\udfff" or letter == "\ufffd" or (letter < " " and letter not in "\t\r\n")
        for letter in cell
    )


def _cell(text: str, mapping: Mapping) -> str:
    return "" if text.strip().casefold() in mapping.no_values else text


def _reasons(error: ValidationError) -> Iterator[tuple[str, str]]:
    for found in error.errors(include_url=False, include_input=False):
        context: dict[str, Any] = found.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, RowError):
            yield cause.column, str(cause)
        else:
            yield str(found["loc"][0]) if found["loc"] else "", found["msg"]
