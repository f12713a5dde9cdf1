"""Workbooks made by hand, also such as no spreadsheet program makes."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def cell(value: object, reference: str = "") -> str:
    """A cell as spreadsheet programs write it: text inline, numbers as they are."""
    place = f' r="{reference}"' if reference else ""
    if isinstance(value, str):
        return f'<c{place} t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c{place}><v>{value}</v></c>" if value is not None else f"<c{place}/>"


def row(number: int, *cells: str) -> str:
    """A row of cells that are XML already."""
    return f'<row r="{number}">{"".join(cells)}</row>'


def rows(values: Sequence[Sequence[object]]) -> str:
    """Rows of plain values, numbered from 1."""
    return "".join(row(number, *map(cell, one)) for number, one in enumerate(values, 1))


def workbook(
    sheets: Mapping[str, str] | str,
    *,
    texts: Sequence[str] | None = None,
    styles: str | None = None,
    hidden: Sequence[str] = (),
    from_1904: bool = False,
    prologue: str = "",
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """A workbook of sheets whose rows are given as XML."""
    named = {"Results": sheets} if isinstance(sheets, str) else sheets
    parts: dict[str, str] = {}
    listed, relations = "", ""
    for number, (name, content) in enumerate(named.items(), 1):
        state = ' state="hidden"' if name in hidden else ""
        listed += f'<sheet name="{name}" sheetId="{number}"{state} r:id="rId{number}"/>'
        relations += f'<Relationship Id="rId{number}" Type="x" Target="worksheets/sheet{number}.xml"/>'
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'{prologue}<worksheet xmlns="{_MAIN}"><sheetData>{content}</sheetData></worksheet>'
        )
    epoch = '<workbookPr date1904="1"/>' if from_1904 else ""
    parts["xl/workbook.xml"] = (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">{epoch}<sheets>{listed}</sheets></workbook>'
    )
    parts["xl/_rels/workbook.xml.rels"] = f"<Relationships>{relations}</Relationships>"
    if texts is not None:
        held = "".join(f"<si>{text}</si>" for text in texts)
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{_MAIN}">{held}</sst>'
    if styles is not None:
        parts["xl/styles.xml"] = f'<styleSheet xmlns="{_MAIN}">{styles}</styleSheet>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return out.getvalue()
