"""A concern: what it is about, and what becomes of it as a whole."""

from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.intelligence.domain.life import Life
from services.intelligence.domain.machines import SIGNIFICANT
from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.rating import Rating
from shared.contracts.concerns import (
    ClosureReason,
    ConcernClosed,
    ConcernCorrected,
    ConcernMerged,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
    Overseer,
    ScopePart,
)
from shared.contracts.fields import Category, Origin
from shared.reference.kinds import LearnerGroup, SourceKind
from shared.rules import NotInThisState, RuleBroken


class Status(StrEnum):
    """Whether a concern is on the register now."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a concern lies at its provider."""

    site_code: str | None
    programme: str
    learner_group: LearnerGroup
    standards: tuple[str, ...]


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
    life: Life = field(default_factory=Life)
    version: int = 1

    @property
    def status(self) -> Status:
        """Open, or closed or merged."""
        return Status.OPEN if self.life.is_open else Status.CLOSED

    @property
    def category(self) -> Category | None:
        """The last confirmed category, or None before the first."""
        return self.life.category

    @property
    def closed_on(self) -> date | None:
        """Day of closure or merger, if it is closed."""
        return self.life.closed_on

    @property
    def closure_reason(self) -> ClosureReason | None:
        """Why it is closed, if it is."""
        return self.life.closure_reason

    @property
    def scope(self) -> Scope:
        """Where it lies."""
        return Scope(self.site_code, self.programme, self.learner_group, self.standards)

    def moved(self, life: Life) -> "Concern":
        """The concern after a command."""
        return replace(self, life=life, version=self.version + 1)

    def require_not_before_raised(self, field_name: str, day: date) -> None:
        """Raise RuleBroken for a day before the concern was raised."""
        if day < self.raised_on:
            raise RuleBroken(field_name, f"is before {self.raised_on}, the day it was raised")

    def raised(self, *, proposal_id: UUID | None = None, raised_by_policy: str | None = None) -> ConcernRaised:
        """The event of its raising; from which proposal, and by which policy if no person decided on it."""
        return ConcernRaised(
            **self.scope_fields(),
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
        self, rating: Rating, category: Category, on: date, origin: Origin = Origin.REPORTED, *, why: str
    ) -> tuple["Concern", ConcernRated]:
        """Confirm a category; ``origin`` tells a rating made here from an imported one.

        A significant concern is marked for the national team and the General Medical Council. Source: significant
        concerns go to the national register and the GMC.

        Raises NotInThisState if it is closed, RuleBroken for a day before it was raised, without a reason, or for a
        category that does not fit suspended training.
        """
        self.require_not_before_raised("rated_on", on)
        rated = self.moved(self.life.rate(category, on, why))
        event = ConcernRated(
            **self.scope_fields(),
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
            marked_for=marked_for(category),
        )
        return rated, event

    def correct(self, scope: Scope, on: date, *, why: str) -> tuple["Concern", ConcernCorrected]:
        """Put right where it lies. Raises NotInThisState if it is closed or nothing differs."""
        before, after = self.scope, scope
        corrected = [part for part in ScopePart if getattr(before, part) != getattr(after, part)]
        if not corrected:
            raise NotInThisState(f"Nothing of the scope of concern {self.reference} would change; it is so already.")
        right = replace(
            self.moved(self.life.correct(why)),
            site_code=scope.site_code,
            programme=scope.programme,
            learner_group=scope.learner_group,
            standards=scope.standards,
        )
        event = ConcernCorrected(
            **right.scope_fields(), concern_id=self.id, reference=self.reference, corrected=corrected, corrected_on=on
        )
        return right, event

    def close(
        self, reason: ClosureReason, on: date, origin: Origin = Origin.REPORTED, *, why: str
    ) -> tuple["Concern", ConcernClosed]:
        """Close it on this register; ``origin`` tells a closure made here from an imported one.

        Raises NotInThisState if it is closed, on the regional register or has training suspended, RuleBroken for an
        impossible day, without a reason, or for a merger, which names the other concern.
        """
        self.require_not_before_raised("closed_on", on)
        if reason is ClosureReason.MERGED and origin is not Origin.IMPORTED:
            raise RuleBroken("closure_reason", "is a merger: merge it into the concern that goes on instead")
        closed = self.moved(self.life.close(reason, on, why))
        return closed, closed.closure(origin)

    def closure(self, origin: Origin) -> ConcernClosed:
        """The event of its closure. Its day and reason must be known."""
        assert self.closed_on is not None and self.closure_reason is not None  # only asked of a closed concern
        return ConcernClosed(
            concern_id=self.id,
            reference=self.reference,
            provider=self.provider.ref,
            category=self.category,
            reason=self.closure_reason,
            closed_on=self.closed_on,
            origin=origin,
        )

    def merge_into(self, other: "Concern", on: date, *, why: str) -> tuple["Concern", ConcernClosed]:
        """Let another concern about the same provider go on in its place.

        Raises NotInThisState if either is closed, or this one is on a register or has training suspended; RuleBroken
        if the two cannot be one.
        """
        if other.id == self.id:
            raise RuleBroken("merged_concern_id", "is the concern itself")
        if other.provider.ods_code != self.provider.ods_code:
            raise RuleBroken("merged_concern_id", f"is about {self.provider.ods_code}, another provider")
        try:
            merged = self.moved(self.life.merge(other.id, on, why))
        except NotInThisState as error:
            # Two concerns are meant here; say which one of them.
            raise NotInThisState(f"Concern {self.reference} cannot be merged into another. {error}") from error
        return merged, merged.closure(Origin.REPORTED)

    def take_over(self, other: "Concern", on: date, *, why: str) -> tuple["Concern", ConcernMerged]:
        """Go on in the place of a concern that was merged into this one. Raises NotInThisState if this one is closed.

        Source: several items of intelligence feed one concern.
        """
        event = ConcernMerged(
            concern_id=self.id,
            reference=self.reference,
            provider=self.provider.ref,
            merged_concern_id=other.id,
            merged_reference=other.reference,
            merged_on=on,
        )
        return self.moved(self.life.take_over(why)), event

    def take_over_proposal(self, proposal_id: UUID, on: date, *, why: str) -> tuple["Concern", ConcernMerged]:
        """Go on for a proposed concern too. Raises NotInThisState if this one is closed."""
        event = ConcernMerged(
            concern_id=self.id,
            reference=self.reference,
            provider=self.provider.ref,
            proposal_id=proposal_id,
            merged_on=on,
        )
        return self.moved(self.life.take_over(why)), event

    def reopen(self, on: date, *, why: str) -> tuple["Concern", ConcernReopened]:
        """Open it again; its category stays until it is rated anew. Raises NotInThisState unless it is closed.

        Source: a closed concern can be reopened (Oxford ophthalmology).
        """
        event = ConcernReopened(
            concern_id=self.id, reference=self.reference, provider=self.provider.ref, reopened_on=on
        )
        return self.moved(self.life.reopen(why)), event

    def scope_fields(self) -> dict[str, Any]:
        """What events say of where it lies."""
        return {
            "provider": self.provider.ref,
            "site_code": self.site_code,
            "programme": self.programme,
            "learner_group": self.learner_group,
            "standard_set": self.standard_set,
            "standards": list(self.standards),
        }


def marked_for(category: Category | None) -> list[Overseer]:
    """Who beyond the office is to hear of a concern of this category: nobody of one below significant."""
    return list(Overseer) if category is not None and category >= SIGNIFICANT else []
