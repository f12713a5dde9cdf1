"""What notify says about messages to stakeholders. Topic ``quality.notifications.v1``."""

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.fields import ConcernIds, EventData, Line, ProviderRef, internal, partner, public


class Channel(StrEnum):
    """How a stakeholder is told."""

    EMAIL = "email"


class FailureCode(StrEnum):
    """Why a message can never be delivered. A mail server that is down is no such reason: it only delays."""

    RECIPIENT_REFUSED = "recipient_refused"
    MESSAGE_REFUSED = "message_refused"
    TEMPLATE_ERROR = "template_error"


class Notification(EventData):
    """What a delivery and a failure have in common. Names no person and no address."""

    notification_id: UUID = internal("The notification.")
    provider: ProviderRef = public("The provider the message is about.")
    stakeholder_id: UUID = internal("Entry of notify's directory the message is for.")
    stakeholder_kind: Line = partner("Kind of stakeholder, such as “regulator”.")
    channel: Channel = partner("How it was sent.")
    template: Line = internal("Template and its version, such as “concern-rated@1”.")
    about_event_id: UUID = partner("The event the message tells of.")
    about_event_type: Line = partner("That event's type.")
    concern_ids: ConcernIds = partner("Concerns the message touches.")
    attempts: int = internal("How many times it was tried.", ge=1)


class NotificationDelivered(Notification):
    """The mail server accepted a message to a stakeholder."""

    delivered_at: AwareDatetime = partner("Instant of acceptance, UTC.")


class NotificationFailed(Notification):
    """A message to a stakeholder was refused for good; nobody tries again unless an operator says so."""

    failed_at: AwareDatetime = partner("Instant of the refusal, UTC.")
    failure: FailureCode = internal("Why.")
