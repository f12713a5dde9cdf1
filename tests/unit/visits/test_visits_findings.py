"""By when each kind of finding is to be answered, and against what it is measured."""

from datetime import date

import pytest

from services.visits.domain.errors import Violation
from services.visits.domain.findings import Draft, decide
from services.visits.policies import finding_policy
from shared.contracts.fields import FindingKind
from shared.reference.standards import standard_set

VISITED = date(2024, 8, 15)
RECORDED = date(2024, 9, 2)
IMMEDIATE = FindingKind.IMMEDIATE_MANDATORY_REQUIREMENT
MANDATORY = FindingKind.MANDATORY_REQUIREMENT


def due(draft: Draft, visited: date = VISITED, recorded: date = RECORDED) -> tuple[date | None, list[Violation]]:
    (day,), violations = decide(
        [draft],
        standards=standard_set("hee-qf-2021"),
        policy=finding_policy(),
        visit_date=visited,
        recorded_on=recorded,
    )
    return day, violations


@pytest.mark.parametrize(
    ("visited", "latest"),
    [
        (date(2024, 8, 15), date(2024, 8, 22)),  # as published for Northwick Park
        (date(2024, 8, 22), date(2024, 8, 30)),  # over the summer bank holiday
        (date(2024, 12, 23), date(2025, 1, 2)),  # over Christmas, Boxing Day and New Year's Day
        (date(2022, 12, 23), date(2023, 1, 4)),  # over their substitute days
        (date(2024, 3, 28), date(2024, 4, 8)),  # over Easter
    ],
)
def test_an_immediate_mandatory_requirement_is_due_five_working_days_after_the_visit(
    visited: date, latest: date
) -> None:
    assert due(Draft(IMMEDIATE, "3.5", "…"), visited) == (latest, [])
    assert due(Draft(IMMEDIATE, "3.5", "…", due_on=latest), visited) == (latest, [])


def test_an_immediate_mandatory_requirement_is_due_on_no_other_day() -> None:
    _, (violation,) = due(Draft(IMMEDIATE, "3.5", "…", due_on=date(2024, 8, 23)))
    assert violation.field == "findings.0.due_on"
    assert "2024-08-22" in violation.reason


def test_a_mandatory_requirement_is_due_when_the_panel_says() -> None:
    assert due(Draft(MANDATORY, "3.5", "…", due_on=date(2025, 3, 31))) == (date(2025, 3, 31), [])
    assert due(Draft(MANDATORY, "3.5", "…", due_on=RECORDED)) == (RECORDED, [])


def test_a_mandatory_requirement_without_a_day_is_due_four_weeks_after_recording() -> None:
    assert due(Draft(MANDATORY, "3.5", "…")) == (date(2024, 9, 30), [])


def test_a_mandatory_requirement_is_not_due_before_anybody_heard_of_it() -> None:
    _, (violation,) = due(Draft(MANDATORY, "3.5", "…", due_on=date(2024, 9, 1)))
    assert violation.field == "findings.0.due_on"


@pytest.mark.parametrize("kind", [FindingKind.RECOMMENDATION, FindingKind.GOOD_PRACTICE])
def test_the_other_kinds_are_never_due(kind: FindingKind) -> None:
    assert due(Draft(kind, "3.5", "…")) == (None, [])
    _, (violation,) = due(Draft(kind, "3.5", "…", due_on=date(2025, 1, 1)))
    assert violation.field == "findings.0.due_on"


def test_every_unknown_standard_is_named_with_its_place() -> None:
    _, violations = decide(
        [Draft(MANDATORY, "1.14", "…"), Draft(MANDATORY, "1.13", "…"), Draft(MANDATORY, "7.1", "…")],
        standards=standard_set("hee-qf-2021"),
        policy=finding_policy(),
        visit_date=VISITED,
        recorded_on=RECORDED,
    )
    assert [violation.field for violation in violations] == ["findings.0.standard", "findings.2.standard"]
    assert "1.14" in violations[0].reason
    assert "7.1" in violations[1].reason
