"""Gauges of the visits service."""

from datetime import UTC, datetime

from prometheus_client import Gauge

from services.visits.domain.visit import VisitState
from services.visits.store import requirements, visits
from shared.persistence.pool import Connection
from shared.reference.office_day import office_day

OPEN_REQUIREMENTS = Gauge("qc_open_visit_requirements", "Visit requirements for which no visit is scheduled.")
OVERDUE_REQUIREMENTS = Gauge(
    "qc_overdue_visit_requirements", "Open visit requirements whose latest date has passed. Above 0 asks for action."
)
VISITS = Gauge("qc_visits", "Visits, by state (scheduled, cancelled, completed).", ["state"])


async def sample(connection: Connection) -> None:
    """Read the gauges."""
    now_open, overdue = await requirements.count_open(connection, office_day(datetime.now(UTC)))
    OPEN_REQUIREMENTS.set(now_open)
    OVERDUE_REQUIREMENTS.set(overdue)
    counts = await visits.count(connection)
    for state in VisitState:
        VISITS.labels(state.value).set(counts.get(state, 0))
