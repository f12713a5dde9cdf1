"""An intelligence service that knows the shipped organisations."""

import pytest

from services.intelligence.app import SPEC, Settings
from shared.reference import files
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest, StartService


@pytest.fixture
async def intelligence(start_service: StartService) -> ServiceUnderTest:
    service = await start_service(SPEC, Settings)
    for name in ("providers.csv", "providers-synthetic.csv"):
        answer = await service.call(
            "POST", "/imports/providers", role=Role.QUALITY_OFFICER, content=files.path(name).read_bytes()
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["problems"] == []
    return service
