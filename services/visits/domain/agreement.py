"""Who must agree to an outcome: every member of the panel, the lay partner like anybody.

Source: lay partners join visits as equal partners, and the report needs their agreement like anybody's.
"""

from collections.abc import Sequence
from uuid import UUID

from services.visits.domain.errors import Violation
from services.visits.domain.panel import Seat


def check(panel: Sequence[Seat], agreed_by: Sequence[UUID]) -> list[Violation]:
    """Everybody whose agreement is missing, and everybody named who is not on the panel or named twice."""
    members = {seat.person_id for seat in panel}
    violations: list[Violation] = []
    for place, person_id in enumerate(agreed_by):
        if person_id not in members:
            violations.append(Violation(f"agreed_by.{place}", "is not on the panel"))
        elif person_id in agreed_by[:place]:
            violations.append(Violation(f"agreed_by.{place}", "stands there twice"))
    violations += [
        Violation("agreed_by", f"lacks the agreement of the {seat.role.value}, person {seat.person_id}")
        for seat in panel
        if seat.person_id not in agreed_by
    ]
    return violations
