"""Pages of a list and the cursors between them."""

import base64

import pytest

from shared.web.pages import Cursor
from shared.web.problems import Unprocessable

NUMBERS: Cursor[int] = Cursor(int)
PAIRS: Cursor[tuple[str, int]] = Cursor(tuple[str, int])


def test_all_pages_together_are_the_list_once() -> None:
    everything, limit = list(range(10, 17)), 3
    seen: list[list[int]] = []
    cursor: str | None = None
    while True:
        after = NUMBERS.read(cursor)
        found = [number for number in everything if after is None or number > after][: limit + 1]
        page = NUMBERS.page(found, limit, key=lambda number: number)
        seen.append(page.items)
        if (cursor := page.next) is None:
            break
    assert seen == [[10, 11, 12], [13, 14, 15], [16]]


@pytest.mark.parametrize(("found", "has_next"), [(0, False), (2, False), (3, False), (4, True)])
def test_there_is_a_next_page_only_if_one_more_was_found(found: int, has_next: bool) -> None:
    page = NUMBERS.page(list(range(found)), 3, key=lambda number: number)
    assert (page.items, page.next is not None) == (list(range(min(found, 3))), has_next)


def test_a_cursor_gives_back_the_whole_sort_key_and_needs_no_escaping_in_a_url() -> None:
    for key in (("", 0), ("Å?>~", 2**40), ("a" * 50, -1)):
        page = PAIRS.page([key, ("one too many", 0)], 1, key=lambda item: item)
        assert page.next is not None
        assert page.next.isascii() and set(page.next).isdisjoint("+/=&?# ")
        assert PAIRS.read(page.next) == key


def test_no_cursor_is_the_first_page() -> None:
    assert NUMBERS.read(None) is None


@pytest.mark.parametrize("text", ["", "x", "é", "!!!!", "bm8", base64.urlsafe_b64encode(b'"text"').decode(), "\ud800"])
def test_text_that_is_no_cursor_of_this_list_is_the_callers_error(text: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        NUMBERS.read(text)
    assert refused.value.errors == [("query.cursor", "is no cursor of this list")]


def test_a_cursor_of_another_list_is_refused() -> None:
    pointer = PAIRS.page([("a", 1), ("b", 2)], 1, key=lambda item: item).next
    with pytest.raises(Unprocessable):
        NUMBERS.read(pointer)
