"""Composition root of the funding service."""

from pathlib import Path

from services.funding import api, metrics
from services.funding.reactions import reactions
from shared.service.runtime import ServiceSpec
from shared.service.settings import ServiceSettings

SPEC = ServiceSpec(
    name="funding",
    description="Funding agreements, adjustments that follow from the outcomes of visits, and the ledger of both.",
    routers=[api.router],
    migrations=Path(__file__).parent / "migrations",
    reactions=reactions,
    samplers=[metrics.sample],
)

Settings = ServiceSettings
