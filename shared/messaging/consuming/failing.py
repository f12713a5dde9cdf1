"""Whose fault a failure is: an event's, which is then set aside, or that of the database or network, which passes."""

from datetime import datetime

import asyncpg

from shared.contracts.envelope import Envelope
from shared.contracts.registry import by_type
from shared.messaging.consuming.inbox import Failure
from shared.messaging.consuming.parking import RetryPolicy
from shared.messaging.consuming.reactions import ReactionFailed
from shared.messaging.records import Stream, printable
from shared.observability.failures import in_brief
from shared.persistence.failures import is_passing


def is_no_events_fault(error: BaseException) -> bool:
    """True if every event would fail so: the same batch is repeated until it succeeds, and nothing is parked."""
    # A table, a column or a right that is not there is missing for all of them.
    return is_passing(error) or isinstance(error, asyncpg.SyntaxOrAccessError)


def stream_of(envelope: Envelope) -> Stream:
    """The stream of an event of a registered type, as all are that are applied."""
    spec = by_type(envelope.type)
    assert spec is not None  # only a registered type has data, and only what has data is handed to a reaction
    return Stream(spec.topic.value, envelope.source, envelope.key)


def failure(sequence: int, error: Exception, attempts: int, policy: RetryPolicy, now: datetime) -> Failure:
    """What is known of an event after so many attempts: when it is tried next, or that it is dead."""
    cause = error.__cause__ if isinstance(error, ReactionFailed) and error.__cause__ is not None else error
    retry_at = None if attempts >= policy.attempts else now + policy.pause(attempts)
    return Failure(sequence, printable(in_brief(cause)), attempts, retry_at)
