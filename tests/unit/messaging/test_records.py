"""What is made of any record that lies in a topic."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.registry import Topic
from shared.messaging.records import MAX_ERROR_CHARS, Defect, Event, Record, Undeliverable, decode
from tests.unit.messaging.crafted import CLOSED, MOMENT, envelope, record, with_header, without_header

_VALID_HEADERS = tuple(envelope().headers())


def changed(name: str, value: bytes) -> Callable[[Record], Record]:
    return lambda r: replace(r, headers=with_header(r.headers, name, lambda _: value))


def lacking(name: str) -> Callable[[Record], Record]:
    return lambda r: replace(r, headers=without_header(r.headers, name))


def added(name: str, value: bytes | None) -> Callable[[Record], Record]:
    header: Any = (name, value)
    return lambda r: replace(r, headers=(*r.headers, header))


def of_value(value: bytes | None) -> Callable[[Record], Record]:
    return lambda r: replace(r, value=value)


UNREADABLE: dict[str, tuple[Callable[[Record], Record], str]] = {
    "no headers": (lambda r: replace(r, headers=()), "specversion"),
    "no key": (lambda r: replace(r, key=None), "key"),
    "another key": (lambda r: replace(r, key=b"FICTHT999"), "key"),
    "a key that is not UTF-8": (lambda r: replace(r, key=b"\xff"), "key"),
    "no id": (lacking("ce_id"), "ce_id"),
    "an id that is no UUID": (changed("ce_id", b"7"), "ce_id"),
    "an id that is not UTF-8": (changed("ce_id", b"\xff\xfe"), "ce_id"),
    "an id without a value": (lambda r: added("ce_id", None)(lacking("ce_id")(r)), "ce_id"),
    "an empty type": (changed("ce_type", b""), "ce_type"),
    "somebody else's type": (changed("ce_type", b"com.example.thing.v1"), "ce_type"),
    "a huge type": (changed("ce_type", b"x" * 1_000_000), "ce_type"),
    "no source": (lacking("ce_source"), "ce_source"),
    "a source of another form": (changed("ce_source", b"intelligence"), "ce_source"),
    "no sequence": (lacking("ce_sequence"), "ce_sequence"),
    "sequence 0": (changed("ce_sequence", b"0"), "ce_sequence"),
    "a negative sequence": (changed("ce_sequence", b"-1"), "ce_sequence"),
    "a sequence beyond 64 bits": (changed("ce_sequence", b"9223372036854775808"), "ce_sequence"),
    "a sequence of ten thousand digits": (changed("ce_sequence", b"9" * 10_000), "ce_sequence"),
    "a time without a zone": (changed("ce_time", b"2024-05-01T12:00:00"), "ce_time"),
    "another version of CloudEvents": (changed("ce_specversion", b"0.3"), "specversion"),
    "another content type": (changed("content-type", b"application/avro"), "content-type"),
    "a header twice": (added("ce_id", b"7"), "ce_id"),
    "a header twice whose name has a NUL": (
        lambda r: added("ce_\x00", b"1")(added("ce_\x00", b"1")(r)),
        "stands there twice",
    ),
    "a header not in UTF-8 whose name has a NUL": (added("ce_\x00", b"\xff"), "is not UTF-8"),
    "a header whose name is not UTF-8": (added(b"x-\xff".decode(errors="surrogateescape"), b"1"), "not UTF-8"),
}

MISPLACED: dict[str, tuple[Callable[[Record], Record], str]] = {
    "the wrong topic": (lambda r: replace(r, topic=Topic.VISITS.value), "belongs in topic"),
    "a forged producer": (changed("ce_source", b"/test-office/funding"), "by intelligence, not by its ce_source"),
}

BROKEN: dict[str, tuple[Callable[[Record], Record], str]] = {
    "no value": (of_value(None), "no value"),
    "an empty value": (of_value(b""), "data"),
    "not JSON": (of_value(b"\xff\x00"), "data"),
    "not an object": (of_value(b"[]"), "data"),
    "an empty object": (of_value(b"{}"), "data.concern_id"),
    "a value of a megabyte": (of_value(b'"' + b"x" * 1_000_000 + b'"'), "data"),
    "JSON nested ten thousand deep": (of_value(b"[" * 10_000), "data"),
}


def is_storable(text: str) -> bool:
    """True if PostgreSQL takes it as text."""
    text.encode()
    return "\x00" not in text


def test_a_record_of_the_relay_is_an_event() -> None:
    decoded = decode(record(3))
    assert isinstance(decoded, Event)
    assert (decoded.envelope.sequence, decoded.stream.key, type(decoded.data)) == (3, "FICTHT001", CLOSED.model)


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_event_of_ours_is_unreadable(case: str) -> None:
    change, says = UNREADABLE[case]
    decoded = decode(change(record()))
    assert isinstance(decoded, Undeliverable), decoded
    assert (decoded.defect, decoded.envelope) == (Defect.UNREADABLE, None)
    assert says in decoded.error
    assert is_storable(decoded.error)
    assert len(decoded.error) <= MAX_ERROR_CHARS


@pytest.mark.parametrize("case", MISPLACED)
def test_what_is_in_the_wrong_place_is_undeliverable_and_named_with_its_envelope(case: str) -> None:
    change, says = MISPLACED[case]
    decoded = decode(change(record()))
    assert isinstance(decoded, Undeliverable), decoded
    assert decoded.defect is Defect.BREAKS_CONTRACT
    assert decoded.envelope is not None
    assert says in decoded.error
    assert is_storable(decoded.error)
    assert len(decoded.error) <= MAX_ERROR_CHARS


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_its_contract_has_its_place_in_its_stream_and_says_why_it_is_broken(case: str) -> None:
    change, says = BROKEN[case]
    decoded = decode(change(record(3)))
    assert isinstance(decoded, Event), decoded
    assert (decoded.envelope.sequence, decoded.data) == (3, None)
    assert decoded.broken is not None
    assert says in decoded.broken
    assert is_storable(decoded.broken)
    assert len(decoded.broken) <= MAX_ERROR_CHARS


def test_a_value_that_is_not_to_be_opened_is_left_alone() -> None:
    for value in (b"\xff", record().value):
        decoded = decode(replace(record(3), value=value), open_value=False)
        assert isinstance(decoded, Event)
        assert (decoded.envelope.sequence, decoded.data, decoded.broken) == (3, None, None)


@pytest.mark.parametrize("value", [b"", None, b"\xff", b"{}"])
def test_an_event_of_a_type_from_the_future_is_an_event_without_data(value: bytes | None) -> None:
    decoded = decode(replace(record(event_type="uk.nhs.quality.concern.foreseen.v1"), value=value))
    assert isinstance(decoded, Event)
    assert decoded.data is None


def test_headers_of_others_are_none_of_our_business() -> None:
    decoded = decode(added("x-trace", b"\xff\x00")(added("X-TRACE", None)(record())))
    assert isinstance(decoded, Event)


_names = st.one_of(st.sampled_from([name for name, _ in _VALID_HEADERS]), st.text(max_size=8))
_values = st.one_of(st.none(), st.binary(max_size=40), st.sampled_from([value for _, value in _VALID_HEADERS]))


@given(
    headers=st.lists(st.tuples(_names, _values), max_size=20),
    key=st.one_of(st.none(), st.binary(max_size=20), st.just(b"FICTHT001")),
    value=st.one_of(st.none(), st.binary(max_size=60), st.text(max_size=60).map(str.encode)),
    complete=st.booleans(),
)
def test_nothing_in_a_topic_makes_reading_fail(
    headers: Any, key: bytes | None, value: bytes | None, complete: bool
) -> None:
    given_ = (*_VALID_HEADERS, *headers) if complete else tuple(headers)
    decoded = decode(Record("quality.concerns.v1", 0, 0, MOMENT, key, given_, value))
    assert is_storable(decoded.error if isinstance(decoded, Undeliverable) else decoded.broken or "")


# Records as the client library reads them


@dataclass
class Raw:
    timestamp: int = 0
    topic: str = "quality.concerns.v1"
    partition: int = 0
    offset: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Any = ()


@pytest.mark.parametrize(
    ("milliseconds", "moment"),
    [
        (1_714_564_800_123, datetime(2024, 5, 1, 12, 0, 0, 123_000, tzinfo=UTC)),
        (-1, datetime(1970, 1, 1, tzinfo=UTC)),
        (-(2**63), datetime(1970, 1, 1, tzinfo=UTC)),
        (2**63 - 1, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
)
def test_a_timestamp_that_is_no_date_is_brought_into_range(milliseconds: int, moment: datetime) -> None:
    assert Record.of(Raw(timestamp=milliseconds)).time == moment
