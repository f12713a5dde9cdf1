"""Who may sit on a panel, and who must."""

from uuid import UUID

import pytest

from services.visits.domain.agreement import check as check_agreement
from services.visits.domain.errors import Violation
from services.visits.domain.panel import PoolMember, Seat, check, conflict_with
from shared.contracts.fields import PanelRole

CHAIR, LAY, LEAD = UUID(int=1), UUID(int=2), UUID(int=3)
POOL = {
    CHAIR: PoolMember(CHAIR, True, frozenset({PanelRole.CHAIR, PanelRole.QUALITY_LEAD}), frozenset()),
    LAY: PoolMember(LAY, True, frozenset({PanelRole.LAY_PARTNER}), frozenset()),
    LEAD: PoolMember(LEAD, True, frozenset({PanelRole.COLLEGE_LEAD}), frozenset()),
}
PANEL = [Seat(CHAIR, PanelRole.CHAIR), Seat(LAY, PanelRole.LAY_PARTNER)]


def with_conflicts(person: UUID, *codes: str) -> dict[UUID, PoolMember]:
    member = POOL[person]
    return {**POOL, person: PoolMember(member.id, member.active, member.roles, frozenset(codes))}


def fields(violations: list[Violation]) -> list[str]:
    return [violation.field for violation in violations]


def test_chair_and_lay_partner_are_a_panel() -> None:
    assert check(PANEL, POOL, ["RWE"]) == []


@pytest.mark.parametrize("missing", [PanelRole.CHAIR, PanelRole.LAY_PARTNER])
def test_no_panel_without_chair_and_lay_partner(missing: PanelRole) -> None:
    (violation,) = check([seat for seat in PANEL if seat.role is not missing], POOL, ["RWE"])
    assert violation.field == "panel"
    assert missing.value in violation.reason


def test_an_empty_panel_lacks_both() -> None:
    assert fields(check([], POOL, ["RWE"])) == ["panel", "panel"]


def test_there_is_one_chair_only() -> None:
    second = PoolMember(LEAD, True, frozenset({PanelRole.CHAIR}), frozenset())
    (violation,) = check([*PANEL, Seat(LEAD, PanelRole.CHAIR)], {**POOL, LEAD: second}, ["RWE"])
    assert "exactly one chair; it has 2" in violation.reason


def test_each_person_sits_on_it_once() -> None:
    (violation,) = check([*PANEL, Seat(CHAIR, PanelRole.QUALITY_LEAD)], POOL, ["RWE"])
    assert violation == Violation("panel.2.person_id", "sits on the panel already, at panel.0")


def test_who_sits_on_it_a_third_time_is_told_of_their_first_place_and_of_nothing_else() -> None:
    seat = Seat(LEAD, PanelRole.QUALITY_LEAD)  # a role this person cannot take
    assert check([*PANEL, seat, seat, seat], POOL, ["RWE"])[1:] == [
        Violation("panel.3.person_id", "sits on the panel already, at panel.2"),
        Violation("panel.4.person_id", "sits on the panel already, at panel.2"),
    ]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    inactive = PoolMember(LAY, False, frozenset({PanelRole.LAY_PARTNER}), frozenset({"RWE"}))
    panel = [Seat(CHAIR, PanelRole.LAY_PARTNER), Seat(LAY, PanelRole.LAY_PARTNER), Seat(UUID(int=9), PanelRole.CHAIR)]
    assert fields(check(panel, {**POOL, LAY: inactive}, ["RWE"])) == [
        "panel.0.role",
        "panel.1.person_id",
        "panel.1.person_id",
        "panel.2.person_id",
    ]


def test_a_declared_conflict_keeps_a_person_off() -> None:
    (violation,) = check(PANEL, with_conflicts(LAY, "RX1", "RWE"), ["RWE"])
    assert violation.field == "panel.1.person_id"
    assert "conflict of interest with RWE" in violation.reason
    assert check(PANEL, with_conflicts(LAY, "RX1"), ["RWE"]) == []


@pytest.mark.parametrize(
    ("declared", "visited", "kept_off"),
    [
        ("RWE", ["RWE", "RWEAA"], True),
        ("RWEAA", ["RWE"], True),
        ("RWE", ["RWEAA"], True),
        ("RWEAA", ["RWEAE"], False),
        ("RWEAA", ["RWEAE", "RWE"], True),
        ("FICTHT001", ["FICTHT001A"], True),
        ("FICTHT001", ["FICTHT002"], False),
        ("FICTHT001", ["FICTGP001", "FICTHT001"], True),
    ],
)
def test_a_conflict_with_an_organisation_is_one_with_its_sites(
    declared: str, visited: list[str], kept_off: bool
) -> None:
    member = PoolMember(LAY, True, frozenset({PanelRole.LAY_PARTNER}), frozenset({declared}))
    assert (conflict_with(member, visited) is not None) is kept_off


def test_the_whole_panel_must_agree() -> None:
    assert check_agreement(PANEL, [LAY, CHAIR]) == []


def test_the_lay_partners_agreement_is_needed_like_anybodys() -> None:
    for missing, seat in ((LAY, PANEL[1]), (CHAIR, PANEL[0])):
        (violation,) = check_agreement(PANEL, [one.person_id for one in PANEL if one.person_id != missing])
        assert violation.field == "agreed_by"
        assert seat.role.value in violation.reason
        assert str(missing) in violation.reason


def test_nobody_from_outside_the_panel_and_nobody_twice() -> None:
    assert fields(check_agreement(PANEL, [CHAIR, LAY, LEAD, LAY])) == ["agreed_by.2", "agreed_by.3"]
