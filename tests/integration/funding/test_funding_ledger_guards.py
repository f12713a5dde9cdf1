"""The database itself refuses a ledger that does not balance or that is changed afterwards."""

import uuid
from collections.abc import Sequence

import asyncpg
import pytest
from funding_cases import FENBROOK, decide, propose, read, sign

from services.funding import metrics
from services.funding.store import ledger
from shared.persistence.pool import Connection
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

TABLES = ["ledger_accounts", "ledger_transactions", "ledger_entries", "adjustments"]


async def post(
    connection: Connection, agreement_id: str, *pence: int, kind: str = "adjustment", announced: int | None = None
) -> uuid.UUID:
    """Write a transaction past the service, on the first accounts there are."""
    transaction_id = uuid.uuid4()
    await connection.execute(
        "insert into ledger_transactions (id, kind, agreement_id, effective_on, posted_at, posted_by, entry_count) "
        "values ($1, $2, $3, '2024-10-01', now(), 'test', $4)",
        transaction_id,
        kind,
        uuid.UUID(agreement_id),
        len(pence) if announced is None else announced,
    )
    await add_entries(connection, transaction_id, pence)
    return transaction_id


async def add_entries(connection: Connection, transaction_id: uuid.UUID, pence: Sequence[int], first: int = 1) -> None:
    await connection.executemany(
        "insert into ledger_entries (transaction_id, line, account_id, pence) "
        "values ($1, $2, (select min(id) from ledger_accounts), $3)",
        [(transaction_id, line, amount) for line, amount in enumerate(pence, start=first)],
    )


@pytest.mark.parametrize(
    ("pence", "kind", "announced"),
    [
        ((100, -99), "adjustment", None),
        ((100,), "adjustment", 2),
        ((), "adjustment", 2),
        ((100, -100, 50, -50), "adjustment", 2),
        ((100, -100), "memo", 0),
    ],
    ids=["off by a penny", "one entry", "no entry", "more than announced", "a memo with entries"],
)
async def test_a_transaction_that_does_not_balance_is_refused_at_its_commit(
    funding: ServiceUnderTest, pence: tuple[int, ...], kind: str, announced: int | None
) -> None:
    agreement = await sign(funding)
    before = await funding.pool.fetchval("select count(*) from ledger_transactions")
    async with funding.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await post(connection, agreement["id"], *pence, kind=kind, announced=announced)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
            await transaction.commit()
    assert await funding.pool.fetchval("select count(*) from ledger_transactions") == before


async def test_a_transaction_that_balances_is_taken(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    async with funding.pool.acquire() as connection, connection.transaction():
        await post(connection, agreement["id"], 100, -60, -40)
    assert await read(funding, "/ledger/balance") == {"balanced": True, "sum_pence": 0}


async def test_nothing_is_added_to_a_transaction_afterwards_even_if_it_balances(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    async with funding.pool.acquire() as connection:
        async with connection.transaction():
            posted = await post(connection, agreement["id"], 100, -100)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
            async with connection.transaction():
                await add_entries(connection, posted, (5, -5), first=3)


@pytest.mark.parametrize(("pence", "announced"), [((0, 0), None), ((1,), 1), ((10**12 + 1, -(10**12) - 1), None)])
async def test_entries_of_nothing_or_too_much_and_lone_entries_are_refused_at_once(
    funding: ServiceUnderTest, pence: tuple[int, ...], announced: int | None
) -> None:
    agreement = await sign(funding)
    async with funding.pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            async with connection.transaction():
                await post(connection, agreement["id"], *pence, announced=announced)


@pytest.mark.parametrize("table", TABLES)
async def test_rows_of_the_ledger_are_never_changed_deleted_or_emptied(funding: ServiceUnderTest, table: str) -> None:
    agreement = await sign(funding)
    await decide(funding, (await propose(funding, agreement["id"]))["id"])
    rows = await funding.pool.fetchval(f"select count(*) from {table}")  # noqa: S608 a name of this file
    assert rows
    key = {"ledger_entries": "pence = pence + 1", "ledger_accounts": "code = 'x'"}.get(table, "effective_on = now()")
    for statement in (
        f"update {table} set {key}",  # noqa: S608 a name of this file
        f"delete from {table}",  # noqa: S608 a name of this file
        f"truncate {table} cascade",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is append-only"):
            await funding.pool.execute(statement)
    assert await funding.pool.fetchval(f"select count(*) from {table}") == rows  # noqa: S608 a name of this file


async def test_an_agreement_is_committed_once(funding: ServiceUnderTest) -> None:
    agreement = await sign(funding)
    async with funding.pool.acquire() as connection:
        with pytest.raises(asyncpg.UniqueViolationError, match="ledger_one_commitment_per_agreement"):
            async with connection.transaction():
                await post(connection, agreement["id"], 1, -1, kind="commitment")


async def test_the_database_refuses_an_approval_by_the_proposer_too(funding: ServiceUnderTest) -> None:
    made = await propose(funding, (await sign(funding))["id"])
    with pytest.raises(asyncpg.CheckViolationError, match="approved_by_another_person"):
        await funding.pool.execute(
            "update proposals set state = 'approved', decided_by = proposed_by, decided_at = now() where id = $1",
            uuid.UUID(made["id"]),
        )


async def test_an_imbalance_made_with_the_guards_off_is_seen(funding: ServiceUnderTest) -> None:
    """Two transactions that are off by the same sum in opposite directions: their sum alone would hide it."""
    agreement = await sign(funding)
    async with funding.pool.acquire() as connection:
        for table in ("ledger_transactions", "ledger_entries"):
            await connection.execute(f"alter table {table} disable trigger user")
        async with connection.transaction():
            await post(connection, agreement["id"], 7, -5)
            await post(connection, agreement["id"], -7, 5)
        assert await ledger.imbalance(connection) == (0, 4)
        await metrics.sample(connection)
    assert await read(funding, "/ledger/balance") == {"balanced": False, "sum_pence": 0}
    assert "qc_ledger_imbalance_pence 4.0" in await shown(funding)


async def test_metrics_tell_open_proposals_and_the_money_moved_by_lever_and_direction(
    funding: ServiceUnderTest,
) -> None:
    agreement = await sign(funding)
    for lever, pence, reason in (
        ("withhold", -100, "quality_outcome"),
        ("withhold", -20, "quality_outcome"),
        ("withhold", 50, "quality_reinstatement"),
        ("improvement_grant", 30, "quality_good_practice"),
        ("action_plan", 0, "quality_outcome"),
    ):
        made = await propose(funding, agreement["id"], lever=lever, amount_pence=pence, reason=reason)
        assert (await decide(funding, made["id"])).status_code == 200
    await propose(funding, agreement["id"])
    async with funding.pool.acquire() as connection:
        await metrics.sample(connection)
    exposed = await shown(funding)
    for line in (
        "# TYPE qc_money_adjusted_pence_total counter",
        'qc_money_adjusted_pence_total{direction="from_provider",lever="withhold"} 120.0',
        'qc_money_adjusted_pence_total{direction="to_provider",lever="withhold"} 50.0',
        'qc_money_adjusted_pence_total{direction="to_provider",lever="improvement_grant"} 30.0',
        "qc_open_proposals 1.0",
        "qc_waiting_outcomes 0.0",
        "qc_ledger_imbalance_pence 0.0",
    ):
        assert line in exposed
    assert 'lever="action_plan"' not in exposed
    assert FENBROOK not in exposed


async def shown(funding: ServiceUnderTest) -> str:
    return (await funding.call("GET", "/metrics", role=Role.OPERATIONS)).text
