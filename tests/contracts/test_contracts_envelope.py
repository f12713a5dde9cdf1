"""The envelope: written and read back unchanged, readable by a CloudEvents SDK, and strict about its form."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from shared.contracts.envelope import Envelope, UnreadableRecord, instant, read_envelope
from shared.contracts.examples import EXAMPLES, Example

EXAMPLE = EXAMPLES[0]
KEY = EXAMPLE.envelope.key.encode()


def _id(example: Example) -> str:
    return example.spec.schema_name


def _headers(**changed: bytes | None) -> list[tuple[str, bytes]]:
    """The example's headers, some changed, added or (None) gone. Write `ce_x` or `content_type`."""
    headers: dict[str, bytes | None] = dict(EXAMPLE.envelope.headers())
    headers.update({name.replace("content_type", "content-type"): value for name, value in changed.items()})
    return [(name, value) for name, value in headers.items() if value is not None]


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_an_envelope_is_read_back_as_it_was_written(example: Example) -> None:
    assert read_envelope(example.envelope.key.encode(), example.envelope.headers()) == example.envelope


def test_what_is_optional_may_be_absent() -> None:
    bare = EXAMPLE.envelope.model_copy(update={"causationid": None, "traceparent": None})

    names = [name for name, _ in bare.headers()]

    assert "ce_causationid" not in names
    assert "ce_traceparent" not in names
    assert read_envelope(KEY, bare.headers()) == bare


def test_headers_that_are_not_ours_are_ignored() -> None:
    headers = [("x-trace", b"\xff"), ("x-trace", b"\xff"), *EXAMPLE.envelope.headers(), ("ce_later", b"1")]

    assert read_envelope(KEY, headers) == EXAMPLE.envelope


def test_the_content_type_may_carry_parameters() -> None:
    headers = _headers(content_type=b"Application/JSON; charset=utf-8")

    assert read_envelope(KEY, headers) == EXAMPLE.envelope


def test_an_instant_is_written_in_utc_to_the_microsecond() -> None:
    summer = datetime(2025, 7, 1, 13, 30, tzinfo=timezone(timedelta(hours=1)))

    assert instant(summer) == "2025-07-01T12:30:00.000000Z"


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_a_cloudevents_sdk_reads_the_same_event(example: Example) -> None:
    envelope = example.envelope
    record = KafkaMessage(headers=dict(envelope.headers()), key=envelope.key.encode(), value=example.value())

    event = from_binary_event(record)

    assert event.get_specversion() == "1.0"
    assert event.get_id() == str(envelope.id)
    assert event.get_source() == envelope.source
    assert event.get_type() == envelope.type
    assert event.get_subject() == envelope.subject
    assert event.get_time() == envelope.time
    assert event.get_dataschema() == envelope.dataschema
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == example.payload()
    assert {name: event.get_extension(name) for name in _EXTENSIONS} == {
        "partitionkey": envelope.key,
        "sequence": str(envelope.sequence),
        "correlationid": str(envelope.correlationid),
        "causationid": str(envelope.causationid) if envelope.causationid else None,
        "traceparent": envelope.traceparent,
        "dataclassification": envelope.dataclassification.value,
    }


_EXTENSIONS = ("partitionkey", "sequence", "correlationid", "causationid", "traceparent", "dataclassification")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([*_headers(), ("ce_id", b"again")], "header ce_id stands there twice"),
        ([*_headers(), ("content-type", b"application/json")], "header content-type stands there twice"),
        (_headers(ce_subject=b"\xff\xfe"), "header ce_subject is not UTF-8"),
        ([*_headers(), ("ce_x", b"1"), ("ce_x", b"2")], "a header ce_… that is not of this system stands there twice"),
        ([*_headers(), ("ce_x", b"\xff")], "a header ce_… that is not of this system is not UTF-8"),
        (_headers(ce_specversion=b"0.3"), "header ce_specversion has another value, expected '1.0'"),
        (_headers(ce_specversion=None), "header ce_specversion is missing, expected '1.0'"),
        (_headers(content_type=b"text/plain"), "header content-type has another value, expected 'application/json'"),
        (
            _headers(content_type=b"application/cloudevents+json"),
            "header content-type has another value, expected 'application/json'",
        ),
        (_headers(content_type=None), "header content-type is missing, expected 'application/json'"),
        (_headers(ce_type=None), "header ce_type is missing, expected a type uk.nhs.quality.…"),
        (_headers(ce_type=b"com.example.made.v1"), "header ce_type has another value, expected a type"),
        (_headers(ce_type=b"uk.nhs.quality.concern.raised"), "header ce_type: String should match pattern"),
        (_headers(ce_id=None), "header ce_id: Field required"),
        (_headers(ce_id=b"7"), "header ce_id: Input should be a valid UUID"),
        (_headers(ce_source=b"intelligence"), "header ce_source: String should match pattern"),
        (_headers(ce_subject=b""), "header ce_subject: String should have at least 1 character"),
        (_headers(ce_time=b"yesterday"), "header ce_time: Input should be a valid datetime"),
        (_headers(ce_time=b"2025-10-06T09:12:00"), "header ce_time: Input should have timezone info"),
        (_headers(ce_sequence=b"0"), "header ce_sequence: Input should be greater than or equal to 1"),
        (_headers(ce_sequence=b"9223372036854775808"), "header ce_sequence: Input should be less than or equal"),
        (_headers(ce_sequence=b"one"), "header ce_sequence: Input should be a valid integer"),
        (_headers(ce_correlationid=None), "header ce_correlationid: Field required"),
        (_headers(ce_causationid=b"x"), "header ce_causationid: Input should be a valid UUID"),
        (_headers(ce_traceparent=b"00-1-2-01"), "header ce_traceparent: String should match pattern"),
        (_headers(ce_dataclassification=b"secret"), "header ce_dataclassification: Input should be 'public'"),
        (_headers(ce_partitionkey=None), "header ce_partitionkey: Field required"),
        (_headers(ce_partitionkey=None, ce_key=KEY), "header ce_partitionkey: Field required"),
        (_headers(ce_partitionkey=b"zz fict"), "header ce_partitionkey: String should match pattern"),
        (_headers(ce_partitionkey=b"ZZFICT02"), "the record's key differs from header ce_partitionkey"),
        ([], "header ce_specversion is missing, expected '1.0'"),
    ],
)
def test_a_record_that_is_no_event_is_refused_with_its_reason(headers: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(UnreadableRecord) as refused:
        read_envelope(KEY, headers)

    assert message in str(refused.value)


@pytest.mark.parametrize("key", [None, b"", b"ZZFICT02", b"zzfict01", b"\xff"])
def test_a_record_under_another_key_is_refused(key: bytes | None) -> None:
    with pytest.raises(UnreadableRecord, match="the record's key differs from header ce_partitionkey"):
        read_envelope(key, EXAMPLE.envelope.headers())


def test_a_refusal_never_repeats_the_value() -> None:
    with pytest.raises(UnreadableRecord) as refused:
        read_envelope(KEY, _headers(ce_subject=b"", ce_id=b"someone@example.org", ce_time=b"Ada"))

    assert "someone" not in str(refused.value)
    assert "Ada" not in str(refused.value)
    assert {"ce_subject", "ce_id", "ce_time"} <= {
        clause.split(":")[0].removeprefix("header ") for clause in str(refused.value).split("; ")
    }


@pytest.mark.parametrize(
    "headers",
    [
        _headers(ce_specversion=b"Ada Example"),
        _headers(content_type=b"Ada Example"),
        _headers(ce_type=b"Ada Example"),
        _headers(ce_type=b"uk.nhs.quality.Ada Example.v1"),
        [*_headers(), ("ce_Ada Example", b"1"), ("ce_Ada Example", b"2")],
        [*_headers(), ("ce_Ada Example", b"\xff")],
    ],
)
def test_a_refusal_never_repeats_what_others_put_into_a_header_or_its_name(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(UnreadableRecord) as refused:
        read_envelope(KEY, headers)

    assert "Ada" not in str(refused.value)


def test_an_envelope_made_in_code_holds_to_the_same_form() -> None:
    values: dict[str, Any] = EXAMPLE.envelope.model_dump() | {"time": datetime(2025, 10, 6, tzinfo=UTC)}

    assert Envelope(**values).time == values["time"]
    values["time"] = datetime(2025, 10, 6)
    with pytest.raises(ValueError, match="timezone"):
        Envelope(**values)
