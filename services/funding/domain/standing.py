"""How an agreement stands: what is left of it, and what a further adjustment can still move."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.funding.domain import levers
from services.funding.domain.errors import RuleBroken
from shared.contracts.fields import Lever


class DoesNotFitStanding(RuleBroken):
    """An adjustment moves more than there is."""

    def __init__(self, message: str, *, available_pence: int) -> None:
        super().__init__(message, field="amount_pence")
        #: Most that this lever can still move in this direction, in pence.
        self.available_pence = available_pence


@dataclass(frozen=True, slots=True)
class Standing:
    """The ledger's figures for one agreement, in pence."""

    committed_pence: int
    #: Commitment and all adjustments. Never below zero.
    remaining_pence: int
    #: Net change by each lever that moved money: negative was taken from the provider.
    by_lever: Mapping[Lever, int]

    @property
    def adjusted_pence(self) -> int:
        """Sum of all adjustments; negative was taken from the provider."""
        return self.remaining_pence - self.committed_pence


def check_fits(standing: Standing, lever: Lever, pence: int) -> None:
    """Raise DoesNotFitStanding if the adjustment takes the agreement below zero, or reverses more than was done."""
    if standing.remaining_pence + pence < 0:
        raise DoesNotFitStanding(
            f"{-pence} pence cannot be taken: {standing.remaining_pence} of {standing.committed_pence} pence are left.",
            available_pence=standing.remaining_pence,
        )
    done = abs(standing.by_lever.get(lever, 0))
    if levers.is_reversal(lever, pence) and abs(pence) > done:
        raise DoesNotFitStanding(
            f"{abs(pence)} pence cannot be reversed: {lever.value} has moved {done} pence of this agreement.",
            available_pence=done,
        )
