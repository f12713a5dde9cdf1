"""Concerns over HTTP, as tests follow them up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.reference.office_day import office_day
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

TODAY = office_day(datetime.now(UTC))
TOMORROW = TODAY + timedelta(days=1)

BODY = {
    "provider_code": "FICTHT001",
    "site_code": "FICTHT001A",
    "programme": "General surgery",
    "learner_group": "medical",
    "standards": ["1.1"],
    "source_kind": "learner",
    "raised_on": "2024-05-02",
    "summary": "Doctors in training are left without supervision at night.",
}


class Followed:
    """One concern, always in the version last answered."""

    def __init__(self, service: ServiceUnderTest, view: dict[str, Any]) -> None:
        self.service = service
        self.view = view

    @classmethod
    async def raised(cls, service: ServiceUnderTest, **changes: Any) -> "Followed":
        """A new concern."""
        answer = await service.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json={**BODY, **changes})
        assert answer.status_code == 201, answer.text
        return cls(service, answer.json())

    @classmethod
    async def rated(cls, service: ServiceUnderTest, category: int = 3, **changes: Any) -> "Followed":
        """A new concern with a confirmed category."""
        concern = await cls.raised(service, **changes)
        return await concern.rate(category)

    @property
    def id(self) -> str:
        """Its id."""
        return self.view["id"]

    async def rate(self, category: int) -> "Followed":
        """Confirm a category."""
        return await self.do("ratings", impact=4, likelihood=4, category=category)

    async def ask(self, what: str, *, role: Role = Role.QUALITY_LEAD, **body: Any) -> httpx.Response:
        """Send a command, whatever comes of it."""
        answer = await self.service.call(
            "POST",
            f"/concerns/{self.id}/{what}",
            role=role,
            json={"rationale": "Because.", **body},
            headers={"If-Match": f'"{self.view["version"]}"'},
        )
        if answer.status_code == 200:
            self.view = answer.json()
        return answer

    async def do(self, what: str, *, role: Role = Role.QUALITY_LEAD, **body: Any) -> "Followed":
        """Send a command that has to be carried out."""
        answer = await self.ask(what, role=role, **body)
        assert answer.status_code == 200, answer.text
        return self

    async def checked(self, register: str) -> "Followed":
        """Plan and pass an effectiveness check."""
        await self.do("effectiveness-checks", register_kind=register, due_on=str(TOMORROW))
        return await self.do("effectiveness-checks/result", register_kind=register, effective=True)

    async def read(self) -> dict[str, Any]:
        """Its whole story as it is now."""
        answer = await self.service.call("GET", f"/concerns/{self.id}", role=Role.READER)
        self.view = answer.json()
        return self.view

    @property
    def registers(self) -> dict[str, str]:
        """The state of each register."""
        return {one["register_kind"]: one["state"] for one in self.view["registers"]}
