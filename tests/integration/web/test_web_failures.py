"""What is logged of a failure: enough to find it, and nothing of the data it happened with."""

import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest
import structlog
from pydantic import ValidationError

from services.notify.domain.stakeholders import Subscription
from shared.messaging.consuming.reactions import ReactionFailed
from shared.observability import failures, logs
from tests.unit.messaging.crafted import envelope

ADDRESS = "perpetua.quillfeather@learners.example"


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**configured)


def told(error: BaseException) -> str:
    return failures.told((type(error), error, error.__traceback__))


async def test_a_row_that_breaks_a_constraint_is_not_logged(new_database: Callable[[], Awaitable[str]]) -> None:
    connection = await asyncpg.connect(await new_database())
    try:
        await connection.execute("create table people (email text primary key check (email <> 'nobody'))")
        await connection.execute("insert into people values ($1)", ADDRESS)
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await connection.execute("insert into people values ($1)", ADDRESS)
        assert ADDRESS in str(caught.value), "or this test shows nothing"
        with pytest.raises(asyncpg.DataError) as refused:
            await connection.execute("insert into people values ($1)", [ADDRESS])
        assert ADDRESS in str(refused.value), "or this test shows nothing"
    finally:
        await connection.close()
    event_id = uuid.uuid4()
    wrapped = ReactionFailed(envelope(event_id=event_id))
    wrapped.__cause__ = caught.value
    text = told(wrapped)
    assert ADDRESS not in text
    assert ADDRESS not in told(refused.value)
    assert "constraint_name people_pkey" in text
    assert str(event_id) in text
    assert "test_web_failures.py" in text


def test_a_value_that_is_not_valid_is_not_logged() -> None:
    with pytest.raises(ValidationError) as caught:
        Subscription.model_validate({"event_types": [ADDRESS]})
    assert ADDRESS in str(caught.value), "or this test shows nothing"
    assert ADDRESS not in told(caught.value)
    assert "event_types.0" in told(caught.value)


def test_the_members_of_a_group_and_what_a_failure_followed_are_told() -> None:
    try:
        try:
            raise KeyError(ADDRESS)
        except KeyError:
            raise ExceptionGroup(ADDRESS, [ConnectionError("broker-1 is gone")])  # noqa: B904 the context is told too
    except ExceptionGroup as error:
        text = told(error)
    assert ADDRESS not in text
    assert text.index("KeyError") < text.index("ExceptionGroup") < text.index("broker-1 is gone")


@pytest.mark.usefixtures("_logging_as_it_was")
def test_what_libraries_log_is_told_in_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("intelligence", "INFO")
    try:
        raise ValueError(ADDRESS)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    line = capsys.readouterr().out
    assert "ValueError" in line
    assert ADDRESS not in line
