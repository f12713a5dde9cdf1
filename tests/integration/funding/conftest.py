"""The funding service, for the tests of this folder."""

import pytest

from services.funding.app import SPEC, Settings
from tests.fixtures.services import ServiceUnderTest, StartService


@pytest.fixture
async def funding(start_service: StartService) -> ServiceUnderTest:
    """The service on an empty database."""
    return await start_service(SPEC, Settings)
