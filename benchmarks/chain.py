"""From an outcome to the notification of what is proposed for it, at a steady rate, and the memory that takes.

Outcomes are saved in the visits database as its command saves them, history and event in one transaction, 100 a
second for 30 seconds; HTTP is left out, because this is about delivery. Funding reacts with a proposal, notify stores
its entry of the feed and queues an e-mail to the one stakeholder there is, and its mail worker sends that meanwhile.
The chain is from the commit of the outcome to the commit of the notification, both as the database recorded them
(`benchmarks.commits`).

Memory is watched from then on, and also while the services take in a backlog as fast as they can.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from benchmarks import commits, material, resources
from benchmarks.figures import Bar, Figure, percentile
from benchmarks.ground import Ground
from benchmarks.waiting import until
from deploy.demo.api import Api
from shared.contracts.fields import Category, FindingKind, PanelRole, ProviderRef, VisitKind
from shared.contracts.outcomes import Finding, OutcomeRecorded
from shared.messaging import outbox
from shared.messaging.unit_of_work import unit_of_work
from shared.persistence import history
from shared.persistence.history import Change
from shared.persistence.pool import Pool, connect, open_pool
from shared.reference.financial_year import FinancialYear
from shared.reference.kinds import ProviderKind
from shared.reference.office_day import office_day
from shared.security.roles import Role

_RATE = 100

_PROVIDERS = 100

_PROPOSALS_HEARD_OF = "select subject, xmin from feed where name = 'investment.proposed'"


async def measure(ground: Ground, bars: dict[str, Bar], quick: bool) -> list[Figure]:
    """Measure the chain, then let a backlog be taken in; the services' memory all the while."""
    seconds, backlog = (4, 2_000) if quick else (30, 20_000)
    await commits.record(ground)
    today = office_day(datetime.now(UTC))
    await _prepare(ground, today)
    pool = await open_pool(ground.stack.dsn("visits"), name="benchmark")
    try:
        async with resources.watching_memory(ground) as memory:
            # The first seconds warm connections, statements and caches.
            await _settled(ground, await _record_outcomes(pool, today, 3 * _RATE))
            outcomes = await _record_outcomes(pool, today, seconds * _RATE)
            await _settled(ground, outcomes)
            await _take_in_backlog(ground, backlog)
    finally:
        await pool.close()
    chain, first_half = await _times(ground, outcomes)
    return [
        Figure(
            "chain_p99_ms",
            percentile(chain, 0.99),
            bars["chain_p99_ms"],
            {
                "p50_ms": round(percentile(chain, 0.5), 1),
                "p90_ms": round(percentile(chain, 0.9), 1),
                "max_ms": round(max(chain), 1),
                "outcome_to_proposal_p99_ms": round(percentile(first_half, 0.99), 1),
                "events": len(chain),
                "events_per_s": _RATE,
            },
        ),
        Figure(
            "rss_mb",
            max(memory.values()),
            bars["rss_mb"],
            {"of_each_service": {name: round(value, 1) for name, value in memory.items()}, "backlog": backlog},
        ),
    ]


async def _prepare(ground: Ground, today: date) -> None:
    """Sign an agreement with every provider, and put one stakeholder into the directory."""
    api = Api(ground.stack.urls, ground.stack.secrets.jwt, lambda line: None)
    try:
        for number in range(_PROVIDERS):
            await api.post(
                "funding",
                "/agreements",
                {
                    "provider": _provider(number).model_dump(mode="json"),
                    "financial_year": FinancialYear.of(today).label,
                    "signed_on": today.isoformat(),
                    "lines": [{"tariff_group": "postgraduate_medical", "amount_pence": 1_000_000_000}],
                },
                role=Role.FINANCE_OFFICER,
            )
        stakeholder = {
            "reference": "benchmark",
            "kind": "quality_team",
            "organisation": "Quality team (made up)",
            "email": "quality@benchmark.example",
            "subscriptions": [{"event_types": ["investment.proposed"]}],
        }
        await api.post("notify", "/stakeholders/import", [stakeholder], role=Role.QUALITY_OFFICER)
    finally:
        await api.close()


def _provider(number: int) -> ProviderRef:
    return ProviderRef(
        ods_code=material.provider_code(number), name="Fenbrook (made up)", kind=ProviderKind.HOSPITAL_TRUST
    )


async def _record_outcomes(pool: Pool, today: date, count: int) -> list[UUID]:
    """Save outcomes, one every hundredth of a second; a slow one does not hold up the next."""
    began = time.perf_counter()
    saving: list[asyncio.Task[UUID]] = []
    for number in range(count):
        if (ahead := began + number / _RATE - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        saving.append(asyncio.create_task(_record_outcome(pool, today, number)))
    return list(await asyncio.gather(*saving))


async def _record_outcome(pool: Pool, today: date, number: int) -> UUID:
    outcome = OutcomeRecorded(
        outcome_id=uuid7(),
        visit_id=uuid7(),
        provider=_provider(number % _PROVIDERS),
        kind=VisitKind.TRIGGERED_VISIT,
        visit_date=today,
        recorded_on=today,
        concern_ids=[uuid7()],
        highest_category=Category.SIGNIFICANT,
        standard_set="quality-framework-2021",
        findings=[
            Finding(finding_id=uuid7(), kind=kind, standard="3.5", due_on=today + timedelta(days=28))
            for kind in (FindingKind.MANDATORY_REQUIREMENT, FindingKind.RECOMMENDATION)
        ],
        agreed_by_roles=[PanelRole.CHAIR, PanelRole.LAY_PARTNER],
        recorded_by="0123456789abcdef0123456789abcdef",
    )
    now = datetime.now(UTC)
    async with unit_of_work(pool, f"/{material.OFFICE}/visits", now) as work:
        change = Change("outcome", str(outcome.outcome_id), 1, now, "benchmark", "recorded")
        await history.record(work.connection, [change])
        work.emit(outcome, key=outcome.provider.ods_code, correlation_id=outcome.concern_ids[0])
    return outcome.outcome_id


async def _settled(ground: Ground, outcomes: list[UUID]) -> None:
    """Wait until there is a notification for each of these outcomes."""

    async def all_there() -> bool:
        proposals = await _proposals(ground, outcomes)
        heard_of = await commits.instants(ground, "notify", _PROPOSALS_HEARD_OF)
        return len(proposals) == len(outcomes) and proposals.keys() <= heard_of.keys()

    await until(all_there, look_s=1, limit_s=120, what="notify has stored all notifications")


async def _proposals(ground: Ground, outcomes: list[UUID]) -> dict[str, datetime]:
    query = "select id, xmin from proposals where outcome_id = any($1::uuid[])"
    return await commits.instants(ground, "funding", query, outcomes)


async def _times(ground: Ground, outcomes: list[UUID]) -> tuple[list[float], list[float]]:
    """Milliseconds from each outcome to its notification, and to its proposal."""
    names = [str(outcome) for outcome in outcomes]
    recorded = await commits.instants(
        ground,
        "visits",
        "select aggregate_id, xmin from history where aggregate = 'outcome' and aggregate_id = any($1)",
        names,
    )
    proposed = await commits.instants(
        ground,
        "funding",
        "select outcome_id, xmin from proposals where outcome_id = any($1::uuid[])",
        outcomes,
    )
    connection = await connect(ground.superuser_dsn("qc_funding"), name="benchmark")
    try:
        rows = await connection.fetch("select id, outcome_id from proposals where outcome_id = any($1)", outcomes)
    finally:
        await connection.close()
    heard_of = await commits.instants(ground, "notify", _PROPOSALS_HEARD_OF)
    notified = {str(row["outcome_id"]): heard_of[str(row["id"])] for row in rows}
    return commits.milliseconds(recorded, notified), commits.milliseconds(recorded, proposed)


async def _take_in_backlog(ground: Ground, events: int) -> None:
    """Let intelligence send many concerns at once, and wait until visits and notify have taken them in."""
    connection = await connect(ground.stack.dsn("intelligence"), name="benchmark")
    try:
        now = datetime.now(UTC)
        async with connection.transaction():
            for first in range(0, events, 1_000):
                made = [material.new_event(material.raised(n), now) for n in range(first, first + 1_000)]
                await outbox.save(connection, f"/{material.OFFICE}/intelligence", made)
    finally:
        await connection.close()

    async def taken_in() -> bool:
        known, heard_of = await _raised(ground, "visits", "concerns"), await _raised(ground, "notify", "feed")
        return known >= events and heard_of >= events

    await until(taken_in, look_s=0.5, limit_s=180, what="the backlog is taken in")


async def _raised(ground: Ground, service: str, table: str) -> int:
    """How many rows a service has in the table where an event about a new concern leaves one."""
    condition = "name = 'concern.raised'" if table == "feed" else "true"
    connection = await connect(ground.superuser_dsn(f"qc_{service}"), name="benchmark")
    try:
        return await connection.fetchval(f"select count(*) from {table} where {condition}")  # noqa: S608 named here
    finally:
        await connection.close()
