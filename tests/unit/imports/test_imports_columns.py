"""Cells checked by column are judged as each of them is judged on its own."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.imports.columns import NULL, CellRefused, Number, Whole, Words, check, copied, number
from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece

MAPPING = Mapping.model_validate(
    {"source": "t", "title": "t", "takes": "t", "columns": {"a": ["a"], "b": ["b"]}, "empty": ["-", "n/a"]}
)

NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.decimals(places=3, allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["", " ", "-", "N/A", "1,5", "1_000", "0x10", "１", "+1", ".5", "5.", "1e5", "nan", "inf", "-inf",
                     "Infinity", "=1+1", "1 000", "72,35", "1e999", "\x00", "1\n"]),
    st.text(max_size=5),
)  # fmt: skip


def one_by_one(cells: Sequence[str]) -> tuple[list[float | None], set[int]]:
    values: list[float | None] = []
    refused: set[int] = set()
    for place, cell in enumerate(cells):
        try:
            values.append(number(cell, MAPPING, least=0, most=1e9))
        except CellRefused:
            values.append(None)
            refused.add(place)
    return values, refused


@given(st.lists(NUMBERS, max_size=8))
def test_a_column_of_numbers_is_judged_like_its_cells(cells: list[str]) -> None:
    texts, refused = Number("a", least=0).texts(cells, MAPPING)
    values, expected = one_by_one(cells)
    assert set(refused) == expected
    for place, (text, value) in enumerate(zip(texts, values, strict=True)):
        if place not in refused:
            assert (None if text == NULL else float(text)) == value
            assert value is None or math.isfinite(value)


@pytest.mark.parametrize(
    "cell",
    ["nan", "NaN", "inf", "-Infinity", "1e999", "1_000", "0x10", "1,5", "１２", "=1+1", "twelve", "1 000", "--1"],
)
def test_what_is_no_number_is_refused(cell: str) -> None:
    _, refused = Number("a").texts(["1", cell, "2"], MAPPING)
    assert list(refused) == [1]


def test_a_decimal_comma_is_read_where_the_mapping_says_so() -> None:
    texts, refused = Number("a").texts(["72,35", "1"], MAPPING.model_copy(update={"decimal": ","}))
    assert ([float(text) for text in texts], refused) == ([72.35, 1.0], {})


@pytest.mark.parametrize(
    ("cell", "value"), [("12", "12"), (" 12 ", "12"), ("12.0", "12"), ("12.", "12"), ("+3", "3"), ("007", "7")]
)
def test_whole_numbers(cell: str, value: str) -> None:
    assert Whole("a", least=0, most=100).texts([cell], MAPPING) == ([value], {})


@pytest.mark.parametrize("cell", ["", "-", "12.5", "1e1", "-1", "101", "x", "NaN", "1,000", "9" * 400])
def test_what_is_no_whole_number_within_bounds_is_refused(cell: str) -> None:
    assert list(Whole("a", least=0, most=100).texts([cell], MAPPING)[1]) == [0]


@pytest.mark.parametrize(
    ("cell", "text"),
    [("A", "A"), ("  General \t surgery ", "General surgery"), ('="0012"', "0012"), ("a\\b", "a\\\\b"), ("a\nb", "a b"),
     ("caf\u00e9 \u2013 \u6771", "caf\u00e9 \u2013 \u6771"), ("-5 to 3", "-5 to 3")],
)  # fmt: skip
def test_words_are_made_plain_and_ready_to_be_copied(cell: str, text: str) -> None:
    assert Words("a").texts([cell], MAPPING) == ([text], {})


@pytest.mark.parametrize(
    "cell", ["", " ", "n/a", "=cmd|' /C calc'!A0", "@SUM(1)", "x" * 201, "a\x00b", "a\udcffb", "a\ufffdb", "a\u202eb"]
)
def test_what_is_no_word_is_refused(cell: str) -> None:
    assert list(Words("a").texts([cell], MAPPING)[1]) == [0]


def test_a_row_with_any_bad_cell_is_left_out_and_each_cell_at_fault_is_named() -> None:
    piece = Piece(4, [2, 3, 4, 5], {"a": ["x", "", "y", " "], "b": ["1", "z", "2", ""]})
    checked = check(piece, [Words("a"), Whole("b", least=0, most=9)], MAPPING)
    assert (checked.lines, checked.columns) == ([2, 4], {"a": ["x", "y"], "b": ["1", "2"]})
    # Line 5 is empty: it is no row.
    assert [(p.line, p.column) for p in checked.problems] == [(3, "a"), (3, "b")]


def test_what_was_refused_once_is_refused_again_and_a_memory_that_is_full_forgets() -> None:
    words = Words("a")
    many = [f"w{n}" for n in range(50_000)]
    assert words.texts(many, MAPPING) == (many, {})
    for _ in range(2):
        assert list(words.texts(["good", "=bad"], MAPPING)[1]) == [1]


def test_rows_are_written_as_copy_reads_them() -> None:
    assert copied([["1", "2"], ["a", "b"]]) == b"1\ta\n2\tb\n"
    assert copied([[], []]) == b""
