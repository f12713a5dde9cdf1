-- The register of organisations. A code that was closed stays: old records use it.
create table organisations (
    ods_code text primary key,
    name text not null,
    kind text not null,
    parent_code text,                    -- of a site: the organisation it belongs to
    valid_from date,                     -- null: not known
    valid_to date,                       -- null: in use
    successor_code text,
    source text not null,                -- what the entry rests on
    version int not null default 1,
    check (valid_to is null or valid_from is null or valid_to >= valid_from),
    check ((kind = 'hospital_site') = (parent_code is not null))
);
create index organisations_by_parent on organisations (parent_code) where parent_code is not null;

-- What was heard about a provider. Free text stays here.
create table intelligence_items (
    id uuid primary key,
    provider_code text not null references organisations,
    site_code text references organisations,
    programme text,
    learner_group text,
    standards text[] not null default '{}',
    source_kind text not null,
    source_date date not null,
    summary text not null,
    recorded_at timestamptz not null
);
create index intelligence_items_by_provider on intelligence_items (provider_code, id);

create sequence concern_numbers;

create table concerns (
    id uuid primary key,
    reference text not null unique,
    origin text not null check (origin in ('reported', 'imported')),
    provider_code text not null references organisations,
    site_code text references organisations,
    programme text not null,
    learner_group text not null,
    standard_set text not null,
    standards text[] not null,
    source_kind text not null,
    source_date date,
    raised_on date not null,
    summary text not null,
    action text,
    citation text,                       -- of an imported concern: where it was read
    register_origin text,                -- of an imported concern: published, synthetic or register
    status text not null check (status in ('open', 'closed')),
    category int check (category between 0 and 4),
    closed_on date,
    closure_reason text,
    version int not null default 1,
    created_at timestamptz not null,
    imported_row jsonb,                  -- the row as it was imported: a second import compares
    check ((status = 'closed') = (closed_on is not null)),
    check ((status = 'closed') = (closure_reason is not null))
);
create index concerns_by_provider on concerns (provider_code, id);
create index concerns_open on concerns (category) where status = 'open';

create table concern_items (
    concern_id uuid not null references concerns,
    item_id uuid not null references intelligence_items,
    primary key (concern_id, item_id)
);

-- Each assessment and confirmation of a concern's rating, oldest first. Rows are never changed.
create table concern_ratings (
    concern_id uuid not null references concerns,
    number int not null,
    impact int not null check (impact between 1 and 5),
    likelihood int not null check (likelihood between 1 and 5),
    suggested_category int not null check (suggested_category between 0 and 4),
    category int check (category between 0 and 4),  -- null: an assessment nobody has confirmed
    rationale text not null,
    rated_on date not null,
    rated_by text not null,
    primary key (concern_id, number)
);
create trigger concern_ratings_are_append_only before update or delete on concern_ratings
    for each row execute function refuse_change();

-- The identity of whoever raised a concern: apart from it, erasable, and every look at it is logged.
create table reporters (
    concern_id uuid primary key references concerns,
    name text not null,
    contact text not null
);
create table reporter_access (
    id bigint generated always as identity primary key,
    concern_id uuid not null references concerns,
    at timestamptz not null,
    actor text not null,
    action text not null check (action in ('read', 'erased')),
    reason text not null
);
create trigger reporter_access_is_append_only before update or delete on reporter_access
    for each row execute function refuse_change();

-- What became of a concern, one row per event about it, from this service and the others.
create table concern_story (
    concern_id uuid not null references concerns,
    event_id uuid not null,
    type text not null,
    source text not null,
    subject text not null,
    occurred_at timestamptz not null,
    summary text not null,
    primary key (concern_id, event_id)
);
