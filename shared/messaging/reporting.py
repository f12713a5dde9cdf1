"""What a batch came to, as operations staff see it: in metrics and in the log. Ids only, never what a record holds."""

from datetime import datetime

import structlog

from shared.messaging.inbox import Applied
from shared.observability import metrics

_log = structlog.get_logger("consumer")


def report(applied: Applied, now: datetime) -> None:
    """Count what became of each record, and log what an operator should know of."""
    for (event_type, result), count in applied.counts.items():
        metrics.EVENTS_CONSUMED.labels(event_type, result).inc(count)
    for envelope in applied.applied:
        metrics.EVENT_AGE.labels(envelope.type).observe(max((now - envelope.time).total_seconds(), 0))
        _log.debug("event applied", event_id=str(envelope.id), type=envelope.type, trace=envelope.traceparent)
    for letter in applied.undeliverable:
        record = letter.record
        _log.error(
            "record sent to the dead letters",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=letter.defect.value,
            error=letter.error,
        )
    for event in applied.held:
        _log.error(
            "event held: one before it is missing",
            event_id=str(event.envelope.id),
            topic=event.record.topic,
            source=event.envelope.source,
            key=event.envelope.key,
            sequence=event.envelope.sequence,
        )
