"""Turning the domain's refusals into problems for the caller."""

from collections.abc import Generator
from contextlib import contextmanager

from services.intelligence.domain.errors import NotInThisState, RuleBroken
from shared.web.problems import Conflict, Unprocessable


@contextmanager
def rules() -> Generator[None]:
    """Within it, a broken rule is a 422 that names the field, and a wrong state a 409."""
    try:
        yield
    except RuleBroken as error:
        raise Unprocessable(
            f"{error.field}: {error.reason}.", errors=[(f"body.{error.field}", error.reason)]
        ) from error
    except NotInThisState as error:
        raise Conflict(str(error)) from error
