"""Every event type there is: its name, topic, model and who publishes it. All else is derived from here."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from shared.contracts.concerns import (
    ConcernClosed,
    ConcernCorrected,
    ConcernDeEscalated,
    ConcernDismissed,
    ConcernEscalated,
    ConcernMerged,
    ConcernProposed,
    ConcernRaised,
    ConcernRated,
    ConcernReopened,
    ExitConditionSet,
    ExitConditionSettled,
)
from shared.contracts.fields import Classification, EventData, classification_of
from shared.contracts.intelligence import IntelligenceCorrected, IntelligenceFlagged
from shared.contracts.investments import InvestmentAdjusted, InvestmentDeclined, InvestmentProposed
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.training import TrainingRestored, TrainingSuspended
from shared.contracts.visits import VisitCancelled, VisitRequired, VisitScheduled

#: Every type of this system starts with this; another prefix in a topic is not ours and breaks the contract.
TYPE_PREFIX = "uk.nhs.quality."

#: Partitions of every topic. Never changed: a key would move to another partition and its order be lost.
PARTITIONS = 12

#: Largest value of an event, in bytes. Checked when an event is saved, well below the topics' limit of 1 MiB.
MAX_VALUE_BYTES = 256 * 1024


class Topic(StrEnum):
    """One topic per family of aggregates; the key of every record is the provider's ODS code."""

    CONCERNS = "quality.concerns.v1"
    VISITS = "quality.visits.v1"
    OUTCOMES = "quality.outcomes.v1"
    INVESTMENTS = "quality.investments.v1"
    NOTIFICATIONS = "quality.notifications.v1"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One major version of one event type."""

    name: str
    major: int
    topic: Topic
    producer: str
    model: type[EventData]
    #: Field of the model that holds the id of the aggregate, the ``subject`` of the envelope.
    subject_field: str

    @property
    def type(self) -> str:
        """CloudEvents ``type``, such as ``uk.nhs.quality.concern.raised.v1``."""
        return f"{TYPE_PREFIX}{self.name}.v{self.major}"

    @property
    def schema_name(self) -> str:
        """Name of its JSON Schema's file, without the ending."""
        return f"{self.name}.v{self.major}"

    @property
    def dataschema(self) -> str:
        """CloudEvents ``dataschema``: the ``$id`` of the JSON Schema of the value."""
        return f"urn:quality-cycle:schema:{self.schema_name}"

    @property
    def summary(self) -> str:
        """What the event says, in one sentence."""
        return (self.model.__doc__ or "").strip().splitlines()[0]

    @property
    def classification(self) -> Classification:
        """An event is as narrow as its narrowest field, however deep that lies."""
        return _narrowest(self.model)


@cache
def _narrowest(model: type[BaseModel]) -> Classification:
    return max(_classifications(model), key=lambda classification: classification.rank)


def _classifications(model: type[BaseModel]) -> Iterator[Classification]:
    for name, field in model.model_fields.items():
        classification = classification_of(field)
        if classification is None:
            raise TypeError(f"{model.__name__}.{name} has no classification: declare it with public/partner/internal")
        yield classification
        for nested in _models_in(field.annotation):
            yield from _classifications(nested)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


EVENTS: tuple[EventSpec, ...] = (
    EventSpec("concern.raised", 1, Topic.CONCERNS, "intelligence", ConcernRaised, "concern_id"),
    EventSpec("concern.rated", 1, Topic.CONCERNS, "intelligence", ConcernRated, "concern_id"),
    EventSpec("concern.closed", 1, Topic.CONCERNS, "intelligence", ConcernClosed, "concern_id"),
    EventSpec("concern.reopened", 1, Topic.CONCERNS, "intelligence", ConcernReopened, "concern_id"),
    EventSpec("concern.proposed", 1, Topic.CONCERNS, "intelligence", ConcernProposed, "proposal_id"),
    EventSpec("concern.dismissed", 1, Topic.CONCERNS, "intelligence", ConcernDismissed, "proposal_id"),
    EventSpec("concern.escalated", 1, Topic.CONCERNS, "intelligence", ConcernEscalated, "concern_id"),
    EventSpec("concern.de-escalated", 1, Topic.CONCERNS, "intelligence", ConcernDeEscalated, "concern_id"),
    EventSpec("concern.merged", 1, Topic.CONCERNS, "intelligence", ConcernMerged, "concern_id"),
    EventSpec("concern.corrected", 1, Topic.CONCERNS, "intelligence", ConcernCorrected, "concern_id"),
    EventSpec("condition.set", 1, Topic.CONCERNS, "intelligence", ExitConditionSet, "condition_id"),
    EventSpec("condition.settled", 1, Topic.CONCERNS, "intelligence", ExitConditionSettled, "condition_id"),
    EventSpec("training.suspended", 1, Topic.CONCERNS, "intelligence", TrainingSuspended, "suspension_id"),
    EventSpec("training.restored", 1, Topic.CONCERNS, "intelligence", TrainingRestored, "suspension_id"),
    EventSpec("intelligence.flagged", 1, Topic.CONCERNS, "intelligence", IntelligenceFlagged, "flagging_id"),
    EventSpec("intelligence.corrected", 1, Topic.CONCERNS, "intelligence", IntelligenceCorrected, "flagging_id"),
    EventSpec("visit.required", 1, Topic.VISITS, "visits", VisitRequired, "requirement_id"),
    EventSpec("visit.scheduled", 1, Topic.VISITS, "visits", VisitScheduled, "visit_id"),
    EventSpec("visit.cancelled", 1, Topic.VISITS, "visits", VisitCancelled, "visit_id"),
    EventSpec("outcome.recorded", 1, Topic.OUTCOMES, "visits", OutcomeRecorded, "outcome_id"),
    EventSpec("investment.proposed", 1, Topic.INVESTMENTS, "funding", InvestmentProposed, "proposal_id"),
    EventSpec("investment.adjusted", 1, Topic.INVESTMENTS, "funding", InvestmentAdjusted, "adjustment_id"),
    EventSpec("investment.declined", 1, Topic.INVESTMENTS, "funding", InvestmentDeclined, "proposal_id"),
    EventSpec("notification.delivered", 1, Topic.NOTIFICATIONS, "notify", NotificationDelivered, "notification_id"),
    EventSpec("notification.failed", 1, Topic.NOTIFICATIONS, "notify", NotificationFailed, "notification_id"),
)

_BY_TYPE: dict[str, EventSpec] = {spec.type: spec for spec in EVENTS}
_BY_MODEL: dict[type[EventData], EventSpec] = {spec.model: spec for spec in EVENTS}


def by_type(event_type: str) -> EventSpec | None:
    """The registered event of a CloudEvents ``type``, or None if this version does not know it."""
    return _BY_TYPE.get(event_type)


def by_model(model: type[EventData]) -> EventSpec:
    """The registered event of a model. Raises KeyError for a model that is no event."""
    return _BY_MODEL[model]
