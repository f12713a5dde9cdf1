"""What the notify service takes and what it answers."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from services.notify.domain.stakeholders import (
    EmailAddress,
    EventName,
    OpenLine,
    Stakeholder,
    StakeholderKind,
    Subscription,
)
from services.notify.store import feed
from services.notify.store.deliveries import Delivery, State
from services.notify.store.directory import Entry
from shared.contracts.fields import OdsCode

#: A key of the office's own for an entry of the directory.
Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]

_EMAIL = (
    "Where e-mail goes. Personal data: shown only to those who manage the directory, and in no event, log or error."
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


# What is taken -----------------------------------------------------------------------------------------------------


class StakeholderEntry(_Body):
    """What an entry of the directory says."""

    kind: StakeholderKind = Field(description="The part it plays.", examples=["general_medical_council"])
    organisation: OpenLine = Field(description="Its name.", examples=["General Medical Council"])
    provider_code: OdsCode | None = Field(
        default=None,
        description="Its own ODS code, if it is a local education provider: it is told of itself alone.",
        examples=[None],
    )
    email: EmailAddress = Field(description=_EMAIL, examples=["quality@gmc.example"])
    active: bool = Field(
        default=True, description="Whether it is told of what happens. While it is not, what was queued waits."
    )
    subscriptions: Annotated[list[Subscription], Field(max_length=50)] = Field(
        description="What it is told of; one e-mail an event, however many of them match.",
        examples=[[{"event_types": ["concern.rated", "concern.closed"], "minimum_category": 2}]],
    )


class AddStakeholder(StakeholderEntry):
    """A stakeholder to put into the directory."""

    reference: Reference | None = Field(
        default=None, description="A key of your own, unique in the directory.", examples=["gmc"]
    )


class ImportStakeholder(StakeholderEntry):
    """A stakeholder of an import."""

    reference: Reference = Field(description="By this an import knows the entry again.", examples=["gmc"])


class ChangeStakeholder(StakeholderEntry):
    """What an entry of the directory shall say from now on: all of it, with why."""

    reason: OpenLine | None = Field(default=None, description="Why, for the history.", examples=["New team address"])


class RetryDelivery(_Body):
    """An order to try a failed delivery again."""

    reason: OpenLine = Field(description="Why it will go better now.", examples=["The address was mended"])


# What is answered --------------------------------------------------------------------------------------------------


class StakeholderView(BaseModel):
    """An entry of the directory, as everybody may see it."""

    id: UUID = Field(description="The stakeholder.")
    reference: str | None = Field(description="The office's own key, if it has one.", examples=["gmc"])
    kind: StakeholderKind = Field(description="The part it plays.", examples=["general_medical_council"])
    organisation: str = Field(description="Its name.", examples=["General Medical Council"])
    provider_code: str | None = Field(description="Its own ODS code, for a local education provider.", examples=[None])
    active: bool = Field(description="Whether it is told of what happens.")
    version: int = Field(description="Version, as in the `ETag`.", examples=[1])

    @classmethod
    def of(cls, stakeholder: Stakeholder) -> Self:
        """The view of an entry."""
        return cls.model_validate(stakeholder, from_attributes=True)


class StakeholderDetail(StakeholderView):
    """An entry of the directory, with what only those who manage it may see."""

    email: str | None = Field(
        description=f"{_EMAIL} Null for everybody else.", examples=["quality@gmc.example"], repr=False
    )
    subscriptions: list[Subscription] | None = Field(
        description="What it is told of. Null for those who do not manage the directory."
    )

    @classmethod
    def seen(cls, entry: Entry, *, whole: bool) -> Self:
        """The view of an entry; ``whole`` for those who manage the directory."""
        return cls(
            **StakeholderView.of(entry.stakeholder).model_dump(),
            email=entry.email if whole else None,
            subscriptions=list(entry.stakeholder.subscriptions) if whole else None,
        )


class ImportedStakeholder(BaseModel):
    """What became of one entry of an import."""

    reference: str = Field(description="Its key.", examples=["gmc"])
    id: UUID = Field(description="The stakeholder.")
    added: bool = Field(description="False if the directory had it already; it was left as it is.")


class ImportReport(BaseModel):
    """What an import did."""

    added: int = Field(description="Entries that are new.", examples=[12])
    present: int = Field(description="Entries the directory had already; they were left as they are.", examples=[0])
    stakeholders: list[ImportedStakeholder] = Field(description="All of them, in the order they were given.")


class DeliveryView(BaseModel):
    """An e-mail about one event to one stakeholder. It names no address."""

    id: UUID = Field(description="The delivery; `notification_id` in events about it.")
    event_id: UUID = Field(description="The event it tells of.")
    event_type: EventName = Field(description="That event's name.", examples=["concern.rated"])
    provider_code: str = Field(description="ODS code of the provider the event is about.", examples=["FICTHT001"])
    stakeholder_id: UUID = Field(description="To whom.")
    stakeholder_kind: StakeholderKind = Field(description="The part the stakeholder plays.")
    organisation: str = Field(description="Name of the stakeholder.", examples=["General Medical Council"])
    template: str = Field(description="Template and version.", examples=["concern-rated@1"])
    state: State = Field(description="A mail server that is down leaves it queued.")
    attempts: int = Field(description="How many times it was tried.", examples=[1])
    next_attempt_at: datetime | None = Field(description="Not before this it is tried again; null if it is over.")
    last_error: str | None = Field(description="Code of what went wrong last.", examples=["smtp_550"])
    created_at: datetime = Field(description="When it was queued.")
    finished_at: datetime | None = Field(description="When it was sent or failed.")
    version: int = Field(
        description="Version, as in the `ETag`; it changes with queued, sent and failed.", examples=[2]
    )

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """The view of a delivery."""
        is_open = delivery.state in (State.QUEUED, State.SENDING)
        return cls(
            id=delivery.id,
            event_id=delivery.event_id,
            event_type=delivery.name,
            provider_code=delivery.provider_code,
            stakeholder_id=delivery.stakeholder_id,
            stakeholder_kind=delivery.stakeholder_kind,
            organisation=delivery.organisation,
            template=delivery.template,
            state=delivery.state,
            attempts=delivery.attempts,
            next_attempt_at=delivery.next_attempt_at if is_open else None,
            last_error=delivery.last_error,
            created_at=delivery.created_at,
            finished_at=delivery.finished_at,
            version=delivery.version,
        )


class FeedEntry(BaseModel):
    """An event, without the fields that are for the office's own services only."""

    position: int = Field(description="Place in the feed; read on with `after`.", examples=[17])
    event_id: UUID = Field(description="The event.")
    event_type: EventName = Field(description="Its name.", examples=["concern.rated"])
    type: str = Field(description="Its CloudEvents type.", examples=["uk.nhs.quality.concern.rated.v1"])
    source: str = Field(description="Who published it.", examples=["/east-midlands/intelligence"])
    subject: str = Field(description="Id of what it is about.")
    key: str = Field(description="ODS code of the provider it is about.", examples=["FICTHT001"])
    time: datetime = Field(description="When it happened, UTC.")
    correlation_id: UUID = Field(description="The concern that started the cycle, or the subject if none did.")
    causation_id: UUID | None = Field(description="The event it follows from, if one caused it.")
    data: dict[str, JsonValue] = Field(description="Its data, but for the fields classified internal.")

    @classmethod
    def of(cls, entry: feed.Entry) -> Self:
        """The view of an entry."""
        return cls(
            position=entry.position,
            event_id=entry.event_id,
            event_type=entry.name,
            type=entry.type,
            source=entry.source,
            subject=entry.subject,
            key=entry.key,
            time=entry.time,
            correlation_id=entry.correlation_id,
            causation_id=entry.causation_id,
            data=entry.data,
        )
