"""Rows as records: the same bytes as the envelope gives, in the partition that every client would choose."""

import uuid
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.errors import PolicyViolationError
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.envelope import Envelope, instant
from shared.contracts.registry import EVENTS, PARTITIONS, EventSpec
from shared.messaging.relaying.outgoing_records import RecordMaker
from shared.messaging.relaying.relay_rows import stretches

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def envelope(spec: EventSpec, **changed: Any) -> Envelope:
    attributes: dict[str, Any] = {
        "id": uuid.uuid4(),
        "source": f"/east-midlands/{spec.producer}",
        "type": spec.type,
        "subject": str(uuid.uuid4()),
        "time": datetime(2024, 5, 1, 12, 0, 0, 7, UTC),
        "dataschema": spec.dataschema,
        "key": "FICTHT001",
        "sequence": 12,
        "correlationid": uuid.uuid4(),
        "causationid": None,
        "traceparent": None,
        "dataclassification": spec.classification,
    }
    return Envelope(**attributes | changed)


def row(of: Envelope, **changed: Any) -> Any:
    """An envelope as the database gives it: what stands in for asyncpg's record, which nobody else can make."""
    return {
        "type": of.type,
        "source": of.source,
        "key": of.key,
        "key_bytes": of.key.encode(),
        "event_id": str(of.id).encode(),
        "subject": of.subject.encode(),
        "time": instant(of.time).encode(),
        "sequence": str(of.sequence).encode(),
        "correlation_id": str(of.correlationid).encode(),
        "causation_id": str(of.causationid).encode() if of.causationid else None,
        "traceparent": of.traceparent.encode() if of.traceparent else None,
        **changed,
    }


@pytest.mark.parametrize("spec", EVENTS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("cause", [None, uuid.uuid4()], ids=["no cause", "a cause"])
@pytest.mark.parametrize("trace", [None, TRACE], ids=["no trace", "a trace"])
def test_headers_are_those_of_the_envelope(spec: EventSpec, cause: uuid.UUID | None, trace: str | None) -> None:
    of = envelope(spec, causationid=cause, traceparent=trace)
    maker = RecordMaker()
    for _ in range(2):  # the second time it knows the stream
        assert maker.headers(row(of)) == of.headers()


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "uk.nhs.quality.nothing.happened.v1"},
        {"subject": b""},
        {"subject": b"x" * 101},
        {"key": "no key", "key_bytes": b"no key"},
        {"source": "nobody"},
        {"traceparent": b"00-1-2-3"},
    ],
    ids=str,
)
def test_a_row_that_no_consumer_could_read_is_refused_also_where_its_stream_is_known(changed: dict[str, Any]) -> None:
    maker, of = RecordMaker(), envelope(EVENTS[0])
    maker.headers(row(of))
    with pytest.raises(PolicyViolationError):
        maker.headers(row(of, **changed))
    maker.headers(row(of))


def test_a_subject_is_measured_in_characters() -> None:
    of = envelope(EVENTS[0], subject="ü" * 100)
    assert RecordMaker().headers(row(of)) == of.headers()


@given(key=st.text(min_size=1, max_size=20))
def test_a_key_goes_where_every_client_would_put_it(key: str) -> None:
    numbers = list(range(PARTITIONS))
    maker = RecordMaker()
    for _ in range(2):
        assert maker.place(key.encode(), PARTITIONS) == DefaultPartitioner()(key.encode(), numbers, numbers)


@given(positions=st.sets(st.integers(1, 60), min_size=1))
def test_stretches_hold_the_positions_of_rows_and_no_other(positions: set[int]) -> None:
    """One that is missing between two may be that of a row committed later: it must not count as in flight."""
    found = stretches([{"position": position} for position in sorted(positions)])  # pyright: ignore[reportArgumentType]
    assert [position for first, after in found for position in range(first, after)] == sorted(positions)
    assert all(after < first for (_, after), (first, _) in pairwise(found))
