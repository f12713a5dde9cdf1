"""The double-entry ledger: accounts, and transactions that can only be built in balance.

Positive pence debit an account and negative pence credit it. Signing an agreement moves its total from the office's
``budget`` to the agreement's ``committed`` account; an adjustment moves money between ``committed`` and the account
of its lever. So the balance of ``committed`` is what is left of the agreement, and that of ``withheld`` what may
still be given back.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.funding.domain.agreements import Agreement
from shared.contracts.fields import Lever


class LedgerError(ValueError):
    """Entries that no ledger may hold. It is a defect of the caller, never a user's fault."""


class AccountKind(StrEnum):
    """The chart of accounts. All but the budget are kept per agreement."""

    BUDGET = "budget"
    COMMITTED = "committed"
    GRANTED = "granted"
    WITHHELD = "withheld"
    RECLAIMED = "reclaimed"
    MOVED = "moved"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


ACCOUNT_OF_LEVER: dict[Lever, AccountKind] = {
    Lever.IMPROVEMENT_GRANT: AccountKind.GRANTED,
    Lever.WITHHOLD: AccountKind.WITHHELD,
    Lever.RECLAIM: AccountKind.RECLAIMED,
    Lever.MOVE_PLACEMENTS: AccountKind.MOVED,
    Lever.SUSPEND: AccountKind.SUSPENDED,
    Lever.TERMINATE: AccountKind.TERMINATED,
}


class TransactionKind(StrEnum):
    """What a transaction records."""

    COMMITMENT = "commitment"
    ADJUSTMENT = "adjustment"
    #: An adjustment that moves no money: a head without entries, so that every adjustment has its place here.
    MEMO = "memo"


@dataclass(frozen=True, slots=True)
class Account:
    """One account: the office's budget, or one of an agreement's."""

    code: str
    kind: AccountKind
    agreement_id: UUID | None

    @classmethod
    def of(cls, kind: AccountKind, agreement: Agreement) -> "Account":
        """The agreement's account of a kind; ``withheld:RWE:2024-25`` for example."""
        return cls(f"{kind}:{agreement.provider.ods_code}:{agreement.year}", kind, agreement.id)


BUDGET = Account("budget", AccountKind.BUDGET, None)


@dataclass(frozen=True, slots=True)
class Entry:
    """A debit (positive) or credit (negative) of one account, in pence."""

    account: Account
    pence: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Entries that belong together and sum to zero. Raises LedgerError if they do not."""

    id: UUID
    kind: TransactionKind
    agreement_id: UUID
    effective_on: date
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        amounts: list[object] = [entry.pence for entry in self.entries]
        if any(type(pence) is not int for pence in amounts):
            raise LedgerError(f"transaction {self.id}: pence are integers, nothing else")
        if any(entry.pence == 0 for entry in self.entries):
            raise LedgerError(f"transaction {self.id}: an entry of 0 pence says nothing; leave it out")
        if (self.kind is TransactionKind.MEMO) != (not self.entries):
            raise LedgerError(f"transaction {self.id}: a memo has no entries, and nothing else is without them")
        if len(self.entries) == 1:
            raise LedgerError(f"transaction {self.id}: one entry alone cannot balance")
        if imbalance := sum(entry.pence for entry in self.entries):
            raise LedgerError(f"transaction {self.id}: its entries sum to {imbalance} pence, not 0")


def commitment(transaction_id: UUID, agreement: Agreement) -> Transaction:
    """Promise an agreement's total out of the budget."""
    return Transaction(
        transaction_id,
        TransactionKind.COMMITMENT,
        agreement.id,
        agreement.signed_on,
        (
            Entry(Account.of(AccountKind.COMMITTED, agreement), agreement.total_pence),
            Entry(BUDGET, -agreement.total_pence),
        ),
    )


def adjustment(transaction_id: UUID, agreement: Agreement, lever: Lever, pence: int, effective_on: date) -> Transaction:
    """Move ``pence`` to what is committed, or away from it if negative; 0 makes a memo.

    Raises LedgerError for money by a lever that moves none.
    """
    if pence == 0:
        return Transaction(transaction_id, TransactionKind.MEMO, agreement.id, effective_on, ())
    kind = ACCOUNT_OF_LEVER.get(lever)
    if kind is None:
        raise LedgerError(f"transaction {transaction_id}: {lever.value} moves no money, and {pence} pence were given")
    return Transaction(
        transaction_id,
        TransactionKind.ADJUSTMENT,
        agreement.id,
        effective_on,
        (
            Entry(Account.of(AccountKind.COMMITTED, agreement), pence),
            Entry(Account.of(kind, agreement), -pence),
        ),
    )
