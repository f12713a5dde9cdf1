"""The world of a visits test: a fictional provider, concerns about it, a pool of people, and the service."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from shared.contracts.concerns import ClosureReason, ConcernClosed, ConcernRaised, ConcernRated, ConcernReopened
from shared.contracts.fields import Category, Origin, ProviderRef, RiskBand
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind
from shared.reference.office_day import office_day
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

FENBROOK = ProviderRef(
    ods_code="FICTHT001", name="Fenbrook University Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
)
HARROWMERE = ProviderRef(
    ods_code="FICTHT002", name="Harrowmere Teaching Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
)

#: Names of the pool. None may be anywhere but in the service's own table and its answers to staff.
NAMES = {"chair": "Wilhelmina Oakapple", "lay": "Barnaby Thistlewick", "lead": "Perpetua Quillfeather"}


def today() -> date:
    """The service's today."""
    return office_day(datetime.now(UTC))


@dataclass
class World:
    """What a test says and does."""

    service: ServiceUnderTest
    people: dict[str, str] = field(default_factory=dict[str, str])

    # Events -------------------------------------------------------------------------------------------------

    async def raised(self, provider: ProviderRef = FENBROOK, concern_id: UUID | None = None) -> UUID:
        """A concern is raised."""
        concern_id = concern_id or uuid4()
        await self.service.receive(
            ConcernRaised(
                **self.scope(provider),
                concern_id=concern_id,
                reference=self.reference(concern_id),
                raised_on=date(2024, 8, 1),
                source_kind=SourceKind.LEARNER,
                origin=Origin.REPORTED,
            ),
            key=provider.ods_code,
            correlation_id=concern_id,
        )
        return concern_id

    def rating(
        self, concern_id: UUID, category: Category, provider: ProviderRef = FENBROOK, on: date | None = None
    ) -> ConcernRated:
        """The event of a rating."""
        return ConcernRated(
            **self.scope(provider),
            concern_id=concern_id,
            reference=self.reference(concern_id),
            impact=4,
            likelihood=4,
            score=16,
            band=RiskBand.EXTREME,
            suggested_category=Category.MAJOR,
            category=category,
            rated_on=on or today(),
            origin=Origin.REPORTED,
        )

    async def rated(
        self, concern_id: UUID, category: Category, provider: ProviderRef = FENBROOK, on: date | None = None
    ) -> None:
        """A concern's category is confirmed."""
        rating = self.rating(concern_id, category, provider, on)
        await self.service.receive(rating, key=provider.ods_code, correlation_id=concern_id)

    async def closed(self, concern_id: UUID, provider: ProviderRef = FENBROOK) -> None:
        """A concern is closed."""
        event = ConcernClosed(
            concern_id=concern_id,
            reference=self.reference(concern_id),
            provider=provider,
            reason=ClosureReason.RESOLVED,
            closed_on=today(),
            origin=Origin.REPORTED,
        )
        await self.service.receive(event, key=provider.ods_code, correlation_id=concern_id)

    async def reopened(self, concern_id: UUID, provider: ProviderRef = FENBROOK) -> None:
        """A closed concern is reopened."""
        event = ConcernReopened(
            concern_id=concern_id, reference=self.reference(concern_id), provider=provider, reopened_on=today()
        )
        await self.service.receive(event, key=provider.ods_code, correlation_id=concern_id)

    def scope(self, provider: ProviderRef) -> dict[str, Any]:
        """Where the test's concerns lie."""
        return {
            "provider": provider,
            "programme": "General surgery",
            "learner_group": LearnerGroup.MEDICAL,
            "standard_set": "hee-qf-2021",
            "standards": ["3.5"],
        }

    def reference(self, concern_id: UUID) -> str:
        """A reference made from the id."""
        return f"C-{str(concern_id)[:8]}"

    async def requirement(
        self, category: Category = Category.MAJOR, provider: ProviderRef = FENBROOK
    ) -> dict[str, Any]:
        """A rated concern's requirement, as the service answers it."""
        concern_id = await self.raised(provider)
        await self.rated(concern_id, category, provider)
        return await self.requirement_of(concern_id)

    async def requirement_of(self, concern_id: UUID | str) -> dict[str, Any]:
        """The one requirement of a concern."""
        (found,) = await self.requirements_of(concern_id)
        return found

    async def requirements_of(self, concern_id: UUID | str) -> list[dict[str, Any]]:
        """All requirements of a concern, with their histories."""
        rows = await self.service.pool.fetch(
            "select id from requirements where concern_id = $1 order by number", UUID(str(concern_id))
        )
        return [(await self.ask("GET", f"/requirements/{row['id']}")).json() for row in rows]

    # Requests -----------------------------------------------------------------------------------------------

    async def ask(
        self, method: str, path: str, body: Any = None, *, role: Role | None = Role.QUALITY_OFFICER, **headers: str
    ) -> httpx.Response:
        """Send a request; ``if_match="1"`` becomes the header ``If-Match: "1"``."""
        sent = {}
        if "if_match" in headers:
            sent["If-Match"] = f'"{headers["if_match"]}"'
        if "key" in headers:
            sent["Idempotency-Key"] = headers["key"]
        arguments = {} if body is None else {"json": body}
        return await self.service.call(method, path, role=role, headers=sent, **arguments)

    async def populate(self) -> None:
        """A chair, a lay partner and a college lead."""
        for key, roles in (
            ("chair", ["chair", "quality_lead"]),
            ("lay", ["lay_partner"]),
            ("lead", ["college_lead", "lay_partner"]),
        ):
            answer = await self.ask("POST", "/people", {"name": NAMES[key], "organisation": "The pool", "roles": roles})
            assert answer.status_code == 201, answer.text
            self.people[key] = answer.json()["id"]

    def panel(self, **roles: str) -> list[dict[str, str]]:
        """A panel: chair and lay partner unless told otherwise."""
        return [
            {"person_id": self.people[key], "role": role}
            for key, role in (roles or {"chair": "chair", "lay": "lay_partner"}).items()
        ]

    def plan(self, *requirements: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """A visit today that meets requirements."""
        return {
            "provider_code": FENBROOK.ods_code,
            "kind": "urgent_risk_review",
            "visit_date": today().isoformat(),
            "requirement_ids": [requirement["id"] for requirement in requirements],
            "panel": self.panel(),
            **changes,
        }

    async def scheduled(self, *requirements: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """A visit that is scheduled."""
        answer = await self.ask("POST", "/visits", self.plan(*requirements, **changes))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def outcome(self, **changes: Any) -> dict[str, Any]:
        """An outcome to which chair and lay partner agree."""
        return {
            "summary": "Supervision out of hours falls short.",
            "findings": [
                {"kind": "immediate_mandatory_requirement", "standard": "3.5", "text": "Name a supervisor."},
                {"kind": "mandatory_requirement", "standard": "2.1", "text": "Report to the board."},
                {"kind": "good_practice", "standard": "1.7", "text": "Learners trust the guardian."},
            ],
            "agreed_by": [self.people["chair"], self.people["lay"]],
            **changes,
        }

    async def everything_written_but_people(self) -> str:
        """All that the service saved for others or for good: outbox and history."""
        outbox = await self.service.pool.fetch("select data from outbox")
        history = await self.service.pool.fetch("select actor, reason, detail from history")
        return json.dumps([dict(row) for row in [*outbox, *history]], ensure_ascii=False)


def fields(answer: httpx.Response) -> list[str]:
    """The fields a problem names."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [error["field"] for error in answer.json()["errors"]]
