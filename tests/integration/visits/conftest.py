"""The visits service on an empty database, with a pool of people."""

import pytest

from services.visits.app import SPEC, Settings
from tests.fixtures.services import StartService
from tests.integration.visits.visits_world import World


@pytest.fixture
async def world(start_service: StartService) -> World:
    """A running service that knows three people and no concern."""
    world = World(await start_service(SPEC, Settings))
    await world.populate()
    return world
