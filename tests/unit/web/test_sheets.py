"""Tables for spreadsheet programs: whole, readable, and without a single formula."""

import csv
import io
import zipfile
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sheets import csv_of, xlsx_of

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
HARMFUL = ["=1+1", "+1", "-1", "@SUM(A1)", "|calc", " =1", "\t=1", "\n=1", "%0A=1", "＝1"]
CELLS = st.text(st.characters(codec="utf-8"), max_size=30)


def read_csv(table: bytes) -> list[list[str]]:
    assert table.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def read_xlsx(table: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(table)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    assert not list(sheet.iter(f"{MAIN}f"))
    rows = []
    for row in sheet.iter(f"{MAIN}row"):
        cells = list(row.iter(f"{MAIN}c"))
        assert {cell.get("t") for cell in cells} <= {"inlineStr"}
        rows.append(["".join(cell.itertext()) for cell in cells])
    return rows


@pytest.mark.parametrize("text", HARMFUL)
def test_a_text_that_would_be_a_formula_is_none_in_csv(text: str) -> None:
    assert read_csv(csv_of(["a"], [[text]]))[1] == [f"'{text}"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('x";=HYPERLINK("//a")', 'x";\'=HYPERLINK("//a")'),
        ("x\t=1", "x\t'=1"),
        ('x; "=1;+2', "x; \"'=1;'+2"),
        ("=1;=2", "'=1;'=2"),
    ],
)
def test_a_text_is_no_formula_where_other_programs_divide_cells(text: str, written: str) -> None:
    assert read_csv(csv_of(["a"], [[text]]))[1] == [written]


def test_a_text_that_is_no_formula_stays_as_it_is() -> None:
    texts = ["Surgery", "3.5 Supervision", "a=b", "O'Neill", "", "“quoted”, and; so on\nsecond line"]
    assert read_csv(csv_of(["a"], [[text] for text in texts]))[1:] == [[text] for text in texts]


@pytest.mark.parametrize("text", HARMFUL)
def test_a_text_that_would_be_a_formula_is_a_text_in_xlsx(text: str) -> None:
    assert read_xlsx(xlsx_of("Sheet", ["a"], [[text]]))[1] == [text]


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5))
def test_whatever_a_cell_holds_both_files_can_be_read_and_hold_the_same(rows: list[list[str]]) -> None:
    columns = ["a", "b", "c"]
    printed, sheet = read_csv(csv_of(columns, rows)), read_xlsx(xlsx_of("S", columns, rows))
    assert [len(row) for row in printed] == [len(row) for row in sheet] == [3] * (len(rows) + 1)
    for one, other in zip(printed[1:], sheet[1:], strict=True):
        for a, b in zip(one, other, strict=True):
            # XML reads every end of a line as a line feed. Apostrophes are put in front of what would be a formula.
            assert a.replace("'", "").replace("\r\n", "\n").replace("\r", "\n") == b.replace("'", "")


def test_columns_beyond_the_twenty_sixth_are_named_on() -> None:
    sheet = xlsx_of("S", [str(n) for n in range(30)], [])
    with zipfile.ZipFile(io.BytesIO(sheet)) as archive:
        assert b'r="AD1"' in archive.read("xl/worksheets/sheet1.xml")


def test_a_cell_holds_no_more_than_a_spreadsheet_program_takes() -> None:
    assert len(read_xlsx(xlsx_of("S", ["a"], [["x" * 40_000]]))[1][0]) == 32_767


def test_the_same_table_is_the_same_file() -> None:
    assert xlsx_of("S", ["a"], [["1"]]) == xlsx_of("S", ["a"], [["1"]])
