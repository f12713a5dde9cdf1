"""What the visits service is made of."""

from pathlib import Path

from services.visits import api, metrics, reactions
from shared.service.runtime import ServiceSpec
from shared.service.settings import ServiceSettings

Settings = ServiceSettings

SPEC = ServiceSpec(
    name="visits",
    description="Visit requirements, the pool of panel members, visits with their panels, and what they found.",
    routers=[api.router],
    migrations=Path(__file__).parent / "migrations",
    reactions=reactions.reactions,
    samplers=[metrics.sample],
)
