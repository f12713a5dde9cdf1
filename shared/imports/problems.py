"""What can be wrong with a file: with a row of it, or with all of it."""

from dataclasses import dataclass

#: Characters of a name of a file's own that are repeated to whoever sent it.
_LONGEST_NAME = 40

#: Characters of one cell. More is no cell but a mistake, such as a quote that was never closed.
LONGEST_CELL = 131_072

#: Characters of one row. A row of the longest cells is longer than any real one.
LONGEST_ROW = 4 * LONGEST_CELL


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row was not taken."""

    #: Line of the file, from 1; the header is line 1. In a workbook the row of the sheet.
    line: int
    #: Column at fault, or empty if the whole row is.
    column: str
    reason: str


class FileRefused(ValueError):
    """A file cannot be read at all. The message says why, and what to send instead; it quotes none of its rows."""


def shown(name: str) -> str:
    """What a file calls something, as a message repeats it: in short, and without what no text can hold.

    A file can hold bytes that are no text, which neither a database nor an answer could take.
    """
    cut = name.strip()[:_LONGEST_NAME]
    return cut if cut.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)
