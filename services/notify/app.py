"""What the notify service is made of."""

from pathlib import Path

from services.notify import api, metrics, reactions, sending
from services.notify.settings import Settings
from shared.service.runtime import ServiceSpec

__all__ = ["SPEC", "Settings"]

SPEC = ServiceSpec(
    name="notify",
    description="The directory of stakeholders, what they are told by e-mail, and a feed of all that happened.",
    routers=[api.router],
    migrations=Path(__file__).parent / "migrations",
    reactions=reactions.reactions,
    workers=[sending.send_mail],
    samplers=[metrics.sample],
)
