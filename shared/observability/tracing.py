"""W3C trace context: carried from an HTTP request through the outbox and the topics to every reaction."""

import re
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ids = RandomIdGenerator()
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def begin(incoming: str | None) -> str:
    """Start a span for a request: within the caller's trace if it sent a valid ``traceparent``, else a new one.

    The result is current for this task until the next call.
    """
    span = child_of(incoming)
    _current.set(span)
    return span


def current() -> str:
    """The ``traceparent`` of what is being done now."""
    return _current.get() or begin(None)


def child_of(parent: str | None) -> str:
    """A ``traceparent`` with a new span id in the parent's trace; a new trace if the parent is none or invalid."""
    if parent is not None and _FORM.fullmatch(parent):
        trace_id, flags = parent[3:35], parent[-2:]
    else:
        trace_id, flags = f"{_ids.generate_trace_id():032x}", "01"
    return f"00-{trace_id}-{_ids.generate_span_id():016x}-{flags}"
