"""Tables for spreadsheet programs: CSV and XLSX, in which no cell is ever taken for a formula.

Whoever may write a text into a register must not be able to run something on the machine of whoever opens its export.
"""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: How a text begins that a spreadsheet program takes for a formula. Source: OWASP on CSV injection; programs also skip
#: leading white space, and some take the full-width forms of the signs for the signs themselves.
_FORMULA = re.compile(r"\s*[=+\-@|%＝＋－＠]")

#: The same after what divides the cells of other countries' files: a program that takes it for a divider begins a new
#: cell there, for quotation marks within a cell do not stop it. Source: OWASP, as above.
_FORMULA_WITHIN = re.compile(r"([;\t][\s\"']*)(?=[=+\-@|%＝＋－＠])")

#: What XML 1.0 cannot carry, and no cell needs.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Most characters a cell of a spreadsheet can hold.
_LONGEST = 32_767

#: Instant of every part of the archive: the same table is the same file.
_INSTANT = (1980, 1, 1, 0, 0, 0)


def csv_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A table as CSV, in UTF-8 with the mark by which spreadsheet programs know it.

    A text that would be taken for a formula gets an apostrophe in front, which such programs do not show; so does what
    follows a semicolon or a tab in a text, where some programs divide cells.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([_inert(_clean(cell)) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def xlsx_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A table as an XLSX workbook of one sheet. Every cell is a text, so none is a formula.

    ``title`` names the sheet: up to 31 characters, none of ``[]:*?/\\``.
    """
    lines = [_line(1, columns, style=1), *(_line(n, row, style=2) for n, row in enumerate(rows, 2))]
    sheet = _SHEET.format(last=f"{_letters(len(columns) - 1)}{len(rows) + 1}", count=len(columns), lines="".join(lines))
    parts = {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": _RELATIONS,
        "xl/workbook.xml": _WORKBOOK.format(title=escape(title, {'"': "&quot;"})),
        "xl/_rels/workbook.xml.rels": _WORKBOOK_RELATIONS,
        "xl/styles.xml": _STYLES,
        "xl/worksheets/sheet1.xml": sheet,
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in parts.items():
            part = zipfile.ZipInfo(name, _INSTANT)
            part.compress_type = zipfile.ZIP_DEFLATED
            written.writestr(part, _DECLARATION + content)
    return archive.getvalue()


def _inert(text: str) -> str:
    begins = _FORMULA.match(text)
    start, rest = (f"'{begins[0]}", text[begins.end() :]) if begins else ("", text)
    return start + _FORMULA_WITHIN.sub(r"\1'", rest)


def _clean(text: str) -> str:
    return _NO_XML.sub("", text)[:_LONGEST]


def _line(number: int, cells: Sequence[str], *, style: int) -> str:
    written = "".join(
        f'<c r="{_letters(place)}{number}" s="{style}" t="inlineStr">'
        f'<is><t xml:space="preserve">{escape(_clean(cell))}</t></is></c>'
        for place, cell in enumerate(cells)
    )
    return f'<row r="{number}">{written}</row>'


def _letters(place: int) -> str:
    """The name of a column, from 0: A, B … Z, AA …"""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SCHEMAS = "http://schemas.openxmlformats.org"
_MAIN = f"{_SCHEMAS}/spreadsheetml/2006/main"
_KIND = f"{_SCHEMAS}/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

_CONTENT_TYPES = (
    f'<Types xmlns="{_SCHEMAS}/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>'
)
_RELATIONS = (
    f'<Relationships xmlns="{_SCHEMAS}/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_KIND}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
_WORKBOOK = (
    f'<workbook xmlns="{_MAIN}" xmlns:r="{_KIND}">'
    '<sheets><sheet name="{title}" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
_WORKBOOK_RELATIONS = (
    f'<Relationships xmlns="{_SCHEMAS}/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_KIND}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_KIND}/styles" Target="styles.xml"/></Relationships>'
)
#: Cell formats: 0 as it comes, 1 a heading, 2 a text that wraps.
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}">'
    '<fonts count="2"><font><sz val="11"/><name val="Arial"/></font>'
    '<font><b/><sz val="11"/><name val="Arial"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="3"><xf xfId="0"/><xf xfId="0" fontId="1" applyFont="1"/>'
    '<xf xfId="0" applyAlignment="1"><alignment vertical="top" wrapText="1"/></xf></cellXfs></styleSheet>'
)
_SHEET = (
    f'<worksheet xmlns="{_MAIN}"><dimension ref="A1:{{last}}"/>'
    '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft"'
    ' state="frozen"/></sheetView></sheetViews>'
    '<cols><col min="1" max="{count}" width="24" customWidth="1"/></cols>'
    '<sheetData>{lines}</sheetData><autoFilter ref="A1:{last}"/></worksheet>'
)
