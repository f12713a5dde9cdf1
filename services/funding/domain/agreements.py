"""Funding agreements: what a provider is promised for a financial year, by tariff group."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.funding.domain.errors import RuleBroken
from shared.contracts.fields import MAX_PENCE, ProviderRef
from shared.reference.financial_year import FinancialYear
from shared.reference.tariff_groups import TariffGroup

#: First year of the dental core and specialty tariff. Source: the national tariffs for 2025-26.
DENTAL_CORE_SPECIALTY_FROM = FinancialYear(2025)


class InvalidAgreement(RuleBroken):
    """An agreement that cannot be signed as it stands."""


@dataclass(frozen=True, slots=True)
class Line:
    """The year's amount for one tariff group, in pence."""

    tariff_group: TariffGroup
    amount_pence: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """A signed funding agreement; there is one per provider and financial year."""

    id: UUID
    #: As the last event about it names it; as it was written on the agreement until there was one.
    provider: ProviderRef
    year: FinancialYear
    #: In the order of their tariff groups' names.
    lines: tuple[Line, ...]
    signed_on: date
    version: int = 1

    @property
    def total_pence(self) -> int:
        """What was agreed for the whole year, before any adjustment."""
        return sum(line.amount_pence for line in self.lines)


def sign(
    *, agreement_id: UUID, provider: ProviderRef, year: FinancialYear, lines: Sequence[Line], signed_on: date
) -> Agreement:
    """A new agreement. Raises InvalidAgreement if a group is named twice, has no tariff in that year, if the total
    is too large, or if it was signed after the year's end."""
    groups = [line.tariff_group for line in lines]
    if len(set(groups)) < len(groups):
        raise InvalidAgreement("A tariff group is named twice; add its amounts up in one line.", field="lines")
    if TariffGroup.DENTAL_CORE_SPECIALTY in groups and year < DENTAL_CORE_SPECIALTY_FROM:
        raise InvalidAgreement(
            f"The dental core and specialty tariff exists from {DENTAL_CORE_SPECIALTY_FROM}; "
            f"use another tariff group for {year}.",
            field="lines",
        )
    in_order = tuple(sorted(lines, key=lambda line: line.tariff_group))
    agreement = Agreement(agreement_id, provider, year, in_order, signed_on)
    if agreement.total_pence > MAX_PENCE:
        raise InvalidAgreement(
            f"The lines add up to {agreement.total_pence} pence; an agreement has at most {MAX_PENCE}.", field="lines"
        )
    if signed_on > year.end:
        raise InvalidAgreement(
            f"An agreement for {year} is signed by {year.end} at the latest; correct the day or the year.",
            field="signed_on",
        )
    return agreement
