"""Cursor pagination: a page, and an opaque pointer to the next one."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from shared.web.problems import Unprocessable

T = TypeVar("T")
K = TypeVar("K")

Limit = Annotated[int, Query(ge=1, le=200, description="Most items on the page.")]
CursorText = Annotated[
    str | None, Query(max_length=4_000, description="`next` of the page before; none for the first page.")
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="The items of this page.")
    next: str | None = Field(description="Cursor of the next page, or null if this is the last.")


class Cursor(Generic[K]):
    """Encodes and decodes the sort key of the last item of a page."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[K] = TypeAdapter(kind)

    def read(self, text: str | None) -> K | None:
        """The sort key after which the page begins. Raises Unprocessable for text that is no cursor of this list."""
        if text is None:
            return None
        try:
            return self._adapter.validate_json(base64.urlsafe_b64decode(text.encode() + b"=="))
        except (ValidationError, binascii.Error, ValueError) as error:
            raise Unprocessable(
                "The cursor is none of this list; leave it out to begin at the first page.",
                errors=[("query.cursor", "is no cursor of this list")],
            ) from error

    def page(self, found: Sequence[T], limit: int, key: Callable[[T], K]) -> Page[T]:
        """A page from up to ``limit + 1`` items: the one too many tells that there is a next page."""
        items = list(found[:limit])
        if len(found) <= limit:
            return Page(items=items, next=None)
        pointer = self._adapter.dump_json(key(items[-1]))
        return Page(items=items, next=base64.urlsafe_b64encode(pointer).decode().rstrip("="))
