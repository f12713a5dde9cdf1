"""Reading a file as it comes: CSV, a workbook or JSON Lines, told apart by what is in it and not by its name."""

from collections.abc import Iterator
from typing import BinaryIO

from shared.imports import delimited, json_lines, text_lines, workbook
from shared.imports.mapping import Wanted
from shared.imports.pieces import Piece
from shared.imports.problems import FileRefused

#: Rows of a piece unless a source asks for fewer: few enough to stay in the processor's cache.
ROWS = 500

#: What other files begin with, and what to send instead.
_OTHER = (
    (b"\xd0\xcf\x11\xe0", "it is an old or an encrypted Office file: save it as .xlsx without a password, or as CSV"),
    (b"%PDF", "it is a PDF: send the table it was made from, as CSV or .xlsx"),
    (b"\x1f\x8b", "it is packed: unpack it first"),
    (b"7z\xbc\xaf", "it is packed: unpack it first"),
    (b"Rar!", "it is packed: unpack it first"),
    (b"<", "it is HTML or XML: save the table as CSV or .xlsx"),
    (b"[", "it is one JSON array: send JSON Lines, one object a line"),
)


def pieces(file: BinaryIO, wanted: Wanted, *, size: int = ROWS, skip: int = 0) -> Iterator[Piece]:
    """The rows of a file, ``size`` records at a time, without its first ``skip`` records.

    The same file is cut into the same records each time, so that an import can go on where it was broken off. Raises
    FileRefused, at once or while it is read, if it cannot be read or is none of this source.
    """
    file.seek(0)
    beginning = file.read(4096)
    file.seek(0)
    if beginning.startswith(b"PK\x03\x04"):
        found = workbook.pieces(file, wanted, size, skip)
    else:
        for start, what in _OTHER:
            if beginning.lstrip().startswith(start):
                raise FileRefused(what)
        encoding, mark = text_lines.encoding_of(beginning, wanted.mapping.encoding)
        file.seek(mark)
        is_json = beginning[mark:].decode(encoding, "replace").lstrip().startswith("{")
        found = (json_lines if is_json else delimited).pieces(file, encoding, wanted, size, skip)
    for piece in found:
        if piece.lines:
            wanted.mapping.derived(piece.columns, len(piece.lines))
        yield piece
