"""How changes of this stage's aggregates are written into the history: ids, roles and days, never a name."""

from datetime import datetime
from typing import Any

from services.visits.domain.requirement import Step
from services.visits.domain.visit import Visit
from shared.persistence.history import Change


def of_requirement(step: Step, *, at: datetime, actor: str, reason: str | None = None) -> Change:
    """A change of a requirement."""
    requirement = step.requirement
    return Change(
        aggregate="requirement",
        aggregate_id=str(requirement.id),
        version=requirement.version,
        at=at,
        actor=actor,
        change=step.change,
        reason=reason,
        detail={
            "state": requirement.state.value,
            "category": requirement.category.value,
            "kind": requirement.kind.value,
            "latest_date": requirement.latest_date.isoformat(),
            "visit_id": str(requirement.visit_id) if requirement.visit_id else None,
        },
    )


def of_visit(
    visit: Visit, change: str, *, at: datetime, actor: str, reason: str | None, detail: dict[str, Any]
) -> Change:
    """A change of a visit."""
    return Change("visit", str(visit.id), visit.version, at, actor, change, reason, detail)


def panel_detail(visit: Visit) -> dict[str, Any]:
    """A visit's panel for the history: opaque ids and roles."""
    return {"panel": [{"person_id": str(seat.person_id), "role": seat.role.value} for seat in visit.panel]}
