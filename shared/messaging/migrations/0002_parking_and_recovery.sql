-- Incoming ---------------------------------------------------------------------------------------------------

alter table consumer_offsets
    -- Digest of the last record taken in, the one before next_offset: by it this log is told from another one.
    add column last_record bytea,
    -- The run that reads this partition. Not null when the partition is given to a member: the one before ended
    -- without letting go, perhaps because of what it was applying.
    add column holder uuid;

-- Also what breaks the contract waits for its turn, whatever its value is.
alter table held_events alter column value drop not null;

-- Streams that stand still because their next event could not be applied. That event and all that followed it
-- wait in held_events. Or nothing is wrong any more, and what waits is applied in portions: reason 'backlog'.
create table parked_streams (
    topic text not null,
    source text not null,
    key text not null,
    partition int not null,
    sequence bigint not null,          -- first number that waits
    event_id uuid,                     -- of the event that stands in the way; null if none does any more
    reason text not null check (reason in ('failed', 'breaks_contract', 'conflict', 'backlog')),
    error text not null,
    attempts int not null,
    parked_at timestamptz not null default now(),
    retry_at timestamptz,              -- null: nothing is tried before an operator has decided
    dead_letter_id bigint references dead_letters,
    primary key (topic, source, key)
);

create index parked_streams_due on parked_streams (retry_at) where retry_at is not null;

-- Records that are applied with care because the process ended while it applied them or their neighbours: first as
-- one portion, and if it ends again, one by one. Written before the attempt, in a transaction of its own, so that an
-- attempt that ends the process counts.
create table attempts (
    topic text not null,
    partition int not null,
    broker_offset bigint not null,
    up_to bigint not null,             -- offset of the last record that was tried with this one
    attempts int not null,
    primary key (topic, partition, broker_offset)
);

alter table dead_letters
    drop constraint dead_letters_reason_check,
    drop constraint dead_letters_topic_partition_broker_offset_dead_at_key,
    -- 'failed': it could be read, and could not be applied in as many attempts as are allowed.
    add constraint dead_letters_reason_check
        check (reason in ('unreadable', 'breaks_contract', 'conflict', 'failed')),
    -- Of the stream, where the envelope could be read.
    add column source text,
    add column sequence bigint,
    -- Of the record, so that a log read again from its beginning gives no letter twice.
    add column digest bytea not null default '',
    add column attempts int not null default 1,
    add column status text not null default 'dead' check (status in ('dead', 'redriven', 'discarded')),
    add column resolved_at timestamptz,
    -- When it was copied to the topic of dead letters; null: not yet.
    add column published_at timestamptz;

update dead_letters set digest = sha256(coalesce(key, '') || coalesce(value, '') || int8send(id));
alter table dead_letters alter column digest drop default;
create unique index dead_letters_once on dead_letters (topic, partition, broker_offset, digest);
create index dead_letters_open on dead_letters (id) where status = 'dead';
create index dead_letters_unpublished on dead_letters (id) where published_at is null;
create index dead_letters_of_stream on dead_letters (topic, source, sequence) where status = 'dead';
create index dead_letters_digest on dead_letters (digest);

-- Outgoing ---------------------------------------------------------------------------------------------------

-- Positions of the rows that the broker has not acknowledged. A queue of its own, as narrow as can be: deleting from
-- it costs a twentieth of what marking the row itself did, which wrote the row and all its index entries anew.
drop index outbox_unsent;
create table outbox_unsent (
    position bigint primary key
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
insert into outbox_unsent select position from outbox where sent_at is null;

drop index outbox_sent;
alter table outbox
    drop column sent_at,
    drop column partition,
    drop column broker_offset;
create index outbox_saved on outbox using brin (saved_at);

-- What the broker has acknowledged of this service's own records. What lies beyond is read back when a relay
-- starts: an own event there that the outbox does not know shows that this database was restored to the past.
create table relay_acknowledged (
    topic text not null,
    partition int not null,
    cluster_id text not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

-- At most one row: why this service may not emit. Written by the relay, removed by `qc outbox recover`.
create table outbox_fence (
    only_one boolean primary key default true check (only_one),
    reason text not null,
    since timestamptz not null default now()
);

-- By hand ----------------------------------------------------------------------------------------------------

-- What operators did to delivery, and why.
create table operator_actions (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    reason text not null,
    action text not null,              -- such as dead_letter.redriven
    target text not null,              -- such as a dead letter's id, or topic/source/key
    detail jsonb not null default '{}'
);

create index operator_actions_target on operator_actions (target);
