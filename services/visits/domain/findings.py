"""Findings: the four kinds, the standards they are measured against, and the days by which they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel, ConfigDict

from services.visits.domain.days import Span
from services.visits.domain.errors import Violation
from shared.contracts.fields import FindingKind, Line
from shared.reference.standards import StandardSet, UnknownStandard


class FindingPolicy(BaseModel):
    """One version of the office's times to answer.

    Five working days for an immediate mandatory requirement are published (Northwick Park, August 2024); the other
    time is configuration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Line
    note: str
    #: From the day of the visit: it is issued there or at once after.
    immediate_mandatory_requirement: Span
    #: From the day the outcome is recorded; only where the panel names no other day.
    mandatory_requirement: Span


@dataclass(frozen=True, slots=True)
class Draft:
    """A finding as the panel worded it."""

    kind: FindingKind
    standard: str
    text: str
    due_on: date | None = None


def decide(
    drafts: Sequence[Draft], *, standards: StandardSet, policy: FindingPolicy, visit_date: date, recorded_on: date
) -> tuple[list[date | None], list[Violation]]:
    """The day each finding is due, in their order, and every rule the findings break.

    An immediate mandatory requirement is due when the policy says, no other day; a mandatory requirement when the
    panel says, not before ``recorded_on``, else when the policy says; the other kinds are never due.
    """
    due: list[date | None] = []
    violations: list[Violation] = []
    for place, draft in enumerate(drafts):
        try:
            standards.get(draft.standard)
        except UnknownStandard as error:
            violations.append(Violation(f"findings.{place}.standard", str(error)))
        day, wrong = _due(draft, policy, visit_date, recorded_on)
        due.append(day)
        if wrong is not None:
            violations.append(Violation(f"findings.{place}.due_on", wrong))
    return due, violations


def _due(draft: Draft, policy: FindingPolicy, visit_date: date, recorded_on: date) -> tuple[date | None, str | None]:
    match draft.kind:
        case FindingKind.IMMEDIATE_MANDATORY_REQUIREMENT:
            day = policy.immediate_mandatory_requirement.after(visit_date)
            wrong = (
                f"is set by {policy.version}: leave it out, or send {day}" if draft.due_on not in (None, day) else None
            )
            return day, wrong
        case FindingKind.MANDATORY_REQUIREMENT:
            if draft.due_on is None:
                return policy.mandatory_requirement.after(recorded_on), None
            past = draft.due_on < recorded_on
            return draft.due_on, f"is before {recorded_on}, the day of recording" if past else None
        case _:
            return None, f"a {draft.kind.value} has no due date; leave it out" if draft.due_on else None
