"""Gauges of the intelligence service."""

from prometheus_client import Gauge

from services.intelligence.domain.small_numbers import in_tens
from services.intelligence.store import concerns
from shared.persistence.pool import Connection

OPEN_CONCERNS = Gauge("qc_open_concerns", "Open concerns, rounded down to the ten below, so that it tells of nobody.")


async def sample(connection: Connection) -> None:
    """Read the gauges."""
    OPEN_CONCERNS.set(in_tens(await concerns.count_open(connection)))
