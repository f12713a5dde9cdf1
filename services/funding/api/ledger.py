"""The ledger, to be read and never written to directly."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.funding import queries
from services.funding.domain.ledger import AccountKind
from services.funding.views import AccountView, BalanceView, TransactionView
from shared.web.callers import Reader
from shared.web.pages import CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(prefix="/ledger", tags=["ledger"])

OfAgreement = Annotated[UUID | None, Query(description="Only those of this agreement.")]


@router.get("/accounts", response_model=Page[AccountView], summary="List accounts with their balances")
async def list_accounts(
    connection: Reading,
    _: Reader,
    kind: Annotated[AccountKind | None, Query(description="Only those of this kind.")] = None,
    agreement_id: OfAgreement = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[AccountView]:
    """In the order they were opened: an account is opened by the first transaction that uses it."""
    return await queries.list_accounts(connection, kind=kind, agreement_id=agreement_id, cursor=cursor, limit=limit)


@router.get("/transactions", response_model=Page[TransactionView], summary="List transactions")
async def list_transactions(
    connection: Reading, _: Reader, agreement_id: OfAgreement = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[TransactionView]:
    """In the order they were posted, with their entries."""
    return await queries.list_transactions(connection, agreement_id=agreement_id, cursor=cursor, limit=limit)


@router.get("/balance", response_model=BalanceView, summary="Whether the ledger balances")
async def get_balance(connection: Reading, _: Reader) -> BalanceView:
    """Every transaction sums to zero, and so does the whole."""
    return await queries.balance(connection)
