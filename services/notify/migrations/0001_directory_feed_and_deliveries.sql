-- The directory --------------------------------------------------------------------------------------------------

create table stakeholders (
    id uuid primary key,
    reference text unique,          -- a key of the office's own, by which an import knows the entry again
    kind text not null,
    organisation text not null,
    provider_code text,             -- own ODS code of a local education provider: it hears of itself alone
    active boolean not null,
    created_at timestamptz not null,
    version int not null default 1,
    check ((kind = 'local_education_provider') = (provider_code is not null))
);

-- Personal data, and therefore in a table of its own that nothing reads but the directory and the sending of mail.
-- It has no constraint on the text: a violation would print the row, address and all, into the log.
create table stakeholder_addresses (
    stakeholder_id uuid primary key references stakeholders,
    email text not null
);

create table subscriptions (
    stakeholder_id uuid not null references stakeholders,
    place int not null,
    event_types text[] not null check (cardinality(event_types) > 0),
    provider_code text,             -- null: all providers
    minimum_category int check (minimum_category between 0 and 4),  -- null: whatever the category
    primary key (stakeholder_id, place)
);

-- What is known of concerns: the last confirmed category, for events that do not carry one -------------------------

create table concern_categories (
    concern_id uuid primary key,
    category int not null check (category between 0 and 4)
);

-- The feed: every event received, without its internal fields ------------------------------------------------------

create table feed (
    position bigint generated always as identity primary key,  -- order of commit: a reader who goes on misses none
    event_id uuid not null unique,
    name text not null,             -- such as 'concern.rated'
    type text not null,             -- CloudEvents type
    source text not null,
    subject text not null,
    key text not null,              -- ODS code of the provider
    time timestamptz not null,
    correlation_id uuid not null,
    causation_id uuid,
    traceparent text,
    data jsonb not null,
    received_at timestamptz not null
);

create index feed_of_a_provider on feed (key, position);
create index feed_of_a_name on feed (name, position);

-- Deliveries: one e-mail about one event to one stakeholder ---------------------------------------------------------

create table deliveries (
    id uuid primary key,
    position bigint generated always as identity unique,       -- the order in which they were queued
    event_id uuid not null references feed (event_id),
    stakeholder_id uuid not null references stakeholders,
    template text not null,         -- name and version, such as 'concern-rated@1'
    state text not null default 'queued' check (state in ('queued', 'sending', 'sent', 'failed')),
    attempts int not null default 0 check (attempts >= 0),
    next_attempt_at timestamptz not null default now(),
    claimed_by text,                -- process that is sending it
    claimed_until timestamptz,      -- after this, another process may take it over
    last_error text check (last_error ~ '^[a-z0-9_]{1,40}$'),  -- a code, never the mail server's words
    created_at timestamptz not null,
    finished_at timestamptz,        -- when it was sent or failed
    version int not null default 1,
    unique (event_id, stakeholder_id),
    check ((state = 'sending') = (claimed_by is not null)),
    check ((state = 'sending') = (claimed_until is not null)),
    check ((state in ('sent', 'failed')) = (finished_at is not null))
);

create index deliveries_due on deliveries (next_attempt_at, position) where state = 'queued';
create index deliveries_claimed on deliveries (claimed_until) where state = 'sending';
create index deliveries_failed on deliveries (position) where state = 'failed';
create index deliveries_of_a_stakeholder on deliveries (stakeholder_id, position);
