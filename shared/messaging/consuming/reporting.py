"""What a batch came to, as operations staff see it: in metrics and in the log. Ids only, never what a record holds."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import structlog

from shared.contracts.envelope import Envelope
from shared.messaging.consuming.inbox import Applied
from shared.messaging.ordering import Reason
from shared.observability import metrics

_log = structlog.get_logger("consumer")


def report(applied: Applied, now: datetime) -> None:
    """Count what became of each record, and log what an operator should know of."""
    for (event_type, result), count in applied.counts.items():
        metrics.EVENTS_CONSUMED.labels(event_type, result).inc(count)
    _report_applied(applied.applied, now)
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
    for parked in applied.parked:
        if parked.reason == Reason.BACKLOG:
            continue
        _log.error(
            "stream parked: an event cannot be applied, and what follows it waits",
            event_id=str(parked.event_id),
            topic=parked.topic,
            source=parked.source,
            key=parked.key,
            sequence=parked.sequence,
            reason=parked.reason,
            error=parked.error,
            attempts=parked.attempts,
            retry_at=str(parked.retry_at) if parked.retry_at else "when an operator has decided",
        )
    # What waits behind a parked stream's head is told of with that; what is told of here waits for a missing event.
    told = {parked.stream for parked in applied.parked}
    for stream, count in Counter(event.stream for event in applied.held).items():
        if stream not in told:
            _log.warning(
                "events held: one before them is missing, or their stream is parked",
                topic=stream.topic,
                source=stream.source,
                key=stream.key,
                count=count,
            )


def _report_applied(applied: Sequence[Envelope], now: datetime) -> None:
    """Every event there is comes by here: what is not wanted must cost nothing."""
    ages: dict[str, list[float]] = {}
    # Two instants of different clocks' zones subtract more slowly than their seconds do.
    at = now.timestamp()
    for envelope in applied:
        ages.setdefault(envelope.type, []).append(max(at - envelope.time.timestamp(), 0.0))
    for event_type, of_type in ages.items():
        metrics.EVENT_AGE.labels(event_type).observe_all(of_type)
    if logging.getLogger("consumer").isEnabledFor(logging.DEBUG):
        for envelope in applied:
            _log.debug("event applied", event_id=str(envelope.id), type=envelope.type, trace=envelope.traceparent)
