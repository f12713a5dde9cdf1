"""What a text of an event may hold."""

import re
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, TypeAdapter, ValidationError

from shared.contracts import fields

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_STORABLE = TypeAdapter[str](Annotated[str, AfterValidator(fields._storable)])  # pyright: ignore[reportPrivateUsage]


def test_each_character_that_a_database_cannot_hold_is_refused_and_no_other() -> None:
    """Every character there is, so that what is printable need not be searched."""
    for code in range(0x110000):
        character = chr(code)
        if _REFUSED.match(character):
            with pytest.raises(ValueError, match=f"U\\+{code:04X} at position 1"):
                fields._storable(character)  # pyright: ignore[reportPrivateUsage]
        else:
            assert fields._storable(character) == character  # pyright: ignore[reportPrivateUsage]


@given(st.text(max_size=20))
def test_a_text_is_refused_for_any_of_its_characters(text: str) -> None:
    try:
        assert _STORABLE.validate_python(text) == text
        refused = False
    except ValidationError:
        refused = True
    assert refused == bool(_REFUSED.search(text))
