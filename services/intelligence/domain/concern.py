"""A concern and what may happen to it."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.rating import Rating
from shared.contracts.concerns import ClosureReason, ConcernClosed, ConcernRaised, ConcernRated, ConcernReopened
from shared.contracts.fields import Category, Origin
from shared.reference.kinds import LearnerGroup, SourceKind
from shared.rules import NotInThisState, RuleBroken


class Status(StrEnum):
    """Whether a concern is on the register now."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Concern:
    """A concern about a provider."""

    id: UUID
    reference: str
    origin: Origin
    provider: Organisation
    site_code: str | None
    programme: str
    learner_group: LearnerGroup
    standard_set: str
    standards: tuple[str, ...]
    source_kind: SourceKind
    source_date: date | None
    raised_on: date
    summary: str
    action: str | None
    status: Status = Status.OPEN
    category: Category | None = None
    closed_on: date | None = None
    closure_reason: ClosureReason | None = None
    version: int = 1

    def raised(self, *, proposal_id: UUID | None = None, raised_by_policy: str | None = None) -> ConcernRaised:
        """The event of its raising; from which proposal, and by which policy if no person decided on it."""
        return ConcernRaised(
            **self._scope(),
            concern_id=self.id,
            reference=self.reference,
            raised_on=self.raised_on,
            source_kind=self.source_kind,
            source_date=self.source_date,
            origin=self.origin,
            proposal_id=proposal_id,
            raised_by_policy=raised_by_policy,
        )

    def rate(
        self, rating: Rating, category: Category, on: date, origin: Origin = Origin.REPORTED
    ) -> tuple["Concern", ConcernRated]:
        """Confirm a category; ``origin`` tells a rating made here from an imported one.

        Raises NotInThisState if it is closed, RuleBroken for a day before it was raised."""
        self._require_open("rated")
        if on < self.raised_on:
            raise RuleBroken("rated_on", f"is before {self.raised_on}, the day it was raised")
        event = ConcernRated(
            **self._scope(),
            concern_id=self.id,
            reference=self.reference,
            impact=rating.impact,
            likelihood=rating.likelihood,
            score=rating.score,
            band=rating.band,
            suggested_category=rating.suggested_category,
            category=category,
            previous_category=self.category,
            rated_on=on,
            origin=origin,
        )
        return replace(self, category=category, version=self.version + 1), event

    def close(
        self, reason: ClosureReason, on: date, origin: Origin = Origin.REPORTED
    ) -> tuple["Concern", ConcernClosed]:
        """Close it on this register; ``origin`` tells a closure made here from an imported one.

        Raises NotInThisState if it is closed, RuleBroken for an impossible day."""
        self._require_open("closed")
        if on < self.raised_on:
            raise RuleBroken("closed_on", f"is before {self.raised_on}, the day it was raised")
        event = ConcernClosed(
            concern_id=self.id,
            reference=self.reference,
            provider=self.provider.ref,
            category=self.category,
            reason=reason,
            closed_on=on,
            origin=origin,
        )
        closed = replace(self, status=Status.CLOSED, closed_on=on, closure_reason=reason, version=self.version + 1)
        return closed, event

    def reopen(self, on: date) -> tuple["Concern", ConcernReopened]:
        """Open it again; its category stays until it is rated anew. Raises NotInThisState if it is open.

        Source: a closed concern can be reopened (Oxford ophthalmology).
        """
        if self.status is not Status.CLOSED:
            raise NotInThisState(f"Concern {self.reference} is open already.")
        event = ConcernReopened(
            concern_id=self.id, reference=self.reference, provider=self.provider.ref, reopened_on=on
        )
        opened = replace(self, status=Status.OPEN, closed_on=None, closure_reason=None, version=self.version + 1)
        return opened, event

    def _require_open(self, what: str) -> None:
        if self.status is not Status.OPEN:
            raise NotInThisState(f"Concern {self.reference} is closed; reopen it before it is {what}.")

    def _scope(self) -> dict[str, Any]:
        return {
            "provider": self.provider.ref,
            "site_code": self.site_code,
            "programme": self.programme,
            "learner_group": self.learner_group,
            "standard_set": self.standard_set,
            "standards": list(self.standards),
        }
