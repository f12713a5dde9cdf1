"""Gauges of the intelligence service."""

from prometheus_client import Gauge

from services.intelligence.store import concerns
from shared.contracts.fields import Category
from shared.persistence.pool import Connection

OPEN_CONCERNS = Gauge("qc_open_concerns", "Open concerns, by confirmed category.", ["category"])


async def sample(connection: Connection) -> None:
    """Read the gauges."""
    counts = await concerns.count_open(connection)
    for category in (None, *Category):
        OPEN_CONCERNS.labels(category.name.lower() if category is not None else "unrated").set(counts.get(category, 0))
