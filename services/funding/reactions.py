"""What funding does when a visit has an outcome."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.funding import changes, policies
from services.funding.domain import announcements, proposals
from services.funding.domain.proposals import Arrival
from services.funding.store import providers, workspace
from services.funding.store.workspace import Workspace
from shared.contracts.fields import EventData, ProviderRef
from shared.contracts.outcomes import OutcomeRecorded
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.projections import Projection
from shared.messaging.consuming.reactions import Reacting, Reactions
from shared.persistence.history import Change
from shared.persistence.pool import Connection

reactions = Reactions(load=workspace.load, save=workspace.save)


@reactions.on(OutcomeRecorded)
def outcome_recorded(work: Workspace, event: Received[OutcomeRecorded], reacting: Reacting) -> None:
    """Propose what the policy says, or let the outcome wait until the agreement for its year is signed.

    An outcome is proposed for once, whatever the number of events that tell of it.
    """
    arrival = Arrival(
        outcome=event.data,
        event_id=event.id,
        correlation_id=event.envelope.correlationid,
        proposal_id=reacting.new_id("proposal"),
    )
    work.providers[event.data.provider.ods_code] = event.data.provider
    if event.data.outcome_id in work.known_outcomes:
        return
    work.known_outcomes.add(event.data.outcome_id)
    funded = work.funded.get(arrival.provider_and_year)
    if funded is None:
        work.waiting.append((arrival, reacting.now))
        work.changes.append(
            Change(
                aggregate="waiting_outcome",
                aggregate_id=str(event.data.outcome_id),
                version=1,
                at=reacting.now,
                actor=event.actor,
                change="arrived",
                reason="no agreement is signed for the provider and the year of the visit",
            )
        )
        return
    signed, standing = funded
    agreement = replace(signed, provider=event.data.provider)
    proposal = proposals.from_outcome(arrival, agreement, standing, policies.policy(), reacting.now)
    event_id = reacting.emit(announcements.proposed(proposal, agreement))
    work.proposals.append(proposal)
    work.changes.append(changes.proposed(proposal, event_id))


# What can be learnt again ------------------------------------------------------------------------------------------

#: Providers by code, as the last event names them.
Names = dict[str, ProviderRef]


async def _nothing_known(connection: Connection, events: Sequence[Received[EventData]]) -> Names:
    return {}


async def _put_right(connection: Connection, names: Names) -> dict[str, int]:
    return {"providers": await providers.learn(connection, names.values())}


#: What providers are called. Proposals, agreements and the ledger are decided here, and are no projection.
projection = Projection(load=_nothing_known, save=_put_right)


@projection.on(OutcomeRecorded)
def outcome_names_its_provider(names: Names, event: Received[OutcomeRecorded], at: datetime) -> None:
    """The last event about a provider says what it is called."""
    names[event.data.provider.ods_code] = event.data.provider
