"""Outcomes and their findings in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast
from uuid import UUID

from services.visits.domain.findings import Draft
from shared.contracts.fields import Category, FindingKind
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with its wording; ``draft.due_on`` is the day that was decided."""

    id: UUID
    draft: Draft


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the panel of a visit agreed on. Never changed."""

    id: UUID
    visit_id: UUID
    recorded_on: date
    recorded_by: str
    standard_set: str
    policy_version: str
    highest_category: Category | None
    summary: str
    background: str | None
    findings: Sequence[FindingRow]


async def add(connection: Connection, outcome: Outcome) -> None:
    """Add an outcome with its findings."""
    await connection.execute(
        """
        insert into outcomes (id, visit_id, recorded_on, recorded_by, standard_set, policy_version, highest_category,
                              summary, background)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        outcome.id,
        outcome.visit_id,
        outcome.recorded_on,
        outcome.recorded_by,
        outcome.standard_set,
        outcome.policy_version,
        outcome.highest_category,
        outcome.summary,
        outcome.background,
    )
    drafts = [finding.draft for finding in outcome.findings]
    await connection.execute(
        """
        insert into findings (outcome_id, id, kind, standard, text, due_on, place)
        select $1, * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::date[]) with ordinality""",
        outcome.id,
        [finding.id for finding in outcome.findings],
        [draft.kind.value for draft in drafts],
        [draft.standard for draft in drafts],
        [draft.text for draft in drafts],
        # asyncpg's stubs do not allow for a null in an array; PostgreSQL and asyncpg do.
        cast("list[date]", [draft.due_on for draft in drafts]),
    )


async def get(connection: Connection, outcome_id: UUID) -> Outcome | None:
    """One outcome with its findings in the order of the report, or None."""
    row = await connection.fetchrow("select * from outcomes where id = $1", outcome_id)
    if row is None:
        return None
    findings = await connection.fetch("select * from findings where outcome_id = $1 order by place", outcome_id)
    category = row["highest_category"]
    return Outcome(
        id=row["id"],
        visit_id=row["visit_id"],
        recorded_on=row["recorded_on"],
        recorded_by=row["recorded_by"],
        standard_set=row["standard_set"],
        policy_version=row["policy_version"],
        highest_category=None if category is None else Category(category),
        summary=row["summary"],
        background=row["background"],
        findings=[
            FindingRow(
                finding["id"],
                Draft(FindingKind(finding["kind"]), finding["standard"], finding["text"], finding["due_on"]),
            )
            for finding in findings
        ],
    )
