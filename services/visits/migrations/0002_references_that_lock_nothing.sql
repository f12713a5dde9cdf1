-- A foreign key looks its row up anew for every row that refers to it, and locks it against being deleted. That writes
-- to the page it lies in, which may be any of a large table: it was a third of what a concern cost. Providers and
-- concerns are never deleted. So that is refused for good, and what refers to them is checked a statement at a time,
-- without a lock.
create function refuse_removal() returns trigger language plpgsql as $$
begin
    raise exception 'a row of % stays and keeps its key: others refer to it, and do not lock it', tg_table_name
        using errcode = 'foreign_key_violation';
end $$;

create trigger providers_stay before delete or update of ods_code on providers
    for each row execute function refuse_removal();
create trigger all_providers_stay before truncate on providers execute function refuse_removal();
create trigger concerns_stay before delete or update of id on concerns
    for each row execute function refuse_removal();
create trigger all_concerns_stay before truncate on concerns execute function refuse_removal();

-- Lateral with a limit, and no scan of a table: whatever the planner believes, one look into an index a row.
create function check_provider() returns trigger language plpgsql set enable_seqscan = off as $$
declare
    unknown text;
begin
    select r.provider_code into unknown
    from referring r
    left join lateral (select true as there from providers p where p.ods_code = r.provider_code limit 1) p on true
    where p.there is null limit 1;
    if found then
        raise exception 'a row of % refers to provider %, which providers does not hold', tg_table_name, unknown
            using errcode = 'foreign_key_violation';
    end if;
    return null;
end $$;

create function check_concern() returns trigger language plpgsql set enable_seqscan = off as $$
declare
    unknown uuid;
begin
    select r.concern_id into unknown
    from referring r
    left join lateral (select true as there from concerns c where c.id = r.concern_id limit 1) c on true
    where c.there is null limit 1;
    if found then
        raise exception 'a row of % refers to concern %, which concerns does not hold', tg_table_name, unknown
            using errcode = 'foreign_key_violation';
    end if;
    return null;
end $$;

-- What a row refers to hardly ever changes, and then one row at a time: an update of anything else asks nothing.
create function check_changed_provider() returns trigger language plpgsql as $$
begin
    if not exists (select from providers where ods_code = new.provider_code) then
        raise exception 'a row of % refers to provider %, which providers does not hold', tg_table_name,
            new.provider_code using errcode = 'foreign_key_violation';
    end if;
    return null;
end $$;

create function check_changed_concern() returns trigger language plpgsql as $$
begin
    if not exists (select from concerns where id = new.concern_id) then
        raise exception 'a row of % refers to concern %, which concerns does not hold', tg_table_name, new.concern_id
            using errcode = 'foreign_key_violation';
    end if;
    return null;
end $$;

alter table concerns drop constraint concerns_provider_code_fkey;
create trigger provider_of_new after insert on concerns
    referencing new table as referring for each statement execute function check_provider();
create trigger provider_of_changed after update on concerns
    for each row when (old.provider_code is distinct from new.provider_code)
    execute function check_changed_provider();

alter table requirements drop constraint requirements_provider_code_fkey, drop constraint requirements_concern_id_fkey;
create trigger provider_of_new after insert on requirements
    referencing new table as referring for each statement execute function check_provider();
create trigger provider_of_changed after update on requirements
    for each row when (old.provider_code is distinct from new.provider_code)
    execute function check_changed_provider();
create trigger concern_of_new after insert on requirements
    referencing new table as referring for each statement execute function check_concern();
create trigger concern_of_changed after update on requirements
    for each row when (old.concern_id is distinct from new.concern_id)
    execute function check_changed_concern();
