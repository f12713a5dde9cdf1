"""Broken rules as problems of a request."""

from collections.abc import Sequence

from services.visits.domain.errors import Violation
from shared.web.problems import Unprocessable


def refuse(violations: Sequence[Violation], what: str) -> None:
    """Raise Unprocessable naming every field at fault, if there are any; ``what`` says what cannot be done."""
    if violations:
        raise Unprocessable(
            f"{what}: mend the fields below and send it again.",
            errors=[(f"body.{violation.field}", violation.reason) for violation in violations],
        )
