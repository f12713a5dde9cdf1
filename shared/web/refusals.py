"""A domain's refusals as problems for the caller."""

from collections.abc import Generator
from contextlib import contextmanager

from shared.rules import NotInThisState, RuleBroken
from shared.web.problems import Conflict, Unprocessable


@contextmanager
def rules(within: str = "") -> Generator[None]:
    """Within it, a broken rule is a 422 that names the field of the body, and a wrong state a 409.

    ``within`` leads to the part of the body that is being judged, such as ``3.`` for its fourth entry.
    """
    try:
        yield
    except RuleBroken as error:
        field = f"{within}{error.field}"
        raise Unprocessable(f"{field}: {error.reason}.", errors=[(f"body.{field}", error.reason)]) from error
    except NotInThisState as error:
        raise Conflict(str(error)) from error
