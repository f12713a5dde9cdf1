"""Funding agreements, and the outcomes that wait for one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from services.funding import queries
from services.funding.bodies import SignAgreement
from services.funding.commands import agreements as commands
from services.funding.views import AgreementDetail, AgreementView, WaitingOutcomeView
from shared.contracts.fields import FinancialYearLabel, OdsCode
from shared.security.roles import Permission
from shared.web.callers import Reader
from shared.web.commands import Command, command
from shared.web.etags import etag
from shared.web.pages import CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["agreements"])

OfProvider = Annotated[OdsCode | None, Query(description="Only those of this provider (ODS code).")]


@router.post("/agreements", status_code=201, response_model=AgreementView, summary="Sign a funding agreement")
async def sign_agreement(
    body: SignAgreement, command: Annotated[Command, Depends(command(Permission.MANAGE_AGREEMENTS))]
) -> Response:
    """One agreement per provider and financial year; a second one is a 409. Its total is posted to the ledger, and
    outcomes of visits in that year that waited for it are proposed for."""
    return await command.run(lambda work: commands.sign(work, command.caller, body))


@router.get("/agreements", response_model=Page[AgreementView], summary="List agreements")
async def list_agreements(
    connection: Reading,
    _: Reader,
    provider: OfProvider = None,
    financial_year: Annotated[FinancialYearLabel | None, Query(description="Only those of this year.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[AgreementView]:
    """In the order they were signed here."""
    return await queries.list_agreements(connection, provider=provider, year=financial_year, cursor=cursor, limit=limit)


@router.get("/agreements/{agreement_id}", response_model=AgreementDetail, summary="Read an agreement")
async def get_agreement(agreement_id: UUID, connection: Reading, _: Reader, response: Response) -> AgreementDetail:
    """With what was committed, adjusted so far and is left, and its history."""
    found = await queries.agreement(connection, agreement_id)
    response.headers["ETag"] = etag(found.version)
    return found


@router.get(
    "/waiting-outcomes", response_model=Page[WaitingOutcomeView], summary="List outcomes that wait for an agreement"
)
async def list_waiting_outcomes(
    connection: Reading, _: Reader, provider: OfProvider = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[WaitingOutcomeView]:
    """Outcomes of visits in a year for which the provider has no agreement; signing it turns them into proposals."""
    return await queries.list_waiting_outcomes(connection, provider=provider, cursor=cursor, limit=limit)
