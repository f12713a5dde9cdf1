"""Metrics every service has. Labels hold names from closed lists only: never an id, a code or a person."""

from prometheus_client import Counter, Gauge, Histogram

from shared.observability.histograms import BatchHistogram

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BATCH = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)

EVENTS_CONSUMED = Counter(
    "qc_events_consumed_total",
    "Records taken in, by event type and result "
    "(applied, ignored, duplicate, held, released, parked, conflict, unreadable, breaks_contract, failed).",
    ["type", "result"],
)
EVENT_AGE = BatchHistogram(
    "qc_event_age_seconds",
    "Age of an event when it was applied: from its time to the commit.",
    ["type"],
    buckets=_LATENCY,
)
BATCH_SIZE = Histogram("qc_batch_size_records", "Records in a batch.", buckets=_BATCH)
BATCH_SECONDS = Histogram("qc_batch_seconds", "Time to apply and commit a batch.", buckets=_LATENCY)
BATCH_FAILURES = Counter(
    "qc_batch_failures_total",
    "Batches rolled back and repeated, by cause (passing: database or network; event: cannot be applied).",
    ["cause"],
)
CONSUMER_STOPPED = Gauge(
    "qc_consumer_stopped",
    "1 while the consumer stands still because something can neither be applied nor parked, else 0.",
)
CONSUMER_LAG = Gauge("qc_consumer_lag_records", "Records in a topic not yet taken in.", ["topic"])
HELD_EVENTS = Gauge("qc_held_events", "Events held because one before them is missing. Above 0 raises an alert.")
HELD_OLDEST = Gauge("qc_held_oldest_age_seconds", "How long the oldest of these has waited; 0 if none is held.")
PARKED_STREAMS = Gauge(
    "qc_parked_streams", "Streams that stand still because an event cannot be applied. Above 0 raises an alert."
)
PARKED_EVENTS = Gauge("qc_parked_events", "Events that wait in parked streams, or behind what waited there.")
PARKED_OLDEST = Gauge("qc_parked_oldest_age_seconds", "How long the oldest parked stream has stood still; 0 if none.")
RETRIES = Counter("qc_retries_total", "Attempts at parked streams, by result (applied, failed).", ["result"])
DEAD_LETTERS = Gauge("qc_dead_letters", "Dead letters on which nobody has decided.")
DEAD_LETTERS_UNPUBLISHED = Gauge(
    "qc_dead_letters_unpublished", "Dead letters not yet copied to the topic of dead letters."
)

EVENTS_SENT = Counter("qc_events_sent_total", "Events acknowledged by the broker, by event type.", ["type"])
OUTBOX_DEPTH = Gauge("qc_outbox_depth", "Events saved and not yet acknowledged by the broker.")
OUTBOX_OLDEST = Gauge("qc_outbox_oldest_age_seconds", "Age of the oldest event not yet acknowledged; 0 if none.")
OUTBOX_FENCED = Gauge(
    "qc_outbox_fenced",
    "1 while the service may not emit because its database is older than what it published. Above 0 raises an alert.",
)
RELAY_LEADER = Gauge("qc_relay_leader", "1 if this process holds the relay's lock, else 0.")
RELAY_STOPPED_KEYS = Gauge(
    "qc_relay_stopped_keys",
    "Keys that stand still because the broker refused a record. Above 0 raises an alert.",
)
RELAY_FAILURES = Counter("qc_relay_failures_total", "Times the relay lost the broker or the database and began anew.")

SCHEDULED_RUNS = Counter(
    # Not `job`: that is the label by which Prometheus tells the services apart.
    "qc_scheduled_runs_total",
    "Runs of jobs by the clock, by job and result (done, failed).",
    ["task", "result"],
)

HTTP_REQUESTS = Counter(
    "qc_http_requests_total",
    "HTTP requests, by method, route template and status.",
    ["method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "qc_http_request_seconds",
    "Time to answer an HTTP request, by route template.",
    ["method", "route"],
    buckets=_LATENCY,
)
