"""The ledger: transactions can only be built in balance."""

import uuid
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.funding.domain import ledger
from services.funding.domain.agreements import Agreement, Line
from services.funding.domain.ledger import (
    ACCOUNT_OF_LEVER,
    BUDGET,
    Account,
    AccountKind,
    Entry,
    LedgerError,
    Transaction,
    TransactionKind,
)
from shared.contracts.fields import MAX_PENCE, Lever, ProviderRef
from shared.reference.financial_year import FinancialYear
from shared.reference.kinds import ProviderKind
from shared.reference.tariff_groups import TariffGroup

PENCE = st.integers(-MAX_PENCE, MAX_PENCE)
DAY = date(2024, 10, 1)


def agreement(total: int = 10_000) -> Agreement:
    return Agreement(
        id=uuid.uuid4(),
        provider=ProviderRef(
            ods_code="FICTHT001", name="Fenbrook University Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
        ),
        year=FinancialYear(2024),
        lines=(Line(TariffGroup.CLINICAL, total),),
        signed_on=date(2024, 4, 1),
    )


def transaction(*pence: Any, kind: TransactionKind = TransactionKind.ADJUSTMENT) -> Transaction:
    accounts = [BUDGET, *(Account.of(kind, agreement()) for kind in AccountKind)]
    entries = tuple(Entry(account, amount) for account, amount in zip(accounts, pence, strict=False))
    return Transaction(uuid.uuid4(), kind, uuid.uuid4(), DAY, entries)


@given(st.integers(1, MAX_PENCE))
def test_signing_moves_the_total_from_the_budget_to_what_is_committed(total: int) -> None:
    entries = ledger.commitment(uuid.uuid4(), agreement(total)).entries
    assert {(e.account.code, e.pence) for e in entries} == {
        ("committed:FICTHT001:2024-25", total),
        ("budget", -total),
    }


@given(lever=st.sampled_from(sorted(ACCOUNT_OF_LEVER)), pence=PENCE.filter(bool))
def test_an_adjustment_of_any_amount_balances_and_changes_what_is_committed_by_it(lever: Lever, pence: int) -> None:
    posted = ledger.adjustment(uuid.uuid4(), agreement(), lever, pence, DAY)
    assert sum(e.pence for e in posted.entries) == 0
    assert {e.account.kind: e.pence for e in posted.entries} == {
        AccountKind.COMMITTED: pence,
        ACCOUNT_OF_LEVER[lever]: -pence,
    }


@given(st.sampled_from(Lever))
def test_an_adjustment_without_money_is_a_memo_without_entries(lever: Lever) -> None:
    posted = ledger.adjustment(uuid.uuid4(), agreement(), lever, 0, DAY)
    assert (posted.kind, posted.entries) == (TransactionKind.MEMO, ())


@pytest.mark.parametrize("lever", [Lever.NO_CHANGE, Lever.ACTION_PLAN, Lever.CONTRACT_NOTICE])
def test_a_lever_without_money_has_no_account_to_move_it_to(lever: Lever) -> None:
    with pytest.raises(LedgerError, match=f"{lever.value} moves no money"):
        ledger.adjustment(uuid.uuid4(), agreement(), lever, -1, DAY)


@given(st.lists(PENCE.filter(bool), min_size=2, max_size=6).filter(sum))
def test_entries_that_do_not_sum_to_zero_are_refused_with_the_difference(pence: list[int]) -> None:
    with pytest.raises(LedgerError, match=f"sum to {sum(pence)} pence"):
        transaction(*pence)


@given(st.lists(PENCE.filter(bool), min_size=1, max_size=5).filter(sum))
def test_entries_that_sum_to_zero_are_accepted_however_many(pence: list[int]) -> None:
    assert sum(e.pence for e in transaction(*pence, -sum(pence)).entries) == 0


@pytest.mark.parametrize(
    ("pence", "complaint"),
    [
        ((0, 0), "an entry of 0 pence"),
        ((5,), "one entry alone"),
        ((), "a memo has no entries"),
        ((1.5, -1.5), "pence are integers"),
        ((True, -1), "pence are integers"),
    ],
)
def test_entries_that_say_nothing_or_are_no_whole_pence_are_refused(pence: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(LedgerError, match=complaint):
        transaction(*pence)


def test_a_memo_with_entries_is_refused() -> None:
    with pytest.raises(LedgerError, match="a memo has no entries"):
        transaction(1, -1, kind=TransactionKind.MEMO)
