"""Rows of a file as readers hand them on: by column, some thousand at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.imports.problems import RowProblem

#: Characters of a piece, about: one that holds more rows' worth of them ends early, so that memory stays bounded
#: whatever the cells hold.
MOST_CHARACTERS = 4 << 20


@dataclass(slots=True)
class Piece:
    """Some rows of a file, by column; every cell is text as it was written."""

    #: Records taken from the file for this piece: rows, bad ones and empty ones.
    records: int
    #: The line each row began on.
    lines: Sequence[int]
    columns: dict[str, Sequence[str]]
    #: Rows that could not be read as rows.
    problems: list[RowProblem] = field(default_factory=list[RowProblem])
    #: How far into the file its end is, in bytes; about.
    position: int = 0
    #: What the file calls each field.
    names: Mapping[str, str] = field(default_factory=dict[str, str])
