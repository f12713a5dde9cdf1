"""The ledger in the database. Rows are only ever added; the database itself refuses what does not balance."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from services.funding.domain.ledger import ACCOUNT_OF_LEVER, AccountKind, Transaction, TransactionKind
from services.funding.domain.standing import Standing
from shared.persistence.pool import Connection

_LEVER_OF_ACCOUNT = {kind.value: lever for lever, kind in ACCOUNT_OF_LEVER.items()}


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An account and what stands on it: positive is a debit."""

    id: int
    code: str
    kind: AccountKind
    agreement_id: UUID | None
    balance_pence: int


@dataclass(frozen=True, slots=True)
class PostedEntry:
    """A line of a posted transaction."""

    account: str
    pence: int


@dataclass(frozen=True, slots=True)
class PostedTransaction:
    """A transaction as it was posted; ``proposal_id`` and ``adjustment_id`` are those of an adjustment."""

    position: int
    id: UUID
    kind: TransactionKind
    agreement_id: UUID
    proposal_id: UUID | None
    adjustment_id: UUID | None
    effective_on: date
    posted_at: datetime
    posted_by: str
    entries: tuple[PostedEntry, ...]


async def post(connection: Connection, transaction: Transaction, *, by: str, at: datetime) -> None:
    """Post a transaction; accounts that it is the first to use are opened."""
    accounts = {entry.account.code: entry.account for entry in transaction.entries}
    await connection.execute(
        """
        insert into ledger_accounts (code, kind, agreement_id)
        select * from unnest($1::text[], $2::text[], $3::uuid[]) on conflict (code) do nothing""",
        list(accounts),
        [account.kind.value for account in accounts.values()],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[UUID]", [account.agreement_id for account in accounts.values()]),
    )
    await connection.execute(
        """
        insert into ledger_transactions (id, kind, agreement_id, effective_on, posted_at, posted_by, entry_count)
        values ($1, $2, $3, $4, $5, $6, $7)""",
        transaction.id,
        transaction.kind.value,
        transaction.agreement_id,
        transaction.effective_on,
        at,
        by,
        len(transaction.entries),
    )
    await connection.execute(
        """
        insert into ledger_entries (transaction_id, line, account_id, pence)
        select $1, line, a.id, e.pence
        from unnest($2::text[], $3::bigint[]) with ordinality as e (code, pence, line)
        join ledger_accounts a using (code)""",
        transaction.id,
        [entry.account.code for entry in transaction.entries],
        [entry.pence for entry in transaction.entries],
    )


#: How an agreement ``a`` stands: columns that ``standing_of`` reads.
STANDING = """
    cross join lateral (
        select sum(amount_pence)::bigint as committed_pence from agreement_lines where agreement_id = a.id
    ) committed
    cross join lateral (
        select array_agg(kind) as kinds, array_agg(balance_pence) as balances
        from ledger_balances where agreement_id = a.id
    ) balanced"""


async def standings(connection: Connection, agreement_ids: Collection[UUID]) -> dict[UUID, Standing]:
    """How agreements stand, by the balances of their accounts."""
    rows = await connection.fetch(
        f"select a.id, committed_pence, kinds, balances from agreements a {STANDING} where a.id = any($1::uuid[])",  # noqa: S608 a constant of ours
        list(agreement_ids),
    )
    return {row["id"]: standing_of(row) for row in rows}


def standing_of(row: Any) -> Standing:
    """How an agreement stands, from the columns that STANDING adds."""
    balances: dict[str, int] = dict(zip(row["kinds"], row["balances"], strict=True))
    return Standing(
        committed_pence=row["committed_pence"],
        remaining_pence=balances.pop(AccountKind.COMMITTED.value),
        by_lever={_LEVER_OF_ACCOUNT[kind]: -balance for kind, balance in balances.items()},
    )


async def accounts(
    connection: Connection, *, kind: AccountKind | None, agreement_id: UUID | None, after: int, limit: int
) -> list[AccountBalance]:
    """Accounts with their balances, in the order they were opened."""
    rows = await connection.fetch(
        """
        select id, code, kind, agreement_id, balance_pence from ledger_balances
        where id > $1 and ($2::text is null or kind = $2) and ($3::uuid is null or agreement_id = $3)
        order by id limit $4""",
        after,
        kind.value if kind else None,
        agreement_id,
        limit,
    )
    return [AccountBalance(**{**dict(row), "kind": AccountKind(row["kind"])}) for row in rows]


async def transactions(
    connection: Connection, *, agreement_id: UUID | None, after: int, limit: int
) -> list[PostedTransaction]:
    """Transactions with their entries, in the order they were posted."""
    rows = await connection.fetch(
        """
        select t.position, t.id, t.kind, t.agreement_id, a.proposal_id, a.id as adjustment_id, t.effective_on,
               t.posted_at, t.posted_by, e.codes, e.amounts
        from ledger_transactions t
        left join adjustments a on a.transaction_id = t.id
        cross join lateral (
            select coalesce(array_agg(c.code order by l.line), '{}') as codes,
                   coalesce(array_agg(l.pence order by l.line), '{}') as amounts
            from ledger_entries l join ledger_accounts c on c.id = l.account_id
            where l.transaction_id = t.id
        ) e
        where t.position > $1 and ($2::uuid is null or t.agreement_id = $2)
        order by t.position limit $3""",
        after,
        agreement_id,
        limit,
    )
    return [
        PostedTransaction(
            position=row["position"],
            id=row["id"],
            kind=TransactionKind(row["kind"]),
            agreement_id=row["agreement_id"],
            proposal_id=row["proposal_id"],
            adjustment_id=row["adjustment_id"],
            effective_on=row["effective_on"],
            posted_at=row["posted_at"],
            posted_by=row["posted_by"],
            entries=tuple(PostedEntry(code, pence) for code, pence in zip(row["codes"], row["amounts"], strict=True)),
        )
        for row in rows
    ]


async def imbalance(connection: Connection) -> tuple[int, int]:
    """The sum of all entries, and the sum of what each transaction is off by; both are 0 in a ledger that balances.

    The second shows what the first hides: two transactions that are off by the same sum in opposite directions.
    """
    row = await connection.fetchrow(
        """
        select coalesce(sum(pence), 0)::bigint as total, coalesce(sum(abs(pence)), 0)::bigint as off
        from (select sum(pence) as pence from ledger_entries group by transaction_id) as per_transaction"""
    )
    assert row is not None  # an aggregate without grouping has one row
    return row["total"], row["off"]
