-- Who changed what, when and why. One row for every change of state of any aggregate; rows are never changed.
create table history (
    id bigint generated always as identity primary key,
    aggregate text not null,
    aggregate_id text not null,
    version int not null,
    at timestamptz not null,
    actor text not null,      -- a staff member's opaque id, or 'event:<id>' for a reaction
    change text not null,     -- the command or event, in the past tense
    reason text,
    detail jsonb not null default '{}',
    unique (aggregate, aggregate_id, version)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

create trigger history_is_append_only before update or delete on history
    for each row execute function refuse_change();
