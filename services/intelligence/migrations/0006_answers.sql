-- The annual volumes as they were published: later ones must not differ from them by one or two.
create table volume_releases (
    number bigint generated always as identity primary key,
    released_at timestamptz not null,
    counted jsonb not null,              -- what was found in the register when they were last asked for
    sizes jsonb not null,                -- what they are computed from: never answered
    shown jsonb not null                 -- what was answered
);
