"""A file is cut between its rows, and nothing of it is lost."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.csv_parts import parts_of
from deploy.local.errors import UserError

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=8)


@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=12), size=st.integers(1, 5))
def test_the_parts_hold_every_row_once_and_know_their_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], size: int
) -> None:
    file = tmp_path_factory.mktemp("csv") / "f.csv"
    out = io.StringIO()
    csv.writer(out).writerows([["a", "b"], *rows])
    file.write_bytes(out.getvalue().encode())
    parts = list(parts_of(file, rows=size))
    found: list[list[str]] = []
    for part in parts:
        header, *body = list(csv.reader(io.StringIO(part.text, newline="")))
        assert header == ["a", "b"]
        assert len(body) == part.rows <= size
        found += body
    assert found == rows
    assert [part.skipped_lines for part in parts][:1] == [0]


def test_a_part_counts_the_lines_before_it_not_the_rows(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text('a,b\n"two\nlines",1\nx,2\n', encoding="utf-8")
    first, second = parts_of(file, rows=1)
    assert (first.skipped_lines, second.skipped_lines, second.text) == (0, 2, "a,b\nx,2\n")


def test_what_cannot_be_read_as_csv_is_left_to_the_service(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text('a,b\n1,2\n3,"never closed\n4,5\n', encoding="utf-8")
    (only,) = parts_of(file, rows=10)
    assert only.text.endswith('3,"never closed\n4,5\n')


@pytest.mark.parametrize("content", [b"", b"a,b\n\xff\xfe,1\n"])
def test_a_file_that_is_empty_or_not_utf8_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(content)
    with pytest.raises(UserError):
        list(parts_of(file, rows=1))


def test_the_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "register.csv"
    file.write_bytes(b"reference,note\n1,one\n2,\xff\n3,three\n")
    with pytest.raises(UserError, match="is not UTF-8 in line 3"):
        list(parts_of(file, rows=10))


def test_the_mark_that_spreadsheets_put_before_a_text_is_no_part_of_the_header(tmp_path: Path) -> None:
    file = tmp_path / "register.csv"
    file.write_bytes(b"\xef\xbb\xbfreference,note\n1,one\n")
    assert [part.text for part in parts_of(file, rows=10)] == ["reference,note\n1,one\n"]
