"""Metrics of the notify service."""

from prometheus_client import Counter, Gauge, Histogram

from services.notify.store import deliveries
from shared.persistence.pool import Connection

DELIVERIES = Gauge(
    "qc_deliveries",
    "E-mails to stakeholders that are not sent, by state (queued, sending, failed). "
    "Those sent are counted by qc_mail_attempts_total.",
    ["state"],
)
OLDEST_UNDELIVERED = Gauge(
    "qc_oldest_undelivered_age_seconds", "Age of the oldest e-mail to an active stakeholder not yet sent; 0 if none."
)
MAIL_SEND_SECONDS = Histogram(
    "qc_mail_send_seconds",
    "Time the mail server took over one message, whatever its answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
MAIL_ATTEMPTS = Counter(
    "qc_mail_attempts_total",
    "Messages tried, by result (accepted, deferred, refused, unavailable, template_error).",
    ["result"],
)
MAIL_SERVER_UP = Gauge("qc_mail_server_up", "1 if the mail server answered when it was last needed, else 0.")


async def sample(connection: Connection) -> None:
    """Read the gauges."""
    for state, count in (await deliveries.count_unsent(connection)).items():
        DELIVERIES.labels(state.value).set(count)
    OLDEST_UNDELIVERED.set(await deliveries.oldest_undelivered_s(connection))
