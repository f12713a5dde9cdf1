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
from shared.messaging.handlers import Received
from shared.persistence import history
from shared.persistence.history import Change
from shared.persistence.pool import Connection
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
    #: Outcomes that were proposed for, or wait, already.
    known_outcomes: set[UUID] = field(default_factory=set[UUID])
    proposals: list[Proposal] = field(default_factory=list[Proposal])
    waiting: list[tuple[Arrival, datetime]] = field(default_factory=list[tuple[Arrival, datetime]])
    changes: list[Change] = field(default_factory=list[Change])


async def load(connection: Connection, events: Sequence[Received[EventData]]) -> Workspace:
    """What these events touch; the providers' years are locked until the transaction ends."""
    outcomes = [event.data for event in events if isinstance(event.data, OutcomeRecorded)]
    years = {(o.provider.ods_code, FinancialYear.of(o.visit_date).label) for o in outcomes}
    await agreements.lock_years(connection, years)
    signed = await agreements.of_years(connection, years)
    standings = await ledger.standings(connection, [agreement.id for agreement in signed.values()])
    rows = await connection.fetch(
        """
        select outcome_id from proposals where outcome_id = any($1::uuid[])
        union all select outcome_id from waiting_outcomes where outcome_id = any($1::uuid[])""",
        [outcome.outcome_id for outcome in outcomes],
    )
    return Workspace(
        funded={year: (agreement, standings[agreement.id]) for year, agreement in signed.items()},
        known_outcomes={row["outcome_id"] for row in rows},
    )


async def save(connection: Connection, work: Workspace) -> None:
    """Save what came of a batch."""
    await providers.learn(connection, work.providers.values())
    await proposals.add(connection, work.proposals)
    await waiting.add(connection, work.waiting)
    await history.record(connection, work.changes)
