"""Files made to fill the memory or to take for ever: each is read in bounds, or refused with a reason."""

import io
import random
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from shared.imports import reading
from shared.imports.mapping import Mapping, Wanted
from shared.imports.pieces import MOST_CHARACTERS
from shared.imports.problems import FileRefused, RowProblem
from tests.fixtures.workbooks import cell, row, rows, workbook

MAPPING = Mapping.model_validate(
    {"source": "test", "title": "a list", "takes": "rows", "columns": {"provider": ["provider"], "n": ["n"]}}
)
WANTED = Wanted(MAPPING, [{"provider"}, {"n"}])
HEADER = ("provider", "n")

#: Bytes that reading one piece and the next may take at most: what is given to the reader is not among it.
IN_BOUNDS = 20 * MOST_CHARACTERS


def read(content: bytes, *, size: int = 2_000, skip: int = 0) -> tuple[list[str], list[RowProblem], int]:
    """The providers, the problems, and the memory it took at most."""
    found: list[str] = []
    problems: list[RowProblem] = []
    file = io.BytesIO(content)
    tracemalloc.start()
    try:
        for piece in reading.pieces(file, WANTED, size=size, skip=skip):
            found += [one[:8] for one in piece.columns["provider"]]
            problems += piece.problems
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return found, problems, most


def with_attribute() -> bytes:
    return workbook(rows([HEADER]) + f'<row r="2" x="{"y" * 3_000_000}"/>')


def with_comment() -> bytes:
    return workbook(rows([HEADER]) + f"<!--{'y' * 3_000_000}-->")


def with_styles() -> bytes:
    return workbook(rows([HEADER]), styles=f"<cellXfs>{'<xf/>' * 4_000_000}</cellXfs>")


def with_parts() -> bytes:
    content = io.BytesIO(workbook(rows([HEADER])))
    with zipfile.ZipFile(content, "a") as archive:
        for number in range(25_000):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    return content.getvalue()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (with_attribute, "a tag without end"),
        (with_comment, "a tag without end"),
        (with_styles, "larger than any program writes it"),
        (with_parts, "more parts than any workbook has"),
    ],
)
def test_a_workbook_that_says_more_of_itself_than_any_program_does_is_refused(
    made: Callable[[], bytes], said: str
) -> None:
    with pytest.raises(FileRefused, match=said):
        read(made())


def test_a_row_that_never_ends_is_refused() -> None:
    with pytest.raises(FileRefused, match="has no end"):
        read(b"provider,n\n" + b'"\n",' * 3_000_000)


def test_wide_rows_and_long_cells_are_read_in_small_pieces() -> None:
    noise = random.Random(1)
    wide = b"provider,n\n" + (b"A,1" + b"," * 100_000 + b"\n") * 300
    long = b"provider,n\n" + (b"A" * 100_000 + b",1\n") * 300
    lines = b'{"provider":"' + b"A" * 100_000 + b'","n":1}\n'
    texts = workbook(
        rows([HEADER]) + "".join(row(n, cell(noise.randbytes(500).hex() * 100), cell(1)) for n in range(2, 302))
    )
    for content in (wide, long, lines * 300, texts):
        found, problems, most = read(content)
        assert (len(found), problems) == (300, [])
        assert most < IN_BOUNDS, content[:40]
        assert len(read(content, skip=123)[0]) == 177


def test_a_row_of_a_sheet_has_no_more_text_than_a_line() -> None:
    body = row(2, cell("A"), *(cell("x" * 100_000) for _ in range(8))) + row(3, cell("B"), cell(1))
    body += row(4, *(f'<c r="{place}4" t="str"><v>{"x" * 120_000}</v></c>' for place in "CDEFGA"), cell(1, "B4"))
    found, problems, most = read(workbook(rows([HEADER]) + body))
    assert found == ["B"]
    assert [(p.line, p.column) for p in problems] == [(2, ""), (4, "provider"), (4, "n")]
    assert most < IN_BOUNDS


def test_no_problem_repeats_what_a_cell_says() -> None:
    _, problems, _ = read(workbook(rows([HEADER]) + row(2, '<c t="e"><v>Dr A. Nother</v></c>', cell(1))))
    assert [(p.line, p.column, p.reason) for p in problems] == [(2, "provider", "holds the error of a formula")]
