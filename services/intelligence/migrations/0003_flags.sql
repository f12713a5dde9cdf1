-- What results were compared with: one row for each benchmark group as it was at a time. Rows are added, and ended when
-- a later file changes the group, so that every flag can be explained by the numbers that gave it.
create table flag_benchmarks (
    id bigint generated always as identity primary key,
    report_type text collate "C" not null,
    specialty text collate "C" not null,  -- empty where the group is of all specialties
    indicator text collate "C" not null,
    year int not null,
    edition text not null,                -- of the rule
    results int not null,                 -- with enough respondents to count
    respondents bigint not null,          -- of these results
    lower_quartile numeric not null,      -- exact
    upper_quartile numeric not null,      -- exact
    mean numeric not null,                -- to more digits than a double has, as are these two
    variance numeric not null,
    half_width numeric not null,          -- of the interval of the mean
    by_file bigint,                       -- import_files: the file that led to it
    since timestamptz not null,
    ended_at timestamptz
);
create unique index flag_benchmarks_now on flag_benchmarks (report_type, indicator, specialty, year)
    where ended_at is null;

-- The flag of each survey result of an organisation of the register, as it is now. Results of others are compared with,
-- and have no row: nobody here answers for them. Checking a foreign key for each of a million rows takes longer than
-- adding them; both columns come from a join with what they name.
create table flags (
    id uuid primary key default uuidv7(),
    provider_code text collate "C" not null,        -- organisations
    report_type text collate "C" not null,
    indicator text collate "C" not null,
    specialty text collate "C" not null,
    site_code text collate "C" not null,  -- empty where the result is about no single site
    year int not null,
    flag text not null check (flag in ('red', 'pink', 'white', 'light-green', 'green', 'grey', 'yellow')),
    triple_red boolean not null check (flag = 'red' or not triple_red),
    edition text not null,
    benchmark_id bigint,                  -- flag_benchmarks; null: nobody in the group has enough respondents
    file_id bigint not null,              -- the row of the file that says so
    line int not null,
    n int not null,
    mean float8,
    sd float8,
    version int not null default 1,       -- grows when a later file changes anything of the above but the benchmark
    by_file bigint not null,              -- the file that led to this version
    since timestamptz not null,
    unique (provider_code, indicator, year, report_type, specialty, site_code)
);
create index flags_by_file on flags (by_file);
create index flags_by_indicator on flags (indicator, year);
create index flags_red on flags (provider_code, year) where flag = 'red';

-- What a flag was before it was corrected. Rows are never changed.
create table flag_corrections (
    flag_id uuid not null,
    version int not null,                 -- the version that this was
    flag text not null,
    triple_red boolean not null,
    edition text not null,
    benchmark_id bigint,
    file_id bigint not null,
    line int not null,
    n int not null,
    mean float8,
    sd float8,
    by_file bigint not null,              -- the file that had led to it
    since timestamptz not null,
    until timestamptz not null,
    corrected_by_file bigint not null,
    primary key (flag_id, version)
);
create trigger flag_corrections_are_append_only before update or delete on flag_corrections
    for each row execute function refuse_change();
