"""Every way in which a test breaks a database of a played cycle, and the check that must find it."""

#: What is broken, in which service, how, and the check that must find it. The statement gives the id to be named.
BREAKAGES = {
    # Delivery
    "an event is not sent": (
        "visits",
        "insert into outbox_unsent select max(position) from outbox "
        "returning (select event_id from outbox order by position desc limit 1)",
        "outbox.unsent",
    ),
    "the relay stopped a key": (
        "visits",
        "insert into relay_stops (topic, key, event_id, error, retry_at) "
        "select topic, key, event_id, 'x', now() from outbox limit 1 returning event_id",
        "relay.stopped",
    ),
    "a service is fenced": (
        "notify",
        "insert into outbox_fence (reason) values ('x') returning 'notify'",
        "outbox.fenced",
    ),
    "an event is held": (
        "notify",
        "insert into held_events (topic, source, key, sequence, event_id, partition, broker_offset, broker_time, "
        "header_names, header_values, value) "
        "values ('quality.visits.v1', '/o/visits', 'HELD1', 7, gen_random_uuid(), 0, 0, now(), '{}', '{}', '') "
        "returning 'quality.visits.v1/o/visits/HELD1#7'",
        "events.held",
    ),
    "a stream is parked": (
        "funding",
        "insert into parked_streams (topic, source, key, partition, sequence, event_id, reason, error, attempts) "
        "values ('quality.outcomes.v1', '/o/visits', 'PARKED1', 0, 7, gen_random_uuid(), 'failed', 'x', 3) "
        "returning event_id",
        "streams.parked",
    ),
    "a dead letter is open": (
        "funding",
        "insert into dead_letters (topic, partition, broker_offset, broker_time, header_names, header_values, "
        "event_id, reason, error, digest) "
        "values ('quality.outcomes.v1', 0, 99, now(), '{}', '{}', gen_random_uuid(), 'unreadable', 'x', '') "
        "returning event_id",
        "dead_letters.open",
    ),
    "a number was left out": (
        "intelligence",
        "delete from outbox where event_id = ("
        "select o.event_id from outbox o join outbox_counters c using (topic, key) "
        "where o.sequence between 2 and c.last_sequence - 1 order by o.position limit 1) "
        "returning topic || source || '/' || key || '#' || sequence",
        "outbox.skipped",
    ),
    "the database is older than the topics": (
        "visits",
        "delete from outbox where position = (select max(position) from outbox where type like '%outcome.recorded%');;"
        "update outbox_counters set last_sequence = last_sequence - 1 where topic = 'quality.outcomes.v1' "
        "returning topic || '/east-midlands/visits/' || key || '#' || last_sequence + 1",
        "outbox.older_than_topic",
    ),
    "the topic has lost an event": (
        "visits",
        "update outbox_counters set last_sequence = last_sequence + 1 where topic = 'quality.outcomes.v1';;"
        "insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id, data) "
        "select gen_random_uuid(), type, source, 's', topic, key, sequence + 1, time, correlation_id, data "
        "from outbox where topic = 'quality.outcomes.v1' returning event_id",
        "topic.lost",
    ),
    "one number stands for two events": (
        "funding",
        "update outbox set event_id = gen_random_uuid() where position = (select min(position) from outbox) "
        "returning event_id",
        "topic.another_id",
    ),
    "an event was not accepted": (
        "notify",
        "delete from positions where topic = 'quality.outcomes.v1' returning topic || source || '/' || key || '#1'",
        "events.not_accepted",
    ),
    "a consumer is ahead": (
        "funding",
        "update positions set last_sequence = last_sequence + 1 "
        "returning topic || source || '/' || key || '#' || last_sequence",
        "positions.ahead",
    ),
    "a consumer accepted another event": (
        "intelligence",
        "update positions set last_event_id = gen_random_uuid() where topic = 'quality.outcomes.v1' "
        "returning last_event_id",
        "positions.another_event",
    ),
    # Effects
    "one cause was told of twice": (
        "visits",
        "insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id, "
        "causation_id, data) select gen_random_uuid(), type, source, subject, topic, key, sequence + 1000, time, "
        "correlation_id, causation_id, data from outbox where causation_id is not null limit 1 returning event_id",
        "effects.emitted_twice",
    ),
    "a change was made twice": (
        "visits",
        "insert into history (aggregate, aggregate_id, version, at, actor, change) "
        "select aggregate, aggregate_id, version + 100, at, actor, change from history where actor like 'event:%' "
        "limit 1 returning aggregate_id",
        "effects.changed_twice",
    ),
    "a version of a history is missing": (
        "funding",
        "delete from history where aggregate = 'proposal' and version = 1 returning aggregate_id",
        "history.version_missing",
    ),
    "a change was not told of": (
        "intelligence",
        "insert into history (aggregate, aggregate_id, version, at, actor, change) "
        "select aggregate, aggregate_id, max(version) + 1, now(), 'x', 'rated' from history "
        "where aggregate = 'concern' group by aggregate, aggregate_id limit 1 returning aggregate_id",
        "effects.untold",
    ),
    "a change was told of twice": (
        "funding",
        "insert into outbox (event_id, type, source, subject, topic, key, sequence, time, correlation_id, data) "
        "select gen_random_uuid(), type, source, subject, topic, key, sequence + 1000, time, correlation_id, data "
        "from outbox where type like '%investment.adjusted%' limit 1 returning event_id",
        "effects.told_twice",
    ),
    "a requirement was never announced": (
        "visits",
        "insert into requirements (id, concern_id, number, provider_code, category, kind, latest_date, "
        "policy_version, state, called_for) select gen_random_uuid(), gen_random_uuid(), 1, provider_code, category, "
        "kind, latest_date, policy_version, 'open', true from requirements limit 1 returning id",
        "effects.untold",
    ),
    "an event has lost its state": ("visits", "delete from visits returning id", "events.without_state"),
    # Intelligence and visits
    "visits lacks a concern": (
        "visits",
        "delete from concerns where id = (select id from concerns order by id limit 1) returning id",
        "concerns.missing",
    ),
    "a concern stands otherwise": (
        "visits",
        "update concerns set open = not open where id = (select id from concerns order by id limit 1) returning id",
        "concerns.differ",
    ),
    "a concern has another category": (
        "visits",
        "update concerns set category = (category + 1) % 5 "
        "where id = (select id from concerns where category is not null order by id limit 1) returning id",
        "concerns.differ",
    ),
    "visits has a concern of no register": (
        "visits",
        "insert into concerns (id, reference, provider_code, open) "
        "select gen_random_uuid(), 'X', provider_code, true from concerns limit 1 returning id",
        "concerns.unknown",
    ),
    "a rating has no requirement": (
        "visits",
        "delete from requirements where id = (select id from requirements where state = 'open' order by id limit 1) "
        "returning concern_id",
        "requirements.missing",
    ),
    "a requirement was withdrawn for nothing": (
        "visits",
        "update requirements set state = 'withdrawn', called_for = false "
        "where id = (select id from requirements where state = 'open' order by id limit 1) returning concern_id",
        "requirements.missing",
    ),
    "a requirement rests on nothing": (
        "visits",
        "update requirements set state = 'open', called_for = true "
        "where id = (select id from requirements where state = 'withdrawn' order by id limit 1) returning id",
        "requirements.groundless",
    ),
    "a concern has two requirements": (
        "visits",
        "drop index one_requirement_at_a_time;;"
        "insert into requirements (id, concern_id, number, provider_code, category, kind, latest_date, "
        "policy_version, state, called_for) select gen_random_uuid(), concern_id, number + 1, provider_code, category, "
        "kind, latest_date, policy_version, state, called_for from requirements where state = 'open' limit 1 "
        "returning id",
        "requirements.doubled",
    ),
    # Visits and funding
    "an outcome has no proposal": (
        "funding",
        "delete from proposals returning outcome_id",
        "outcomes.without_proposal",
    ),
    "an outcome was proposed for and waits": (
        "funding",
        "insert into waiting_outcomes (outcome_id, provider_ods_code, financial_year, event_id, correlation_id, "
        "proposal_id, outcome, received_at) select outcome_id, 'X', 'X', outcome_event_id, correlation_id, id, '{}', "
        "now() from proposals returning outcome_id",
        "outcomes.proposed_twice",
    ),
    "an outcome was proposed for twice": (
        "funding",
        "alter table proposals drop constraint proposals_outcome_id_key;;"
        "insert into proposals (id, agreement_id, lever, pence, reason, reasons, concern_ids, correlation_id, "
        "proposed_at, outcome_id, outcome_event_id, outcome_recorded_by, policy_version) select gen_random_uuid(), "
        "agreement_id, lever, pence, reason, reasons, concern_ids, correlation_id, proposed_at, outcome_id, "
        "outcome_event_id, outcome_recorded_by, policy_version from proposals limit 1 returning outcome_id",
        "outcomes.proposed_twice",
    ),
    "a proposal rests on no outcome": (
        "funding",
        "update proposals set outcome_id = gen_random_uuid() returning outcome_id",
        "proposals.without_outcome",
    ),
    # The ledger, past its triggers
    "a transaction does not balance": (
        "funding",
        "update ledger_entries set pence = pence + 1 where pence > 0 and line = 1 "
        "and transaction_id = (select transaction_id from ledger_entries limit 1) returning transaction_id",
        "ledger.transaction",
    ),
    "an entry is gone": (
        "funding",
        "delete from ledger_entries where (transaction_id, line) = "
        "(select transaction_id, line from ledger_entries limit 1) returning transaction_id",
        "ledger.transaction",
    ),
    "the entries do not sum to zero": (
        "funding",
        "update ledger_entries set pence = pence + 7 where (transaction_id, line) = "
        "(select transaction_id, line from ledger_entries limit 1) returning '7 pence'",
        "ledger.total",
    ),
    "an agreement's lines were changed": (
        "funding",
        "update agreement_lines set amount_pence = amount_pence + 1 where tariff_group = 'clinical' "
        "returning agreement_id",
        "ledger.agreement",
    ),
    "an approval moved another sum": (
        "funding",
        "update proposals set pence = pence - 1 where state = 'approved' "
        "returning (select id from adjustments where proposal_id = proposals.id)",
        "ledger.adjustment",
    ),
    "an approval was not posted": (
        "funding",
        "delete from adjustments returning proposal_id",
        "ledger.approval",
    ),
    "a transaction is unexplained": (
        "funding",
        "delete from adjustments returning transaction_id",
        "ledger.unexplained",
    ),
    # What comes back, and what stakeholders are told
    "a story lacks an event": (
        "intelligence",
        "delete from concern_story where type like '%outcome.recorded%' returning event_id",
        "stories.missing",
    ),
    "a story lacks an event of its own service": (
        "intelligence",
        "delete from concern_story where type like '%concern.closed%' returning event_id",
        "stories.missing",
    ),
    "a story tells an event twice": (
        "intelligence",
        "alter table concern_story drop constraint concern_story_pkey;;"
        "insert into concern_story select * from concern_story where type like '%outcome.recorded%' returning event_id",
        "stories.doubled",
    ),
    "a story tells of no event": (
        "intelligence",
        "update concern_story set event_id = gen_random_uuid() where type like '%outcome.recorded%' returning event_id",
        "stories.unknown",
    ),
    "the feed lacks an event": (
        "notify",
        "delete from feed where position = (select max(position) from feed) returning event_id",
        "feed.missing",
    ),
    "the feed has an event twice": (
        "notify",
        "alter table feed drop constraint feed_event_id_key cascade;;"
        "insert into feed (event_id, name, type, source, subject, key, time, correlation_id, data, received_at) "
        "select event_id, name, type, source, subject, key, time, correlation_id, data, received_at from feed limit 1 "
        "returning event_id",
        "feed.doubled",
    ),
    "the feed has an event of no topic": (
        "notify",
        "update feed set event_id = gen_random_uuid() where position = (select min(position) from feed) "
        "returning event_id",
        "feed.unknown",
    ),
    "the feed is out of order": (
        "notify",
        "alter table feed alter column position drop identity;;"
        "update feed set position = -position where event_id = (select f.event_id from feed f "
        "where exists (select from feed e where (e.source, e.key) = (f.source, f.key) and e.position < f.position "
        "and split_part(e.name, '.', 1) = 'concern') and split_part(f.name, '.', 1) = 'concern' "
        "order by position desc limit 1) "
        "returning (select e.source || '/' || e.key from feed e where e.event_id = feed.event_id)",
        "feed.order",
    ),
    "a message is queued twice": (
        "notify",
        "alter table deliveries drop constraint deliveries_event_id_stakeholder_id_key;;"
        "insert into deliveries (id, event_id, stakeholder_id, template, created_at) "
        "select gen_random_uuid(), event_id, stakeholder_id, template, now() from deliveries limit 1 "
        "returning event_id",
        "notifications.doubled",
    ),
    "a message waits": (
        "notify",
        "update deliveries set state = 'queued', finished_at = null "
        "where position = (select min(position) from deliveries) returning id",
        "notifications.waiting",
    ),
    "a message was told of and not sent": (
        "notify",
        "update deliveries set state = 'failed' where position = (select min(position) from deliveries) returning id",
        "events.without_state",
    ),
}
