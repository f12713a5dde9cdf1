"""What this stage's tables say, all of it, for whoever compares the stages: ids and states, no words of anybody."""

from dataclasses import dataclass
from uuid import UUID

from services.visits.domain.concern import Concern
from services.visits.domain.requirement import Requirement
from services.visits.store import concerns, requirements
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Facts:
    """What visits knows of concerns, what they call for, and what came of it."""

    concerns: dict[UUID, Concern]
    #: Every requirement of each concern, by number.
    requirements: dict[UUID, list[Requirement]]
    #: Visits, with True for those that were cancelled.
    visits: dict[UUID, bool]
    outcomes: set[UUID]


async def read(connection: Connection) -> Facts:
    """Read all facts of the stage. Call it in a repeatable-read transaction."""
    called_for: dict[UUID, list[Requirement]] = {}
    for requirement in await requirements.every(connection):
        called_for.setdefault(requirement.concern_id, []).append(requirement)
    visits = await connection.fetch("select id, state from visits")
    outcomes = await connection.fetch("select id from outcomes")
    return Facts(
        concerns={concern.id: concern for concern in await concerns.every(connection)},
        requirements=called_for,
        visits={row["id"]: row["state"] == "cancelled" for row in visits},
        outcomes={row["id"] for row in outcomes},
    )
