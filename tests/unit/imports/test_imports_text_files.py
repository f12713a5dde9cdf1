"""Text files as the world sends them: every encoding, delimiter and mishap, and each row where it stands."""

import csv
import io
import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.imports import reading
from shared.imports.mapping import Mapping, Wanted
from shared.imports.problems import LONGEST_CELL, FileRefused, RowProblem
from shared.imports.rows import is_text

MAPPING = Mapping.model_validate(
    {
        "source": "test",
        "title": "a list of results",
        "takes": "rows",
        "columns": {"provider": ["provider", "Trust"], "note": ["note"], "n": ["n", "Number of respondents"]},
    }
)
WANTED = Wanted(MAPPING, [{"provider"}, {"n"}])

Rows = list[tuple[int, str, str, str]]


def read(content: bytes, *, wanted: Wanted = WANTED, size: int = 3, skip: int = 0) -> tuple[Rows, list[RowProblem]]:
    """All rows with their lines, and all problems."""
    rows: Rows = []
    problems: list[RowProblem] = []
    for piece in reading.pieces(io.BytesIO(content), wanted, size=size, skip=skip):
        nothing: Sequence[str] = [""] * len(piece.lines)
        columns = (piece.columns.get(name, nothing) for name in ("provider", "note", "n"))
        rows += zip(piece.lines, *columns, strict=True)
        problems += piece.problems
    return rows, problems


PLAIN = "provider,note,n\nA,one,1\nB,two,2\n"
EXPECTED = [(2, "A", "one", "1"), (3, "B", "two", "2")]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "|").encode(),
        PLAIN.rstrip("\n").encode(),
        PLAIN.replace("provider", ' "PROVIDER" '.strip()).encode(),
        PLAIN.replace("provider", "Trust").replace(",n\n", ",number_of-respondents\n").encode(),
        PLAIN.replace("\n", ",,\n").encode(),
    ],
    ids=[
        "plain",
        "bom",
        "utf16",
        "utf16be",
        "crlf",
        "cr",
        "semicolon",
        "tab",
        "bar",
        "no end",
        "case",
        "alias",
        "wide",
    ],
)
def test_however_a_file_is_written_its_rows_are_the_same(content: bytes) -> None:
    assert read(content) == (EXPECTED, [])


def test_a_file_may_say_what_divides_its_cells_and_begin_with_a_title() -> None:
    rows, problems = read(b'sep=;\n"Results; of 2024"\n\nprovider;note;n\nA;"x;y";1\n')
    assert (rows, problems) == ([(5, "A", "x;y", "1")], [])


def test_lines_are_those_of_the_file_over_quoted_line_breaks_and_blank_lines() -> None:
    rows, problems = read(b'provider,note,n\nA,"one\ntwo\r\nthree",1\n\n\nB,"x\ny",2\nC,z\nD,w,4\n')
    assert rows == [(2, "A", "one\ntwo\r\nthree", "1"), (7, "B", "x\ny", "2"), (10, "D", "w", "4")]
    assert problems == [RowProblem(9, "", "has 2 columns instead of 3")]


def test_a_row_that_is_no_csv_is_named_and_the_others_are_read() -> None:
    rows, problems = read(b'provider,note,n\nA,one,1\nB,"two"x,2\nC,three,3\n')
    assert [row[0] for row in rows] == [2, 4]
    assert [(p.line, p.column) for p in problems] == [(3, "")]


def test_a_quote_that_is_never_closed_costs_only_what_it_swallows() -> None:
    filler = b"".join(b"X%d,note,1\n" % n for n in range(LONGEST_CELL // 8))
    rows, problems = read(b'provider,note,n\nA,one,1\nB,"two,2\n' + filler + b"Z,last,9\n", size=1000)
    assert rows[0] == (2, "A", "one", "1")
    assert rows[-1][1:] == ("Z", "last", "9")
    assert rows[-1][0] == filler.count(b"\n") + 4
    assert problems[0].line == 3
    assert "were read as one row" in problems[0].reason


def test_bytes_of_another_encoding_spoil_their_cell_only() -> None:
    rows, problems = read("provider,note,n\nA,café,1\nB,plain,2\n".encode("cp1252"))
    assert problems == []
    assert [is_text(row[2]) for row in rows] == [False, True]
    told = MAPPING.model_copy(update={"encoding": "cp1252"})
    rows, _ = read("provider,note,n\nA,café,1\n".encode("cp1252"), wanted=Wanted(told, WANTED.required))
    assert rows == [(2, "A", "café", "1")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"provider,note\nA,x\n", "missing: n"),
        (b"provider,Trust,n\nA,B,1\n", "names one thing twice: provider and Trust"),
        (b"provider,n,n\nA,1,2\n", "names one thing twice: n and n"),
        (b"pro\x00vider,n\n", "NUL"),
        ("provider,n\nA,1\n".encode("utf-16-le"), "NUL"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old or an encrypted Office file"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08", "unpack"),
        (b"<html><table>", "HTML"),
        (b'[{"provider": "A"}]', "JSON Lines"),
    ],
)
def test_what_is_no_such_file_is_refused_with_what_to_send(content: bytes, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read(content)


def test_a_file_without_a_header_is_refused_without_repeating_what_it_says() -> None:
    with pytest.raises(FileRefused, match="missing: provider, n") as refused:
        read(b"Dr Somebody shouts at us,every day\n")
    assert "Somebody" not in str(refused.value)


def test_columns_that_are_unknown_are_left_aside_or_refused_as_the_mapping_says() -> None:
    content = b"provider,other,other,n\nA,x,y,1\n"
    assert read(content)[0] == [(2, "A", "", "1")]
    strict = Wanted(MAPPING.model_copy(update={"other_columns": "refuse"}), WANTED.required)
    with pytest.raises(FileRefused, match="unknown: other"):
        read(content, wanted=strict)


def test_a_huge_line_is_cut_off_marked_and_read_in_little_memory() -> None:
    class Endless(io.RawIOBase):
        """A gigabyte without a line break would be no harder: here are 40 MB."""

        def __init__(self) -> None:
            self._rest = 40_000_000
            self._begun = False
            self._place = 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, place: int, whence: int = 0) -> int:
            self._begun, self._rest, self._place = False, 40_000_000, place
            return place

        def tell(self) -> int:
            return self._place

        def read(self, size: int = -1) -> bytes:
            if not self._begun:
                self._begun = True
                return b"provider,note,n\nA,one,1\nB,"
            count = min(size, self._rest)
            self._rest -= count
            return b"x" * count if count else b""

    tracemalloc.start()
    found: Any = Endless()
    pieces = list(reading.pieces(found, WANTED))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert next(list(piece.lines) for piece in pieces)[0] == 2
    assert any(problem.line == 3 for piece in pieces for problem in piece.problems)
    assert most < 20_000_000


def test_a_huge_cell_is_a_problem_of_its_row() -> None:
    rows, problems = read(b"provider,note,n\nA," + b"x" * (LONGEST_CELL + 1) + b",1\nB,two,2\n")
    assert [row[0] for row in rows] == [3]
    assert problems[0].line == 2


def test_json_lines_are_rows_too() -> None:
    content = b'{"Trust": "A", "n": 1, "note": null}\n\n{"n": 2.50, "provider": "B", "other": [1]}\n'
    assert read(content) == ([(1, "A", "", "1"), (3, "B", "", "2.50")], [])
    assert read(content.decode().encode("utf-8-sig")) == ([(1, "A", "", "1"), (3, "B", "", "2.50")], [])


def test_json_members_are_called_what_the_file_calls_them() -> None:
    content = b'{"Trust": "A", "other": 2}\n{"provider": "B", "N": 1}\n'
    found = list(reading.pieces(io.BytesIO(content), Wanted(MAPPING, [{"provider"}]), size=1))
    assert [dict(piece.names) for piece in found] == [{"provider": "Trust"}, {"provider": "Trust", "n": "N"}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"provider": "B"', "is no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"provider": {"a": 1}, "n": 1}', "more than a plain value in provider"),
        (b'{"provider": "B", "provider": "C", "n": 1}', "names one thing twice"),
        (b'{"provider": "B", "Trust": "C", "n": 1}', "names one thing twice"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"provider": "B\xff", "n": 1}', "UTF-8"),
        (b'{"provider": "' + b"x" * (LONGEST_CELL + 1) + b'", "n": 1}', "more than 131072 characters"),
    ],
)
def test_a_line_that_is_no_object_is_named(line: bytes, said: str) -> None:
    rows, problems = read(b'{"provider": "A", "n": 1}\n' + line + b'\n{"provider": "Z", "n": 9}\n')
    assert [row[1] for row in rows] == ["A", "Z"]
    assert [p.line for p in problems] == [2]
    assert said in problems[0].reason


def test_json_numbers_that_are_none_stay_what_they_are() -> None:
    rows, _ = read(b'{"provider": "A", "n": NaN}\n{"provider": "B", "n": -Infinity}\n{"provider": "C", "n": true}\n')
    assert [row[3] for row in rows] == ["NaN", "-Infinity", "true"]


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=8)


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=12), size=st.integers(1, 5), skip=st.integers(0, 14))
def test_a_file_gone_on_with_gives_just_the_rows_that_are_left(
    rows: list[tuple[str, str, str]], size: int, skip: int
) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("provider", "note", "n"), *rows])
    content = out.getvalue().encode()
    whole, problems = read(content, size=size)
    assert problems == []
    assert [row[1:] for row in whole] == list(rows)
    rest, _ = read(content, size=size, skip=skip)
    assert rest == whole[skip:]


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=6), skip=st.integers(0, 8))
def test_json_lines_are_gone_on_with_likewise(rows: list[tuple[str, str, str]], skip: int) -> None:
    lines = [json.dumps({"provider": p, "note": note, "n": n}) for p, note, n in rows]
    content = "\n".join(['{"provider": "first", "n": "1"}', *lines]).encode()
    whole, _ = read(content, size=2)
    assert [row[1:] for row in whole] == [("first", "", "1"), *rows]
    assert read(content, size=2, skip=skip)[0] == whole[skip:]


STRICT = Wanted(MAPPING.model_copy(update={"other_columns": "refuse"}), WANTED.required)


@pytest.mark.parametrize("wanted", [WANTED, STRICT])
@pytest.mark.parametrize(
    "content",
    [
        b"provider,\xff\nA,1\n",
        b"provider,n,\xff\x01\nA,1,2\n",
        b'{"provider":"A","n":1}\n{"provider":"A","n":1,"\\ud800\\u0000":2}\n',
        b'{"provider":"A","n":1}\n{"provider":"A","n":[1],"n":2}\n',
    ],
)
def test_what_is_said_of_a_file_is_text_whatever_the_file_calls_things(content: bytes, wanted: Wanted) -> None:
    try:
        said = [problem.reason for problem in read(content, wanted=wanted)[1]]
    except FileRefused as error:
        said = [str(error)]
    assert all(is_text(one.replace("\ufffd", "")) for one in said)
    assert "\x00" not in "".join(said)
