"""Workbooks: what people see in a sheet is what is read, and no workbook costs more than it is worth."""

import io
import tracemalloc
import zipfile

import pytest

from shared.imports import reading
from shared.imports.mapping import Mapping, Wanted
from shared.imports.problems import LONGEST_CELL, FileRefused, RowProblem
from tests.fixtures.workbooks import cell, row, rows, workbook

MAPPING = Mapping.model_validate(
    {
        "source": "test",
        "title": "a list of results",
        "takes": "rows",
        "columns": {"provider": ["provider"], "day": ["day"], "mean": ["mean score"]},
    }
)
WANTED = Wanted(MAPPING, [{"provider"}, {"mean"}])
HEADER = ("Provider", "Day", "Mean score")

Found = tuple[list[tuple[int, str, str, str]], list[RowProblem]]


def read(content: bytes, *, mapping: Mapping = MAPPING, size: int = 2, skip: int = 0) -> Found:
    found: list[tuple[int, str, str, str]] = []
    problems: list[RowProblem] = []
    wanted = Wanted(mapping, WANTED.required)
    for piece in reading.pieces(io.BytesIO(content), wanted, size=size, skip=skip):
        columns = (piece.columns.get(name, [""] * len(piece.lines)) for name in ("provider", "day", "mean"))
        found += zip(piece.lines, *columns, strict=True)
        problems += piece.problems
    return found, problems


def test_rows_of_a_sheet_are_read_with_their_numbers() -> None:
    content = workbook(rows([("Survey of 2024",), HEADER, ("A", "2024-01-02", 72.35), ("B", None, 80)]))
    assert read(content) == ([(3, "A", "2024-01-02", "72.35"), (4, "B", "", "80")], [])


def test_a_sheet_is_gone_on_with() -> None:
    content = workbook(rows([HEADER, *((f"P{n}", "", n) for n in range(7))]))
    whole, _ = read(content)
    assert len(whole) == 7
    assert read(content, size=3, skip=4)[0] == whole[4:]


def test_numbers_are_those_that_people_see() -> None:
    content = workbook(
        rows([HEADER])
        + "".join(
            row(number, cell("A"), cell(None), f"<c><v>{value}</v></c>")
            for number, value in enumerate(("72.349999999999994", "1.2E1", "12.000000000000000", "1E-3", "5"), 2)
        )
    )
    assert [one[3] for one in read(content)[0]] == ["72.35", "12", "12", "0.001", "5"]


def test_shared_texts_formatted_texts_and_readings_for_pronunciation() -> None:
    texts = [
        "<t>Provider</t>",
        "<t>Day</t>",
        "<t>Mean score</t>",
        "<r><t>Fen</t></r><r><t>brook</t></r>",
        "<t>東京</t><rPh sb='0' eb='2'><t>とうきょう</t></rPh>",
    ]
    head = row(1, *(f'<c t="s"><v>{n}</v></c>' for n in range(3)))
    body = row(2, '<c t="s"><v>3</v></c>', cell(None), cell(1)) + row(3, '<c t="s"><v>4</v></c>', cell(None), cell(2))
    broken = row(4, '<c t="s"><v>99</v></c>', cell(None), cell(3)) + row(5, '<c t="s"><v>-1</v></c>', "", cell(3))
    found, problems = read(workbook(head + body + broken, texts=texts))
    assert [one[1] for one in found] == ["Fenbrook", "東京"]
    assert [(p.line, p.column) for p in problems] == [(4, "Provider"), (5, "Provider")]


def test_days_are_days_whatever_their_format_and_epoch() -> None:
    styles = (
        '<numFmts><numFmt numFmtId="170" formatCode="yyyy\\-mm\\-dd"/>'
        '<numFmt numFmtId="171" formatCode="0.0&quot;d&quot;"/>'
        '</numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/><xf numFmtId="171"/></cellXfs>'
    )
    body = "".join(
        row(n, cell("A"), f'<c s="{s}"><v>{v}</v></c>', cell(1))
        for n, (s, v) in enumerate(((1, "45293"), (2, "45293.5"), (3, "45293"), (0, "45293")), 2)
    )
    found, _ = read(workbook(rows([HEADER]) + body, styles=styles))
    assert [one[2] for one in found] == ["2024-01-02", "2024-01-02T12:00:00", "45293", "45293"]
    found, _ = read(
        workbook(rows([HEADER]) + row(2, cell("A"), '<c s="1"><v>0</v></c>', cell(1)), styles=styles, from_1904=True)
    )
    assert found[0][2] == "1904-01-01"


@pytest.mark.parametrize("value", ["1E300", "NaN", "-1E9", "x"])
def test_a_day_that_no_calendar_has_is_a_problem(value: str) -> None:
    styles = '<cellXfs><xf numFmtId="14"/></cellXfs>'
    found, problems = read(
        workbook(rows([HEADER]) + row(2, cell("A"), f"<c><v>{value}</v></c>", cell("1")), styles=styles)
    )
    assert found == []
    assert (problems[0].line, problems[0].column) == (2, "Day")


def test_formulas_give_the_result_that_was_saved_and_are_named_where_none_was() -> None:
    body = row(2, cell("A"), cell(None), "<c><f>SUM(1,2)</f><v>3</v></c>")
    body += row(3, cell("B"), cell(None), "<c><f>SUM(1,2)</f></c>")
    body += row(4, '<c t="str"><f>UPPER("c")</f><v>C</v></c>', cell(None), cell(4))
    body += row(5, cell("D"), cell(None), '<c t="e"><v>#N/A</v></c>')
    found, problems = read(workbook(rows([HEADER]) + body))
    assert [(one[1], one[3]) for one in found] == [("A", "3"), ("C", "4")]
    assert [(p.line, p.column) for p in problems] == [(3, "Mean score"), (5, "Mean score")]
    assert "formula whose result was not saved" in problems[0].reason
    assert "#N/A" in problems[1].reason


def test_the_first_sheet_that_fits_is_read_and_a_hidden_one_only_if_it_is_named() -> None:
    sheets = {"Notes": rows([("Read me",)]), "Old": rows([HEADER, ("X", "", 1)]), "New": rows([HEADER, ("A", "", 2)])}
    content = workbook(sheets, hidden=["Old"])
    assert read(content)[0][0][1] == "A"
    assert read(content, mapping=MAPPING.model_copy(update={"sheet": "Old"}))[0][0][1] == "X"
    with pytest.raises(FileRefused, match="no sheet 'Gone'"):
        read(content, mapping=MAPPING.model_copy(update={"sheet": "Gone"}))


def test_cells_far_out_and_rows_far_down_cost_nothing() -> None:
    body = row(1_000_000, cell("A", "A1000000"), cell(1, "C1000000"))
    body += row(1_000_001, cell("B", "A1000001"), cell(1, "C1000001"), cell("far", "XFD1000001"))
    body += row(1_000_002, cell("C", "A1000002"), cell(1, "C1000002"), cell("near", "E1000002"))
    found, problems = read(workbook(rows([HEADER]) + body))
    assert [one[:2] for one in found] == [(1_000_000, "A"), (1_000_001, "B")]
    assert [(p.line, p.reason) for p in problems] == [(1_000_002, "has cells beyond the 3 columns of the header")]


def test_rows_whose_numbers_no_sheet_has_are_numbered_on() -> None:
    cells = (cell("A"), cell(None), cell(1))
    body = "".join(f'<row r="{number}">{"".join(cells)}</row>' for number in ("7", "7", "99999999999", "٣", "1", "9"))
    found, problems = read(workbook(rows([HEADER]) + body))
    assert ([one[0] for one in found], problems) == ([7, 8, 9, 10, 11, 12], [])


def test_a_huge_cell_is_a_problem_of_its_row() -> None:
    huge = "x" * (LONGEST_CELL + 5)
    found, problems = read(workbook(rows([HEADER, (huge, "", 1), ("B", "", 2)])))
    assert [one[1] for one in found] == ["B"]
    assert (problems[0].line, problems[0].column) == (2, "Provider")


def peak_of(content: bytes) -> int:
    tracemalloc.start()
    with pytest.raises(FileRefused):
        read(content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_a_sheet_that_unpacks_to_far_more_than_it_is_is_refused() -> None:
    bomb = workbook(rows([HEADER]) + "<row>" + " " * 60_000_000 + "</row>")
    assert len(bomb) < 200_000
    with pytest.raises(FileRefused, match="unpacks to"):
        read(bomb)


def test_texts_without_end_are_refused_before_they_fill_the_memory() -> None:
    texts = [f"<t>{n:08}{'x' * 200}</t>" for n in range(400_000)]
    bomb = workbook(rows([HEADER]), texts=texts)
    del texts
    assert peak_of(bomb) < 200_000_000


def test_entities_that_multiply_are_refused() -> None:
    doctype = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(FileRefused, match="document type"):
        read(workbook(rows([HEADER]), prologue=doctype))


def test_what_is_damaged_or_no_workbook_is_refused() -> None:
    good = workbook(rows([HEADER, *((f"P{n}", "", n) for n in range(2_000))]))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("hello.txt", "hello")
    place = good.find(b"xl/worksheets/sheet1.xml") + 200
    spoilt = good[:place] + bytes(byte ^ 0xFF for byte in good[place : place + 50]) + good[place + 50 :]
    for content in (b"PK\x03\x04", good[: len(good) // 2], other.getvalue(), spoilt):
        with pytest.raises(FileRefused, match="workbook"):
            read(content)
