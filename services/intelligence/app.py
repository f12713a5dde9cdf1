"""What the intelligence service is made of."""

from pathlib import Path

from services.intelligence import api, metrics, reactions
from services.intelligence.commands import abandoned, deadlines
from services.intelligence.settings import Settings
from shared.service.runtime import ServiceSpec

__all__ = ["SPEC", "Settings"]

SPEC = ServiceSpec(
    name="intelligence",
    description="The register of organisations, intelligence about them, and concerns with their whole story.",
    routers=[api.router],
    migrations=Path(__file__).parent / "migrations",
    reactions=reactions.reactions,
    jobs=[deadlines.JOB, abandoned.JOB],
    samplers=[metrics.sample],
    uploads=["/imports/"],
    of_people=["/reports"],
)
