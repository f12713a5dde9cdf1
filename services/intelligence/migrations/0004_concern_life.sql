-- Where a concern is in its life. `status` stays beside it: open or closed is what most ask for.
alter table concerns
    add column stage text,
    add column merged_into uuid references concerns,
    add column significant_since date;   -- first day of a category that is significant or higher, while it is

update concerns c set
    stage = case
        when c.status = 'closed' then 'closed'
        when coalesce(h.last_reopened, 0) > coalesce(h.last_rated, 0) then 'reopened'
        when c.category is null then 'raised'
        else 'rated'
    end,
    significant_since = case when c.category >= 2 then r.since end
from concerns d
left join (
    select aggregate_id, max(version) filter (where change = 'rated') as last_rated,
           max(version) filter (where change = 'reopened') as last_reopened
    from history where aggregate = 'concern' group by aggregate_id
) h on h.aggregate_id = d.id::text
left join (
    -- The first confirmation after the last one that was below significant.
    select concern_id, min(rated_on) as since
    from concern_ratings outer_ratings
    where category >= 2 and not exists (
        select from concern_ratings later
        where later.concern_id = outer_ratings.concern_id and later.number > outer_ratings.number and later.category < 2
    )
    group by concern_id
) r on r.concern_id = d.id
where c.id = d.id;

alter table concerns
    alter column stage set not null,
    add check (stage in ('raised', 'rated', 'closed', 'reopened', 'merged')),
    add check ((status = 'open') = (stage in ('raised', 'rated', 'reopened'))),
    add check (stage <> 'raised' or category is null),
    add check (stage <> 'rated' or category is not null),
    add check ((stage = 'merged') = (merged_into is not null)),
    add check (stage <> 'merged' or closure_reason = 'merged'),
    add check (merged_into <> id),
    add check ((significant_since is not null) = (category is not null and category >= 2));
create index concerns_merged_into on concerns (merged_into) where merged_into is not null;
create index concerns_significant on concerns (significant_since) where significant_since is not null;

-- How a concern stands in each of the three registers; no row where it was never put.
create table concern_registers (
    concern_id uuid not null references concerns,
    register text not null check (register in ('regional_register', 'national_register', 'enhanced_monitoring')),
    state text not null check (state in ('off', 'on', 'removed_conditionally')),
    since date not null,
    check_state text not null check (check_state in ('none', 'due', 'overdue', 'effective', 'not_effective')),
    check_due_on date,
    checked_on date,
    primary key (concern_id, register),
    check (state = 'on' or check_state = 'effective'),
    check ((check_state = 'none') = (check_due_on is null)),
    check ((check_state in ('effective', 'not_effective')) = (checked_on is not null))
);
create index concern_registers_on on concern_registers (register, concern_id) where state <> 'off';
create index concern_registers_checks_due on concern_registers (check_due_on) where check_state = 'due';

-- What has to be met for a concern to leave a register. The wording stays here.
create table exit_conditions (
    id uuid primary key,
    concern_id uuid not null references concerns,
    register text not null,
    wording text not null,
    owner text not null,
    set_on date not null,
    due_on date not null,
    state text not null check (state in ('open', 'met', 'missed', 'withdrawn')),
    settled_on date,
    foreign key (concern_id, register) references concern_registers,
    check (due_on >= set_on),
    check ((state = 'open') = (settled_on is null))
);
create index exit_conditions_by_concern on exit_conditions (concern_id, id);
create index exit_conditions_open on exit_conditions (due_on, id) where state = 'open';

-- Training that is or was suspended where a concern lies. One suspension of a concern at a time.
create table training_suspensions (
    id uuid primary key,
    concern_id uuid not null references concerns,
    reason text not null check (
        reason in ('confirmed_undermining', 'poor_supervision', 'inadequate_resources', 'patient_safety', 'learner_safety')
    ),
    suspended_on date not null,
    restored_on date,
    restoration_reason text,
    check (restored_on >= suspended_on),
    check ((restored_on is null) = (restoration_reason is null))
);
create unique index training_suspensions_one_at_a_time on training_suspensions (concern_id) where restored_on is null;
create index training_suspensions_by_concern on training_suspensions (concern_id, suspended_on);
