"""What the funding stage answers to those who only read."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field

from services.funding import views
from services.funding.domain.ledger import AccountKind
from services.funding.domain.proposals import ProposalState
from services.funding.store import agreements, ledger, proposals, waiting
from services.funding.views import (
    AccountView,
    AgreementDetail,
    AgreementView,
    BalanceView,
    ProposalDetail,
    ProposalView,
    TransactionView,
    WaitingOutcomeView,
)
from shared.persistence.pool import Connection
from shared.web.changes import changes_of
from shared.web.pages import Cursor, Page
from shared.web.problems import NotFound

F = TypeVar("F")
V = TypeVar("V", bound=BaseModel)

# Every list is in the order of a bigint column.
_CURSOR: Cursor[int] = Cursor(Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)])


async def agreement(connection: Connection, agreement_id: UUID) -> AgreementDetail:
    """One agreement with its history. Raises NotFound."""
    found = await agreements.get(connection, agreement_id)
    if found is None:
        raise NotFound(f"There is no agreement {agreement_id}.")
    standings = await ledger.standings(connection, [found.id])
    changes = await changes_of(connection, "agreement", found.id)
    return views.agreement_detail(found, standings[found.id], changes)


async def list_agreements(
    connection: Connection, *, provider: str | None, year: str | None, cursor: str | None, limit: int
) -> Page[AgreementView]:
    """Agreements, in the order they were signed here. Raises Unprocessable for a cursor of another list."""
    found = await agreements.page(connection, provider=provider, year=year, after=_after(cursor), limit=limit + 1)
    standings = await ledger.standings(connection, [one.id for _, one in found])
    return _page(found, limit, lambda item: item[0], lambda item: views.agreement(item[1], standings[item[1].id]))


async def proposal(connection: Connection, proposal_id: UUID) -> ProposalDetail:
    """One proposal with its history and its events. Raises NotFound."""
    found = await proposals.get(connection, proposal_id)
    if found is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    of = await agreements.of_ids(connection, [found.agreement_id])
    adjustments = await proposals.adjustments_of(connection, [found.id])
    changes = await changes_of(connection, "proposal", found.id)
    return views.proposal_detail(found, of[found.agreement_id], adjustments.get(found.id), changes)


async def list_proposals(
    connection: Connection,
    *,
    state: ProposalState | None,
    provider: str | None,
    agreement_id: UUID | None,
    outcome_id: UUID | None,
    cursor: str | None,
    limit: int,
) -> Page[ProposalView]:
    """Proposals, in the order they were made. Raises Unprocessable for a cursor of another list."""
    found = await proposals.page(
        connection,
        state=state,
        provider=provider,
        agreement_id=agreement_id,
        outcome_id=outcome_id,
        after=_after(cursor),
        limit=limit + 1,
    )
    of = await agreements.of_ids(connection, {one.agreement_id for _, one in found})
    adjustments = await proposals.adjustments_of(connection, [one.id for _, one in found])
    return _page(
        found,
        limit,
        lambda item: item[0],
        lambda item: views.proposal(item[1], of[item[1].agreement_id], adjustments.get(item[1].id)),
    )


async def list_waiting_outcomes(
    connection: Connection, *, provider: str | None, cursor: str | None, limit: int
) -> Page[WaitingOutcomeView]:
    """Outcomes without an agreement, in order of arrival. Raises Unprocessable for a cursor of another list."""
    found = await waiting.page(connection, provider=provider, after=_after(cursor), limit=limit + 1)
    return _page(found, limit, lambda item: item.position, views.waiting_outcome)


async def list_accounts(
    connection: Connection, *, kind: AccountKind | None, agreement_id: UUID | None, cursor: str | None, limit: int
) -> Page[AccountView]:
    """Accounts with their balances, in the order they were opened. Raises Unprocessable for a foreign cursor."""
    found = await ledger.accounts(
        connection, kind=kind, agreement_id=agreement_id, after=_after(cursor), limit=limit + 1
    )
    return _page(found, limit, lambda item: item.id, views.account)


async def list_transactions(
    connection: Connection, *, agreement_id: UUID | None, cursor: str | None, limit: int
) -> Page[TransactionView]:
    """Transactions, in the order they were posted. Raises Unprocessable for a cursor of another list."""
    found = await ledger.transactions(connection, agreement_id=agreement_id, after=_after(cursor), limit=limit + 1)
    return _page(found, limit, lambda item: item.position, views.transaction)


async def balance(connection: Connection) -> BalanceView:
    """Whether the ledger balances."""
    total, off = await ledger.imbalance(connection)
    return BalanceView(balanced=off == 0, sum_pence=total)


def _after(cursor: str | None) -> int:
    return _CURSOR.read(cursor) or 0


def _page(found: Sequence[F], limit: int, place: Callable[[F], int], view: Callable[[F], V]) -> Page[V]:
    page = _CURSOR.page(found, limit, place)
    return Page(items=[view(item) for item in page.items], next=page.next)
