"""One example of every event, for the AsyncAPI document, the documentation and the tests.

Together they tell two cycles at one provider that does not exist: its code is none that the NHS Organisation
Data Service gives out.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from shared.contracts.envelope import Envelope
from shared.contracts.example_cycle import CYCLE
from shared.contracts.example_parts import CONCERN, PROVIDER, Moment
from shared.contracts.example_register import REGISTER
from shared.contracts.fields import EventData
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.registry import EVENTS, EventSpec, Topic, by_model

OFFICE = "east-midlands"


@dataclass(frozen=True, slots=True)
class Example:
    """An event as it could stand in a topic."""

    spec: EventSpec
    envelope: Envelope
    data: EventData

    def headers(self) -> dict[str, str]:
        """The record's headers, as text."""
        return {name: value.decode() for name, value in self.envelope.headers()}

    def value(self) -> bytes:
        """The record's value."""
        return self.data.model_dump_json().encode()

    def payload(self) -> dict[str, JsonValue]:
        """The record's value as a JSON document."""
        return self.data.model_dump(mode="json")


def _told() -> tuple[Example, ...]:
    numbers: Counter[tuple[Topic, str]] = Counter()
    told: dict[type[EventData], Example] = {}
    for place, (moment, data, cause) in enumerate(sorted(CYCLE + REGISTER, key=_moment), start=1):
        spec = by_model(type(data))
        numbers[spec.topic, spec.producer] += 1
        causation = told[cause].envelope.id if cause else None
        told[spec.model] = Example(
            spec=spec,
            envelope=Envelope(
                id=_event_id(moment, place),
                source=f"/{OFFICE}/{spec.producer}",
                type=spec.type,
                subject=str(getattr(data, spec.subject_field)),
                time=moment,
                dataschema=spec.dataschema,
                key=PROVIDER.ods_code,
                sequence=numbers[spec.topic, spec.producer],
                correlationid=CONCERN,
                causationid=causation,
                traceparent=f"00-4bf92f3577b34da6a3ce929d0e0e{place:04x}-00f067aa0ba9{place:04x}-01",
                dataclassification=spec.classification,
            ),
            data=_about(data, causation),
        )
    if missing := [spec.name for spec in EVENTS if spec.model not in told]:
        raise LookupError(f"no example of {', '.join(missing)}: add it to shared/contracts/example_*.py")
    return tuple(told[spec.model] for spec in EVENTS)


def _about(data: EventData, causation: UUID | None) -> EventData:
    """A notification's data with the id of the event it tells of, which is known once that event was told."""
    if isinstance(data, NotificationDelivered | NotificationFailed):
        return data.model_copy(update={"about_event_id": causation})
    return data


def _moment(one: Moment) -> datetime:
    return one[0]


def _event_id(moment: datetime, place: int) -> UUID:
    """A UUIDv7 of that moment."""
    return UUID(f"{int(moment.timestamp() * 1000):012x}70008000{place:012x}")


#: In the order of the registry.
EXAMPLES: tuple[Example, ...] = _told()

_BY_TYPE = {example.spec.type: example for example in EXAMPLES}


def example_of(spec: EventSpec) -> Example:
    """The example of an event."""
    return _BY_TYPE[spec.type]
