"""The parts of an .xlsx workbook beside its sheets: what is in it, its texts and its formats; with bounds.

A workbook is a zip archive of XML. Both can pretend to be far more than they are, so nothing is unpacked that says it
is too much, no document type is accepted, and texts are kept up to a limit.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast
from xml.parsers import expat

from shared.imports.problems import LONGEST_CELL, FileRefused

_BLOCK = 1 << 16

#: Bytes that all used parts of a workbook may have when unpacked. A full sheet of a million rows has about a tenth.
LARGEST_UNPACKED = 4 << 30
#: A part larger than this must not have been packed more tightly than sheets can be.
_SMALL = 10 << 20
_TIGHTEST = 250

#: A tag, with its attributes, or a comment: the parser holds all of one in memory. In bytes.
_LONGEST_TAG = 1 << 20

#: The parts in which a workbook says what is in it: larger ones say more than any program writes. In bytes.
_LARGEST_COMMON = 16 << 20

#: What is read of the archive at once: its directory is, and takes ten times as much memory. Bytes.
_MOST_AT_ONCE = 1 << 20

#: Memory that the texts of a workbook may take, in bytes, with what an object takes beside its characters.
_LARGEST_TEXTS = 96 << 20
_EACH_TEXT = 70

#: Built-in number formats that show days or times.
_DAYS = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook."""

    name: str
    part: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What all sheets of a workbook have in common."""

    sheets: list[Sheet]
    texts: list[str]
    #: Cell formats that show days or times, by their number.
    days: frozenset[int]
    #: True if days count from 1904, as on Macs of old.
    from_1904: bool


class _InBounds:
    """A file of which nobody reads much at once, whatever its archive says of itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes. Raises FileRefused for more than a workbook needs."""
        read = self._file.read(min(size, _MOST_AT_ONCE + 1) if size >= 0 else _MOST_AT_ONCE + 1)
        if len(read) > _MOST_AT_ONCE:
            raise FileRefused("it is no ordinary workbook: it is an archive of more parts than any workbook has")
        return read


class Archive:
    """The zip archive of a workbook, read in bounds. Raises FileRefused for one that is damaged or too large."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(cast("IO[bytes]", _InBounds(file)))
        except FileRefused:
            raise
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise FileRefused("it is a damaged workbook: open it, save it again as .xlsx, and send that") from error
        self._unpacked = 0

    def __contains__(self, part: str) -> bool:
        return part in self._zip.NameToInfo

    def parse(self, part: str, start: "Start", end: "End", text: "Text") -> Iterator[None]:
        """Parse a part; after each block of it there is something to take."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: start(_local(name), attributes)
        parser.EndElementHandler = lambda name: end(_local(name))
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        try:
            with self._zip.open(self._bounded(part)) as file:
                given = 0
                while block := file.read(_BLOCK):
                    parser.Parse(block, False)
                    given += len(block)
                    if given - parser.CurrentByteIndex > _LONGEST_TAG:
                        raise FileRefused(f"it is no ordinary workbook: it has a tag without end (in {part})")
                    yield
                parser.Parse(b"", True)
                yield
        except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, OSError, RuntimeError) as error:
            raise FileRefused(f"it is a damaged workbook (in {part}): save it again as .xlsx, or as CSV") from error
        except ValueError as error:
            if isinstance(error, FileRefused):
                raise
            raise FileRefused(f"it is a damaged workbook (in {part}): save it again as .xlsx, or as CSV") from error

    def read(self, part: str, start: "Start", end: "End", text: "Text") -> None:
        """Parse a whole part that a workbook has for all its sheets, except their texts."""
        if part in self and self._zip.getinfo(part).file_size > _LARGEST_COMMON:
            raise FileRefused(f"it is no ordinary workbook: its {part} is larger than any program writes it")
        for _ in self.parse(part, start, end, text):
            pass

    def _bounded(self, part: str) -> zipfile.ZipInfo:
        try:
            info = self._zip.getinfo(part)
        except KeyError as error:
            raise FileRefused(f"it is no .xlsx workbook: it has no {part}") from error
        self._unpacked += info.file_size
        tight = info.file_size > _SMALL and info.file_size > _TIGHTEST * max(info.compress_size, 1)
        if tight or self._unpacked > LARGEST_UNPACKED:
            raise FileRefused(
                f"it unpacks to {self._unpacked >> 20} MiB in {part}, which no sheet needs: save it as CSV"
            )
        return info


Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


def contents(archive: Archive) -> Contents:
    """The sheets, texts and formats of a workbook. Raises FileRefused."""
    sheets, from_1904 = _sheets(archive)
    texts = _texts(archive) if "xl/sharedStrings.xml" in archive else []
    days = _days(archive) if "xl/styles.xml" in archive else frozenset[int]()
    return Contents(sheets, texts, days, from_1904)


def _sheets(archive: Archive) -> tuple[list[Sheet], bool]:
    found: list[tuple[str, str, bool]] = []
    parts: dict[str, str] = {}
    from_1904 = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal from_1904
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if _local(key) == "id"), "")
            hidden = attributes.get("state", "visible") != "visible"
            found.append((attributes.get("name", ""), relation, hidden))
        elif name == "workbookPr":
            from_1904 = attributes.get("date1904", "0") in {"1", "true"}

    def related(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            parts[attributes.get("Id", "")] = _part(attributes.get("Target", ""))

    archive.read("xl/workbook.xml", start, _nothing, _nothing)
    archive.read("xl/_rels/workbook.xml.rels", related, _nothing, _nothing)
    sheets = [Sheet(name, parts[relation], hidden) for name, relation, hidden in found if relation in parts]
    return [sheet for sheet in sheets if sheet.part in archive], from_1904


def _texts(archive: Archive) -> list[str]:
    texts: list[str] = []
    runs: list[str] = []
    inside = phonetic = False
    length = memory = 0

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal inside, phonetic, length
        if name == "si":
            runs.clear()
            length = 0
        elif name == "rPh":
            phonetic = True
        elif name == "t":
            inside = not phonetic

    def end(name: str) -> None:
        nonlocal inside, phonetic, memory
        if name == "t":
            inside = False
        elif name == "rPh":
            phonetic = False
        elif name == "si":
            texts.append("".join(runs))
            memory += _EACH_TEXT + 2 * length
            if memory > _LARGEST_TEXTS:
                raise FileRefused("it holds more different texts than a workbook is read with: save it as CSV")

    def text(part: str) -> None:
        nonlocal length
        # One character more than a cell may have, so that the cell is refused.
        if inside and length <= LONGEST_CELL:
            runs.append(part)
            length += len(part)

    for _ in archive.parse("xl/sharedStrings.xml", start, end, text):
        pass
    return texts


def _days(archive: Archive) -> frozenset[int]:
    custom: set[int] = set()
    formats: list[int] = []
    in_cells = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal in_cells
        if name == "numFmt":
            code = _QUOTED.sub("", attributes.get("formatCode", "")).lower()
            if set(code) & set("dmyhs"):
                custom.add(int(attributes.get("numFmtId", "-1")))
        elif name == "cellXfs":
            in_cells = True
        elif name == "xf" and in_cells:
            formats.append(int(attributes.get("numFmtId", "0")))

    def end(name: str) -> None:
        nonlocal in_cells
        if name == "cellXfs":
            in_cells = False

    archive.read("xl/styles.xml", start, end, _nothing)
    return frozenset(place for place, number in enumerate(formats) if number in _DAYS or number in custom)


def _part(target: str) -> str:
    """The name in the archive of what a relation leads to."""
    if target.startswith("/"):
        return target[1:]
    return str(PurePosixPath("xl") / target)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _nothing(*_: object) -> None:
    pass


def _refuse_doctype(*_: object) -> None:
    raise FileRefused("it is no ordinary workbook: its XML declares a document type")
