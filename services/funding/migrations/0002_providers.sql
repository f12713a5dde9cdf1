-- Providers as events name them: what funding publishes of a provider is not what was typed into an agreement.

create table providers (
    ods_code text primary key,
    name text not null,
    kind text not null
);

insert into providers (ods_code, name, kind)
select distinct on (provider_ods_code) provider_ods_code, outcome -> 'provider' ->> 'name', outcome -> 'provider' ->> 'kind'
from waiting_outcomes
order by provider_ods_code, position desc;

-- The name and kind on the agreement stand in until an event has named the provider.
create or replace view agreements_with_lines as
select a.position, a.id, a.provider_ods_code,
       coalesce(p.name, a.provider_name) as provider_name, coalesce(p.kind, a.provider_kind) as provider_kind,
       a.financial_year, a.signed_on, a.version, l.tariff_groups, l.amounts
from agreements a
left join providers p on p.ods_code = a.provider_ods_code
cross join lateral (
    select array_agg(tariff_group order by tariff_group) as tariff_groups,
           array_agg(amount_pence order by tariff_group) as amounts
    from agreement_lines where agreement_id = a.id
) l;
