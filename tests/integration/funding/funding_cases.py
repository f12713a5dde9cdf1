"""Agreements, outcomes and proposals that several tests of the funding service use."""

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

from shared.contracts.fields import Category, FindingKind, PanelRole, ProviderRef, VisitKind
from shared.contracts.outcomes import Finding, OutcomeRecorded
from shared.reference.kinds import ProviderKind
from shared.security.pseudonyms import pseudonym
from shared.security.roles import Role
from tests.fixtures.services import PSEUDONYM_KEY, ServiceUnderTest

FENBROOK = "FICTHT001"
RECORDER = "quality-officer-1"
#: What an agreement of these tests gives for the year, in pence.
TOTAL = 1_000_000_00


def agreement_body(
    ods_code: str = FENBROOK, *, name: str = "Fenbrook (fictional)", kind: str = "hospital_trust", **changes: Any
) -> dict[str, Any]:
    return {
        "provider": {"ods_code": ods_code, "name": name, "kind": kind},
        "financial_year": "2024-25",
        "signed_on": "2024-04-01",
        "lines": [
            {"tariff_group": "postgraduate_medical", "amount_pence": 400_000_00},
            {"tariff_group": "clinical", "amount_pence": 600_000_00},
        ],
        **changes,
    }


async def sign(funding: ServiceUnderTest, provider: str = FENBROOK, **changes: Any) -> dict[str, Any]:
    response = await funding.call(
        "POST", "/agreements", role=Role.FINANCE_OFFICER, json=agreement_body(provider, **changes)
    )
    assert response.status_code == 201, response.text
    return response.json()


def outcome(
    *findings: FindingKind,
    provider: str = FENBROOK,
    category: Category | None = None,
    visit_date: date = date(2024, 9, 12),
    concern_ids: Sequence[uuid.UUID] = (),
    recorded_by: str = RECORDER,
) -> OutcomeRecorded:
    return OutcomeRecorded(
        outcome_id=uuid.uuid4(),
        visit_id=uuid.uuid4(),
        provider=ProviderRef(ods_code=provider, name="Fenbrook (fictional)", kind=ProviderKind.HOSPITAL_TRUST),
        kind=VisitKind.TRIGGERED_VISIT,
        visit_date=visit_date,
        recorded_on=visit_date,
        concern_ids=list(concern_ids),
        highest_category=category,
        standard_set="hee-qf-2021",
        findings=[Finding(finding_id=uuid.uuid4(), kind=kind, standard="1.1") for kind in findings],
        agreed_by_roles=[PanelRole.CHAIR, PanelRole.LAY_PARTNER],
        recorded_by=pseudonym(PSEUDONYM_KEY, recorded_by),
    )


def proposal_body(agreement_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "agreement_id": agreement_id,
        "lever": "withhold",
        "amount_pence": -50_000_00,
        "reason": "quality_outcome",
        "note": "Supervision was not put right.",
        **changes,
    }


async def propose(funding: ServiceUnderTest, agreement_id: str, **changes: Any) -> dict[str, Any]:
    response = await funding.call(
        "POST", "/proposals", role=Role.FINANCE_OFFICER, json=proposal_body(agreement_id, **changes)
    )
    assert response.status_code == 201, response.text
    return response.json()


async def decide(
    funding: ServiceUnderTest,
    proposal_id: str,
    decision: str = "approval",
    *,
    version: int | None = 1,
    role: Role = Role.FINANCE_APPROVER,
    subject: str | None = None,
    key: str | None = None,
    body: dict[str, Any] | None = None,
) -> Any:
    headers = {"If-Match": f'"{version}"'} if version is not None else {}
    if key is not None:
        headers["Idempotency-Key"] = key
    if body is None:
        body = {"effective_on": "2024-10-01"} if decision == "approval" else {"reason": "Met in the meantime."}
    return await funding.call(
        "POST", f"/proposals/{proposal_id}/{decision}", role=role, subject=subject, headers=headers, json=body
    )


async def read(funding: ServiceUnderTest, path: str, **params: Any) -> Any:
    response = await funding.call("GET", path, role=Role.READER, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def balances(funding: ServiceUnderTest) -> dict[str, int]:
    found = await read(funding, "/ledger/accounts", limit=200)
    return {account["code"]: account["balance_pence"] for account in found["items"]}
