"""The envelope: CloudEvents 1.0 attributes in the headers of a Kafka record (binary mode).

The data is JSON in the record's value; every attribute is a header ``ce_<name>``; the record's key equals
``partitionkey``. Any CloudEvents SDK reads it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.contracts.fields import Classification, OdsCode
from shared.contracts.registry import TYPE_PREFIX

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
_PREFIX = "ce_"

RawHeaders = Sequence[tuple[str, bytes]]


class UnreadableRecord(ValueError):
    """A record that is not an event of this system. The message says which header or field, and why."""


class Envelope(BaseModel):
    """Attributes of one event. Field names are the CloudEvents attribute names, but for ``key``."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    id: UUID = Field(description="Id of the event, a UUIDv7; the same event always has the same id.")
    source: Annotated[str, StringConstraints(pattern=r"^/[a-z0-9-]{1,60}/[a-z0-9-]{1,60}$")] = Field(
        description="`/<office>/<service>` that published it."
    )
    type: Annotated[
        str, StringConstraints(pattern=r"^uk\.nhs\.quality\.[a-z]+(\.[a-z]+(-[a-z]+)*)+\.v[1-9][0-9]*$")
    ] = Field(description="`uk.nhs.quality.<aggregate>.<past tense>.v<major>`.")
    subject: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="Id of the aggregate the event is about."
    )
    time: AwareDatetime = Field(description="Instant at which it happened, UTC.")
    dataschema: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        description="`$id` of the JSON Schema of the data."
    )
    key: OdsCode = Field(
        validation_alias="partitionkey",
        description="ODS code of the provider: all that happens to one is in order.",
    )
    sequence: int = Field(
        ge=1,
        le=2**63 - 1,
        description="Number of the event among those of its topic, source and key: 1, 2, 3 … without a gap.",
    )
    correlationid: UUID = Field(description="The concern that started the cycle, or the aggregate if none did.")
    causationid: UUID | None = Field(
        default=None, description="Id of the event this one reacts to; none if a person or a clock caused it."
    )
    traceparent: Annotated[
        str | None, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    ] = Field(default=None, description="W3C trace context.")
    dataclassification: Classification = Field(description="`public`, `partner` or `internal`.")

    def headers(self) -> list[tuple[str, bytes]]:
        """The envelope as Kafka headers, with the content type first."""
        attributes = {
            "specversion": SPEC_VERSION,
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": instant(self.time),
            "dataschema": self.dataschema,
            "partitionkey": self.key,
            "sequence": str(self.sequence),
            "correlationid": str(self.correlationid),
            "causationid": str(self.causationid) if self.causationid else None,
            "traceparent": self.traceparent,
            "dataclassification": self.dataclassification.value,
        }
        return [
            ("content-type", CONTENT_TYPE.encode()),
            *((_PREFIX + name, value.encode()) for name, value in attributes.items() if value is not None),
        ]


#: The headers of an event, and the attribute that each of them carries.
_ATTRIBUTES = {
    "content-type": "content-type",
    _PREFIX + "specversion": "specversion",
    **{
        _PREFIX + attribute: attribute
        for attribute in (str(field.validation_alias or name) for name, field in Envelope.model_fields.items())
    },
}


# Every record there is comes by it; the model's own method does no more than hand over to it, for a fifth of the time.
_VALIDATOR = Envelope.__pydantic_validator__


def instant(moment: datetime) -> str:
    """An instant in RFC 3339, UTC, with microseconds and a final Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_envelope(key: bytes | None, headers: RawHeaders) -> Envelope:
    """Read the envelope of a record from its raw key and headers.

    Raises UnreadableRecord if a header is missing, twice there, not UTF-8 or not of its form, if the record
    is not CloudEvents 1.0 JSON in binary mode, or if its key is not its ``partitionkey``. The message repeats
    nothing of the record: what others put into a topic may hold personal data.
    """
    attributes = _attributes(headers)
    if (version := attributes.pop("specversion", None)) != SPEC_VERSION:
        raise UnreadableRecord(f"header ce_specversion {_fault(version)}, expected {SPEC_VERSION!r}")
    media_type = attributes.pop("content-type", None)
    if media_type != CONTENT_TYPE and (
        media_type is None or media_type.partition(";")[0].strip().lower() != CONTENT_TYPE
    ):
        raise UnreadableRecord(f"header content-type {_fault(media_type)}, expected {CONTENT_TYPE!r}")
    event_type = attributes.get("type")
    if event_type is None or not event_type.startswith(TYPE_PREFIX):
        raise UnreadableRecord(f"header ce_type {_fault(event_type)}, expected a type {TYPE_PREFIX}…")
    try:
        # By alias only: a header called ce_key must not stand in for ce_partitionkey.
        envelope: Envelope = _VALIDATOR.validate_strings(
            attributes,  # pyright: ignore[reportArgumentType] its stub knows of nested dicts only
            by_alias=True,
            by_name=False,
        )
    except ValidationError as error:
        raise UnreadableRecord(describe(error, "header ce_")) from error
    if key is None or key != envelope.key.encode():
        raise UnreadableRecord("the record's key differs from header ce_partitionkey")
    return envelope


def _fault(value: str | None) -> str:
    return "is missing" if value is None else "has another value"


def _attributes(headers: RawHeaders) -> dict[str, str]:
    try:
        # As every record of this system is: each header is one of ours, is UTF-8, and stands there once.
        attributes = {_ATTRIBUTES[name]: value.decode() for name, value in headers}
    except (KeyError, UnicodeDecodeError, AttributeError):
        return _attributes_among_others(headers)
    return attributes if len(attributes) == len(headers) else _attributes_among_others(headers)


def _attributes_among_others(headers: RawHeaders) -> dict[str, str]:
    if any(not _is_utf8(name) for name, _ in headers):
        raise UnreadableRecord("the name of a header is not UTF-8")
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name == "content-type":
            attribute = name
        elif name.startswith(_PREFIX):
            attribute = name.removeprefix(_PREFIX)
        else:
            continue
        if attribute in attributes:
            raise UnreadableRecord(f"{_title(name)} stands there twice")
        try:
            attributes[attribute] = value.decode()
        except (UnicodeDecodeError, AttributeError) as error:
            raise UnreadableRecord(f"{_title(name)} is not UTF-8") from error
    return attributes


def _is_utf8(name: str) -> bool:
    """Whether a name was; a byte that was not stands in it as a surrogate."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _title(name: str) -> str:
    """A header as an error names it: one of ours by its name."""
    return f"header {name}" if name in _ATTRIBUTES else f"a header {_PREFIX}… that is not of this system"


def describe(error: ValidationError, prefix: str = "") -> str:
    """What is wrong and where, one clause a field; never the values, which could hold personal data."""
    return "; ".join(
        f"{prefix}{'.'.join(str(part) for part in found['loc']) or 'data'}: {found['msg']}"
        for found in error.errors(include_input=False, include_url=False, include_context=False)
    )
