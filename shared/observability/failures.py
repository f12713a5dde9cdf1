"""A failure as the log tells it: where it happened and what kind it is, never the data it happened with.

PostgreSQL quotes the row that breaks a constraint, validation quotes the value, and any library may do the like. So a
message stands in the log only where it is known to hold no data.
"""

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import cast

import asyncpg
from pydantic import ValidationError

from shared.contracts.envelope import describe

#: Modules whose errors hold no data in their messages: our own, and the one that tells of the broker.
_DISCREET = ("shared.", "services.", "deploy.", "aiokafka.")

_SAID_OF_SQL = ("sqlstate", "table_name", "column_name", "constraint_name")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def told(exc_info: ExcInfo) -> str:
    """An exception with its causes, the first cause first, each with its traceback."""
    parts = [_one(error) for error in _with_causes(exc_info[1])]
    return "\nThen, because of it or while it was handled:\n".join(reversed(parts))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _one(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    text = f"{''.join(traceback.format_tb(error.__traceback__))}{kind}: {_message(error)}"
    if isinstance(error, BaseExceptionGroup):
        members = cast("BaseExceptionGroup[BaseException]", error).exceptions
        text += "".join(f"\nIn it:\n{told((type(one), one, one.__traceback__))}" for one in members)
    return text


def _message(error: BaseException) -> str:
    match error:
        case asyncpg.PostgresError():
            said = [(name, getattr(error, name, None)) for name in _SAID_OF_SQL]
            return ", ".join(f"{name} {value}" for name, value in said if value)
        case ValidationError():
            return describe(error)
        case ConnectionError() | TimeoutError():
            return str(error)
        case _ if type(error).__module__.startswith(_DISCREET):
            return str(error)
        case _:
            return "(its message is left out, for it may hold personal data)"


def in_brief(error: BaseException) -> str:
    """An exception in one line: its kind, its message where that holds no data, and where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__module__}.{type(error).__qualname__}: {_message(error)}{where}"
