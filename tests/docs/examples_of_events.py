"""The headers a record of this system can have."""

import uuid
from datetime import UTC, datetime

from shared.contracts.envelope import Envelope
from shared.contracts.fields import Classification


def headers() -> set[str]:
    """Names of all headers of a record on which no attribute is left out."""
    one = uuid.UUID(int=1)
    envelope = Envelope(
        id=one,
        source="/east-midlands/intelligence",
        type="uk.nhs.quality.concern.raised.v1",
        subject=str(one),
        time=datetime(2026, 1, 1, tzinfo=UTC),
        dataschema="urn:quality-cycle:schema:concern.raised.v1",
        key="FICTHT001",
        sequence=1,
        correlationid=one,
        causationid=one,
        traceparent=f"00-{'1' * 32}-{'1' * 16}-01",
        dataclassification=Classification.INTERNAL,
    )
    return {name for name, _ in envelope.headers()}
