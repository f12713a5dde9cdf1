"""What the reactions work on: loaded and saved with one statement per table, whatever the size of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.funding.domain.agreements import Agreement
from services.funding.domain.proposals import Arrival, Proposal
from services.funding.domain.standing import Standing
from services.funding.store import agreements, ledger, proposals, providers, waiting
from shared.contracts.fields import EventData, ProviderRef
from shared.contracts.outcomes import OutcomeRecorded
from shared.messaging.consuming.handlers import Received
from shared.persistence import history
from shared.persistence.history import Change
from shared.persistence.pool import Connection
from shared.persistence.statements import FEW, planned_once
from shared.reference.financial_year import FinancialYear


@dataclass(slots=True)
class Workspace:
    """What a batch of outcomes touches, and what comes of it."""

    #: Agreements and how they stand, by provider and financial year.
    funded: dict[tuple[str, str], tuple[Agreement, Standing]] = field(
        default_factory=dict[tuple[str, str], tuple[Agreement, Standing]]
    )
    #: Providers as the events of the batch name them, by code; the last event counts.
    providers: dict[str, ProviderRef] = field(default_factory=dict[str, ProviderRef])
    #: Providers as they were known before, by code.
    known_providers: dict[str, ProviderRef] = field(default_factory=dict[str, ProviderRef])
    #: Outcomes that were proposed for, or wait, already.
    known_outcomes: set[UUID] = field(default_factory=set[UUID])
    proposals: list[Proposal] = field(default_factory=list[Proposal])
    waiting: list[tuple[Arrival, datetime]] = field(default_factory=list[tuple[Arrival, datetime]])
    changes: list[Change] = field(default_factory=list[Change])


_TOUCHED = f"""
    select w.provider, p.name, p.kind, s.*,
           array(
               select o.id from unnest($3::uuid[]) as o (id)
               -- Lateral with a limit: whatever the planner believes of the tables, a look into two indexes an outcome.
               cross join lateral (
                   select from proposals where outcome_id = o.id
                   union all select from waiting_outcomes where outcome_id = o.id limit 1
               ) known
           ) as known_outcomes
    from unnest($1::text[], $2::text[]) as w (provider, year)
    left join providers p on p.ods_code = w.provider
    left join lateral (
        select a.*, committed_pence, kinds, balances from agreements_with_lines a {ledger.STANDING}
        where a.provider_ods_code = w.provider and a.financial_year = w.year
    ) s on true"""  # noqa: S608 a constant of ours

_TOUCHED_BY_FEW = planned_once(_TOUCHED)


async def load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    """What these events touch, in one statement; the providers' years are locked until the transaction ends."""
    outcomes = [event.data for event in events if isinstance(event.data, OutcomeRecorded)]
    years = {(o.provider.ods_code, FinancialYear.of(o.visit_date).label) for o in outcomes}
    await agreements.lock_years(connection, years)
    rows = await connection.fetch(
        _TOUCHED_BY_FEW if len(outcomes) <= FEW else _TOUCHED,
        [provider for provider, _ in years],
        [year for _, year in years],
        [outcome.outcome_id for outcome in outcomes],
    )
    work = Workspace()
    for row in rows:
        if row["id"] is not None:
            agreement = agreements.agreement_of(row)
            work.funded[row["provider_ods_code"], row["financial_year"]] = (agreement, ledger.standing_of(row))
        if row["name"] is not None:
            known = ProviderRef(ods_code=row["provider"], name=row["name"], kind=row["kind"])
            work.known_providers[known.ods_code] = known
        work.known_outcomes.update(row["known_outcomes"])
    return work


async def save(connection: Connection, work: Workspace) -> None:
    """Save what came of a batch."""
    named = [provider for code, provider in work.providers.items() if work.known_providers.get(code) != provider]
    await providers.learn(connection, named)
    await proposals.add(connection, work.proposals)
    await waiting.add(connection, work.waiting)
    await history.record(connection, work.changes)
