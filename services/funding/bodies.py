"""What the funding stage takes in over HTTP. Money is integer pence; negative is money taken from the provider."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.fields import (
    AdjustmentReason,
    ConcernIds,
    Day,
    FinancialYearLabel,
    Lever,
    Line,
    OdsCode,
    Pence,
    PositivePence,
    Prose,
)
from shared.reference.kinds import ProviderKind
from shared.reference.tariff_groups import TariffGroup


class ProviderBody(BaseModel):
    """The provider to fund, as the register of organisations names it."""

    model_config = ConfigDict(extra="forbid")

    ods_code: OdsCode = Field(description="Code in the NHS Organisation Data Service.")
    name: Line = Field(description="Name.")
    kind: ProviderKind = Field(description="Kind of provider.")


class LineBody(BaseModel):
    """The year's amount for one tariff group."""

    model_config = ConfigDict(extra="forbid")

    tariff_group: TariffGroup = Field(description="Tariff group; each at most once.")
    amount_pence: PositivePence = Field(description="Amount for the year, in integer pence.")


class SignAgreement(BaseModel):
    """A funding agreement to be signed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "provider": {
                        "ods_code": "FICTHT001",
                        "name": "Fenbrook University Hospitals (fictional)",
                        "kind": "hospital_trust",
                    },
                    "financial_year": "2024-25",
                    "signed_on": "2024-04-01",
                    "lines": [
                        {"tariff_group": "clinical", "amount_pence": 45000000},
                        {"tariff_group": "postgraduate_medical", "amount_pence": 80000000},
                    ],
                }
            ]
        },
    )

    provider: ProviderBody = Field(description="Whom it funds.")
    financial_year: FinancialYearLabel = Field(description="Year, 1 April to 31 March, such as 2024-25.")
    signed_on: Day = Field(description="Day of signature, by the end of the year.")
    lines: Annotated[list[LineBody], Field(min_length=1, max_length=len(TariffGroup))] = Field(
        description="Amounts by tariff group."
    )


class ProposeAdjustment(BaseModel):
    """An adjustment that a person proposes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "agreement_id": "0192f0c1-7a3e-7cc0-a1d5-3f1f0e2b9a10",
                    "lever": "improvement_grant",
                    "amount_pence": 1500000,
                    "reason": "quality_good_practice",
                    "concern_ids": [],
                    "note": "Simulation training for supervisors, to be shared with the university.",
                }
            ]
        },
    )

    agreement_id: UUID = Field(description="The agreement to adjust.")
    lever: Lever = Field(description="What is to be done.")
    amount_pence: Pence = Field(
        description="Change of the year's investment in integer pence; its sign must fit the lever. 0 for levers that "
        "move no money."
    )
    reason: AdjustmentReason = Field(description="Tells quality from workforce planning, which never suspends.")
    concern_ids: Annotated[ConcernIds, Field(description="Concerns behind it, if any.")] = []
    note: Prose = Field(description="Why, in your words. It stays in this service.")


class ApproveProposal(BaseModel):
    """Approval of a proposal."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"effective_on": "2024-10-01", "note": "Agreed with the provider."}]},
    )

    effective_on: Day | None = Field(
        default=None,
        description="Day from which it counts, not before the agreement's year begins; today if left out.",
    )
    note: Prose | None = Field(default=None, description="Why, in your words. It stays in this service.")


class DeclineProposal(BaseModel):
    """Refusal of a proposal, or its withdrawal by who made it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "The requirement was met before the sum was due."}]}
    )

    reason: Prose = Field(description="Why, in your words. It stays in this service.")
