"""What a panel is, and the rules it must meet.

No panel without a chair and a lay partner; each person once, in a role they can take; a declared conflict of interest
with the provider keeps a person off (sources: the project's brief on patient and public representatives, and
published terms of reference of quality visits).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.visits.domain.errors import Violation
from shared.contracts.fields import PanelRole


@dataclass(frozen=True, slots=True)
class Seat:
    """One person in one role."""

    person_id: UUID
    role: PanelRole


@dataclass(frozen=True, slots=True)
class PoolMember:
    """What the rules need to know of a person who may sit on panels; no name."""

    id: UUID
    active: bool
    roles: frozenset[PanelRole]
    #: ODS codes of the organisations they have a declared conflict of interest with.
    conflicts: frozenset[str]


def conflict_with(member: PoolMember, codes: Iterable[str]) -> str | None:
    """The declared code that keeps a person off a visit to the organisations with these codes, or None.

    A code that begins with another organisation's whole code is a place of it, as the ODS numbers the sites of
    trusts (RWEAA is a site of RWE): a conflict with a trust is one with its sites, and the other way round.
    """
    for declared in sorted(member.conflicts):
        for code in codes:
            if declared.startswith(code) or code.startswith(declared):
                return declared
    return None


def check(panel: Sequence[Seat], pool: Mapping[UUID, PoolMember], codes: Sequence[str]) -> list[Violation]:
    """Every rule that a panel breaks; none if it is complete.

    ``pool`` holds the people known under the ids in the panel, ``codes`` the organisations visited.
    """
    violations = _roles(panel)
    first_place: dict[UUID, int] = {}
    for place, seat in enumerate(panel):
        field = f"panel.{place}.person_id"
        if seat.person_id in first_place:
            violations.append(Violation(field, f"sits on the panel already, at panel.{first_place[seat.person_id]}"))
            continue
        first_place[seat.person_id] = place
        member = pool.get(seat.person_id)
        if member is None:
            violations.append(Violation(field, "is nobody of the pool; add the person with POST /people first"))
            continue
        if not member.active:
            violations.append(Violation(field, "is not active in the pool; choose somebody else"))
        if (declared := conflict_with(member, codes)) is not None:
            violations.append(
                Violation(field, f"has a declared conflict of interest with {declared}; choose somebody else")
            )
        if seat.role not in member.roles:
            able = ", ".join(sorted(member.roles))
            violations.append(Violation(f"panel.{place}.role", f"is none this person can take; they can take {able}"))
    return violations


def _roles(panel: Sequence[Seat]) -> list[Violation]:
    violations: list[Violation] = []
    chairs = sum(seat.role is PanelRole.CHAIR for seat in panel)
    if chairs != 1:
        violations.append(Violation("panel", f"needs exactly one {PanelRole.CHAIR.value}; it has {chairs}"))
    if not any(seat.role is PanelRole.LAY_PARTNER for seat in panel):
        violations.append(Violation("panel", f"needs at least one {PanelRole.LAY_PARTNER.value}; it has none"))
    return violations
