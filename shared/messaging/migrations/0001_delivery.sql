-- Outgoing ---------------------------------------------------------------------------------------------------

-- The last number given to an event of each (topic, key). Its row lock, held until the transaction ends, makes
-- the order of commits and the order of numbers the same, and a rolled-back transaction gives its numbers back.
create table outbox_counters (
    topic text not null,
    key text not null,
    last_sequence bigint not null,
    primary key (topic, key)
);

create table outbox (
    position bigint generated always as identity primary key,  -- the order in which the relay sends
    event_id uuid not null unique,
    type text not null,
    source text not null,
    subject text not null,
    topic text not null,
    key text not null,
    sequence bigint not null,
    time timestamptz not null,
    correlation_id uuid not null,
    causation_id uuid,
    traceparent text,
    data text not null,            -- the value as it is sent, to the byte
    saved_at timestamptz not null default now(),
    sent_at timestamptz,
    partition int,                 -- where the broker put it
    broker_offset bigint,
    unique (topic, key, sequence)
);

create index outbox_unsent on outbox (position) where sent_at is null;
create index outbox_sent on outbox (sent_at) where sent_at is not null;

-- Keys on which the broker refused a record: nothing of them is sent before the record is accepted.
create table relay_stops (
    topic text not null,
    key text not null,
    event_id uuid not null,
    error text not null,
    attempts int not null default 1,
    stopped_at timestamptz not null default now(),
    retry_at timestamptz not null,
    primary key (topic, key)
);

-- Incoming ---------------------------------------------------------------------------------------------------

-- Next offset to read of each partition: stored in the transaction that applied what lies before it, and the
-- fence between two members that hold one partition for a moment during a rebalance.
create table consumer_offsets (
    topic text not null,
    partition int not null,
    cluster_id text not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

-- The last event accepted from each stream.
create table positions (
    topic text not null,
    source text not null,
    key text not null,
    last_sequence bigint not null,
    last_event_id uuid not null,
    baseline bigint,               -- first sequence accepted, where retention had taken what lay before
    updated_at timestamptz not null default now(),
    primary key (topic, source, key)
);

-- Events that arrived before one they must follow.
create table held_events (
    topic text not null,
    source text not null,
    key text not null,
    sequence bigint not null,
    event_id uuid not null,
    partition int not null,
    broker_offset bigint not null,
    broker_time timestamptz not null,
    header_names bytea[] not null,
    header_values bytea[] not null,
    value bytea not null,
    held_at timestamptz not null default now(),
    primary key (topic, source, key, sequence)
);

-- Records that cannot be read or break the contract, as they came.
create table dead_letters (
    id bigint generated always as identity primary key,
    topic text not null,
    partition int not null,
    broker_offset bigint not null,
    broker_time timestamptz not null,
    key bytea,
    header_names bytea[] not null,
    header_values bytea[] not null,
    value bytea,
    event_id uuid,                 -- where the envelope could be read
    reason text not null check (reason in ('unreadable', 'breaks_contract', 'conflict')),
    error text not null,
    dead_at timestamptz not null default now(),
    unique (topic, partition, broker_offset, dead_at)
);
