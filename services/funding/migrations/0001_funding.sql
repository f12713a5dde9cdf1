-- Funding agreements, proposals to adjust them, adjustments and the ledger. Money is integer pence everywhere.
-- The identity column `position` is the sort key of every list.

create table agreements (
    position bigint generated always as identity unique,
    id uuid primary key,
    provider_ods_code text not null check (provider_ods_code ~ '^[A-Z0-9]{3,10}$'),
    provider_name text not null,
    provider_kind text not null,
    financial_year text not null check (financial_year ~ '^20[0-9]{2}-[0-9]{2}$'),
    signed_on date not null,
    version int not null default 1 check (version > 0),
    unique (provider_ods_code, financial_year)
);

create table agreement_lines (
    agreement_id uuid not null references agreements,
    tariff_group text not null,
    amount_pence bigint not null check (amount_pence between 1 and 1000000000000),
    primary key (agreement_id, tariff_group)
);

create view agreements_with_lines as
select a.*, l.tariff_groups, l.amounts
from agreements a
cross join lateral (
    select array_agg(tariff_group order by tariff_group) as tariff_groups,
           array_agg(amount_pence order by tariff_group) as amounts
    from agreement_lines where agreement_id = a.id
) l;

-- An adjustment that waits for a decision, or has one.
create table proposals (
    position bigint generated always as identity unique,
    id uuid primary key,
    agreement_id uuid not null references agreements,
    lever text not null,
    pence bigint not null check (pence between -1000000000000 and 1000000000000),
    reason text not null,
    reasons text[] not null check (cardinality(reasons) > 0),
    concern_ids uuid[] not null,
    correlation_id uuid not null,
    proposed_at timestamptz not null,
    proposed_by text,           -- staff id; null if the policy proposed it
    note text,
    outcome_id uuid unique,     -- one proposal per outcome; these four are null if a person proposed it
    outcome_event_id uuid,
    outcome_recorded_by text check (outcome_recorded_by ~ '^[0-9a-f]{32}$'),    -- keyed pseudonym
    policy_version text,
    state text not null default 'open' check (state in ('open', 'approved', 'declined', 'withdrawn')),
    decided_by text,
    decided_at timestamptz,
    version int not null default 1 check (version > 0),
    check (num_nulls(outcome_id, outcome_event_id, outcome_recorded_by, policy_version)
           = case when proposed_by is null then 0 else 4 end),
    check (num_nulls(decided_by, decided_at) = case when state = 'open' then 2 else 0 end),
    constraint approved_by_another_person check (state <> 'approved' or decided_by is distinct from proposed_by)
);
create index proposals_by_state on proposals (state, position);
create index proposals_by_agreement on proposals (agreement_id);

-- Outcomes of visits to providers with which no agreement for that year is signed yet.
create table waiting_outcomes (
    position bigint generated always as identity unique,
    outcome_id uuid primary key,
    provider_ods_code text not null,
    financial_year text not null,
    event_id uuid not null,         -- the event that brought the outcome
    correlation_id uuid not null,
    proposal_id uuid not null,      -- the id its proposal will have
    outcome jsonb not null,         -- the event's data
    received_at timestamptz not null
);
create index waiting_outcomes_by_year on waiting_outcomes (provider_ods_code, financial_year);

-- The ledger: double entry, append-only. Positive pence debit an account, negative pence credit it.
create table ledger_accounts (
    id bigint generated always as identity primary key,
    code text not null unique,      -- 'budget', or '<kind>:<provider>:<financial year>'
    kind text not null check (kind in
        ('budget', 'committed', 'granted', 'withheld', 'reclaimed', 'moved', 'suspended', 'terminated')),
    agreement_id uuid references agreements,
    unique (agreement_id, kind),
    check ((kind = 'budget') = (agreement_id is null))
);
insert into ledger_accounts (code, kind) values ('budget', 'budget');

create table ledger_transactions (
    position bigint generated always as identity unique,
    id uuid primary key,
    kind text not null check (kind in ('commitment', 'adjustment', 'memo')),
    agreement_id uuid not null references agreements,
    effective_on date not null,
    posted_at timestamptz not null,
    posted_by text not null,
    -- Said beforehand, so that nothing can be added to a transaction once it is there.
    entry_count smallint not null,
    -- A memo records an adjustment that moves no money, such as an action plan.
    check (case when kind = 'memo' then entry_count = 0 else entry_count >= 2 end)
);
create unique index ledger_one_commitment_per_agreement on ledger_transactions (agreement_id)
    where kind = 'commitment';
create index ledger_transactions_by_agreement on ledger_transactions (agreement_id, position);

create table ledger_entries (
    transaction_id uuid not null references ledger_transactions,
    line smallint not null check (line > 0),
    account_id bigint not null references ledger_accounts,
    pence bigint not null check (pence <> 0 and pence between -1000000000000 and 1000000000000),
    primary key (transaction_id, line)
);
create index ledger_entries_by_account on ledger_entries (account_id);

create view ledger_balances as
select a.id, a.code, a.kind, a.agreement_id, coalesce(sum(e.pence), 0)::bigint as balance_pence
from ledger_accounts a left join ledger_entries e on e.account_id = a.id
group by a.id;

create function refuse_imbalance() returns trigger language plpgsql as $$
declare
    checked uuid;
    announced bigint;
    found_entries bigint;
    total numeric;
begin
    if tg_table_name = 'ledger_transactions' then
        checked := new.id;
    else
        checked := new.transaction_id;
    end if;
    select entry_count into announced from ledger_transactions where id = checked;
    select count(*), coalesce(sum(pence), 0) into found_entries, total
    from ledger_entries where transaction_id = checked;
    if found_entries <> announced or total <> 0 then
        raise exception 'ledger transaction % does not balance: % of % entries, which sum to % pence',
            checked, found_entries, announced, total
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

-- Deferred to the commit: a transaction's entries come after its head.
create constraint trigger ledger_transactions_balance after insert on ledger_transactions
    deferrable initially deferred for each row execute function refuse_imbalance();
create constraint trigger ledger_entries_balance after insert on ledger_entries
    deferrable initially deferred for each row execute function refuse_imbalance();

-- An approved proposal: what changed, from when, and the transaction that holds its entries.
create table adjustments (
    id uuid primary key,
    proposal_id uuid not null unique references proposals,
    transaction_id uuid not null unique references ledger_transactions,
    effective_on date not null,
    approved_by text not null,
    approved_at timestamptz not null
);

create trigger ledger_accounts_are_append_only before update or delete on ledger_accounts
    for each row execute function refuse_change();
create trigger ledger_transactions_are_append_only before update or delete on ledger_transactions
    for each row execute function refuse_change();
create trigger ledger_entries_are_append_only before update or delete on ledger_entries
    for each row execute function refuse_change();
create trigger adjustments_are_append_only before update or delete on adjustments
    for each row execute function refuse_change();
create trigger ledger_accounts_are_never_emptied before truncate on ledger_accounts
    for each statement execute function refuse_change();
create trigger ledger_transactions_are_never_emptied before truncate on ledger_transactions
    for each statement execute function refuse_change();
create trigger ledger_entries_are_never_emptied before truncate on ledger_entries
    for each statement execute function refuse_change();
create trigger adjustments_are_never_emptied before truncate on adjustments
    for each statement execute function refuse_change();
