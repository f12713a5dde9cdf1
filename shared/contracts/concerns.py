"""What intelligence says about concerns. Topic ``quality.concerns.v1``."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.fields import (
    Category,
    EventData,
    Line,
    OdsCode,
    Origin,
    ProviderRef,
    RiskBand,
    StandardNumber,
    internal,
    partner,
    public,
)
from shared.reference.kinds import LearnerGroup, SourceKind


class ClosureReason(StrEnum):
    """Why a concern was closed."""

    RESOLVED = "resolved"
    NOT_UPHELD = "not_upheld"
    MERGED = "merged"
    TRANSFERRED = "transferred"


class ConcernScope(EventData):
    """Where a concern lies: provider × site × programme × learner group × standards."""

    provider: ProviderRef = public("The provider the concern is about.")
    site_code: OdsCode | None = public("ODS code of the site, if the concern is about one site.", default=None)
    programme: Line = partner("Specialty or programme, such as “General surgery”.")
    learner_group: LearnerGroup = partner("The learners it concerns.")
    standard_set: Line = public("Version of the standard set the numbers refer to.")
    standards: Annotated[list[StandardNumber], Field(max_length=60)] = partner(
        "Numbers of the standards that may not be met."
    )


class ConcernRaised(ConcernScope):
    """A concern about a provider was entered in the register."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register, readable by people.")
    raised_on: date = partner("Day on which it was raised.")
    source_kind: SourceKind = internal("What kind of source it came from; never who.")
    source_date: date | None = internal("Day of the source, if known.", default=None)
    origin: Origin = internal("Reported to this office, or imported from an earlier register.")


class ConcernRated(ConcernScope):
    """A person confirmed a concern's category, with the rating that suggested it."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    impact: int = partner("Impact, 1 to 5.", ge=1, le=5)
    likelihood: int = partner("Likelihood, 1 to 5.", ge=1, le=5)
    score: int = partner("Impact × likelihood.", ge=1, le=25)
    band: RiskBand = partner("Band of the score.")
    suggested_category: Category = partner("Category the score suggests.")
    category: Category = partner("Category a person confirmed.")
    previous_category: Category | None = partner("Category before, if it was rated before.", default=None)
    rated_on: date = partner("Day of the confirmation.")
    origin: Origin = internal("Whether it was rated here, or the rating came with an imported register.")


class ConcernClosed(EventData):
    """A concern was closed on this office's register."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    provider: ProviderRef = public("The provider it was about.")
    category: Category | None = partner("Last confirmed category, if it was ever rated.", default=None)
    reason: ClosureReason = partner("Why it was closed.")
    closed_on: date = partner("Day of closure.")
    origin: Origin = internal("Whether it was closed here, or the closure came with an imported register.")


class ConcernReopened(EventData):
    """A closed concern was opened again; a new rating follows."""

    concern_id: UUID = partner("The concern.")
    reference: Line = partner("Its reference in the register.")
    provider: ProviderRef = public("The provider it is about.")
    reopened_on: date = partner("Day of reopening.")
