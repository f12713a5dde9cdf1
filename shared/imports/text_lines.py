"""The lines of a text file, in blocks, whatever its encoding and however long a line pretends to be."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from shared.imports.problems import LONGEST_ROW, FileRefused

_BLOCK = 1 << 18

#: Characters of a line that are looked at.
LONGEST_LINE = LONGEST_ROW

#: What stands where a line was cut off: no text can hold it, so no cell with it is taken.
CUT_OFF = "\udcff"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def encoding_of(beginning: bytes, default: str) -> tuple[str, int]:
    """The encoding that a file's first bytes tell, and how many of them are only its mark.

    Raises FileRefused if they are no text.
    """
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return encoding, len(mark)
    if b"\x00" in beginning:
        raise FileRefused("it holds NUL characters, so it is no text: save it as “CSV UTF-8” or as .xlsx")
    return default, 0


def blocks(file: BinaryIO, encoding: str) -> Iterator[list[str]]:
    """The lines of a file from where it stands, each with its line break, some at a time.

    A byte that is not of the encoding becomes a character that no text can hold, so that only its cell is refused.
    """
    errors = "replace" if encoding.startswith("utf-16") or encoding.startswith("utf-32") else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    rest = ""
    skipping = False
    while True:
        block = file.read(_BLOCK)
        text = rest + decoder.decode(block, final=not block)
        if skipping:
            end = text.find("\n") + 1
            if not end and block:
                rest = ""
                continue
            text, skipping = text[end:] if end else "", False
        end = text.rfind("\n") + 1
        if not end and len(text) > LONGEST_LINE:
            # Files of old ended their lines otherwise; the last character may be half of a line break.
            end = text.rfind("\r", 0, -1) + 1
            if not end:
                yield [text[:LONGEST_LINE] + CUT_OFF + "\n"]
                rest, skipping = "", True
                continue
        if not block:
            if text:
                yield io.StringIO(text, newline="").readlines()
            return
        rest = text[end:]
        if end:
            yield io.StringIO(text[:end], newline="").readlines()
