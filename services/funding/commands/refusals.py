"""How a rule that refuses a command is told to the caller."""

from services.funding.domain.errors import RuleBroken
from shared.web.problems import Unprocessable


def unprocessable(error: RuleBroken) -> Unprocessable:
    """422, naming the field of the body."""
    return Unprocessable(str(error), errors=[(f"body.{error.field}", str(error))])
