-- What visits knows of providers and concerns, learnt from events -------------------------------------------

create table providers (
    ods_code text primary key,
    name text not null,
    kind text not null
);

create table concerns (
    id uuid primary key,
    reference text not null,
    provider_code text not null references providers,
    site_code text,
    programme text,                      -- null only if the event that raised it was never received
    category int check (category between 0 and 4),
    visited_category int check (visited_category between 0 and 4),  -- at which a visit has looked into it
    open boolean not null
);

-- The pool of people who may sit on panels. Their names are in this table only. ------------------------------

create table people (
    id uuid primary key,
    name text not null,
    organisation text not null,
    roles text[] not null check (cardinality(roles) > 0),
    active boolean not null,
    created_at timestamptz not null,
    version int not null default 1
);

create table conflicts_of_interest (
    id uuid primary key,
    person_id uuid not null references people,
    provider_code text not null,         -- any organisation's, also one visits has never heard of
    note text,
    declared_at timestamptz not null,
    withdrawn_at timestamptz
);
create unique index one_declaration_per_organisation on conflicts_of_interest (person_id, provider_code)
    where withdrawn_at is null;

-- Visits -----------------------------------------------------------------------------------------------------

create table visits (
    id uuid primary key,
    provider_code text not null references providers,
    site_code text,
    parent_code text,
    kind text not null,
    visit_date date not null,
    state text not null check (state in ('scheduled', 'cancelled', 'completed')),
    reason text,
    late_reason text,
    cancellation_reason text,
    cancellation_note text,
    scheduled_at timestamptz not null,
    version int not null default 1,
    check ((state = 'cancelled') = (cancellation_reason is not null))
);
create index visits_by_date on visits (visit_date, id);
create index visits_by_provider on visits (provider_code, visit_date, id);

create table visit_concerns (
    visit_id uuid not null references visits,
    place int not null,
    concern_id uuid not null references concerns,
    primary key (visit_id, place),
    unique (visit_id, concern_id)
);

create table panel_members (
    visit_id uuid not null references visits,
    place int not null,
    person_id uuid not null references people,
    role text not null,
    primary key (visit_id, place),
    unique (visit_id, person_id)
);

-- What a concern calls for -----------------------------------------------------------------------------------

create table requirements (
    id uuid primary key,
    concern_id uuid not null references concerns,
    number int not null,                 -- 1 for the concern's first, 2 for the one after a visit …
    provider_code text not null references providers,
    category int not null check (category between 0 and 4),
    kind text not null,
    latest_date date not null,
    policy_version text not null,
    state text not null check (state in ('open', 'scheduled', 'met', 'withdrawn')),
    called_for boolean not null,         -- false once the concern was closed or rated 0
    visit_id uuid references visits,     -- the visit that takes it up or has met it
    version int not null default 1,
    unique (concern_id, number),
    check ((state in ('scheduled', 'met')) = (visit_id is not null)),
    check (called_for or state <> 'open'),
    check (not called_for or state <> 'withdrawn')
);
create unique index one_requirement_at_a_time on requirements (concern_id) where state in ('open', 'scheduled');
create index requirements_by_date on requirements (latest_date, id);
create index requirements_by_provider on requirements (provider_code, latest_date, id);

-- The requirements a visit was scheduled for; it stays when the visit is cancelled.
create table visit_requirements (
    visit_id uuid not null references visits,
    place int not null,
    requirement_id uuid not null references requirements,
    primary key (visit_id, place),
    unique (visit_id, requirement_id)
);

-- What the panels found. Free text stays here. ----------------------------------------------------------------

create table outcomes (
    id uuid primary key,
    visit_id uuid not null unique references visits,
    recorded_on date not null,
    recorded_by text not null,           -- a staff member's opaque id
    standard_set text not null,
    policy_version text not null,
    highest_category int check (highest_category between 0 and 4),
    summary text not null,
    background text
);

create table findings (
    id uuid primary key,
    outcome_id uuid not null references outcomes,
    place int not null,
    kind text not null,
    standard text not null,
    text text not null,
    due_on date,
    unique (outcome_id, place)
);
