-- Concerns that the policy proposes. A person accepts, merges or dismisses each; only a report that somebody is at risk
-- now is raised at once.
create table proposals (
    id uuid primary key,
    provider_code text not null references organisations,
    site_code text references organisations,
    programme text,
    programme_key text not null,          -- the same however the programme is written; empty without one
    learner_group text,
    standard_set text not null,
    standards text[] not null,
    rules text[] not null,                -- codes of the rules of the policy that hold
    policy_version text not null,
    proposed_on date not null,
    state text not null check (state in ('proposed', 'accepted', 'merged', 'dismissed', 'raised_at_once')),
    concern_id uuid references concerns,  -- raised from it, or open already and given what it rests on
    dismissal text,
    decided_on date,
    version int not null default 1,
    created_at timestamptz not null,
    check ((state in ('accepted', 'merged', 'raised_at_once')) = (concern_id is not null)),
    check ((state = 'dismissed') = (dismissal is not null)),
    check ((state = 'proposed') = (decided_on is null))
);
-- While one waits for a person, it gathers all that points to its scope.
create unique index proposals_one_waiting_a_scope
    on proposals (provider_code, coalesce(site_code, ''), programme_key, coalesce(learner_group, ''))
    where state = 'proposed';
create index proposals_by_provider on proposals (provider_code, id);
create index proposals_by_concern on proposals (concern_id) where concern_id is not null;

-- What a proposal rests on, as it stood when it was added: a later correction is seen by comparing.
create table proposal_evidence (
    proposal_id uuid not null references proposals,
    kind text not null check (kind in ('flag', 'item')),
    signal_id uuid not null,              -- of the flag, or of intelligence_items
    revision int not null,                -- of the flag; 1 for an item
    site_code text,
    programme text,
    learner_group text,
    standards text[] not null,
    source text not null,
    source_kind text not null,
    signal_on date not null,
    marks text[] not null,
    rules text[] not null,                -- those it is evidence for
    primary key (proposal_id, kind, signal_id)
);
create index proposal_evidence_by_signal on proposal_evidence (kind, signal_id);

-- Signals the policy has been applied to. One that is not here is news; a flag that is corrected is news again.
create table considered_signals (
    kind text not null check (kind in ('flag', 'item')),
    signal_id uuid not null,
    revision int not null,
    primary key (signal_id, kind, revision)
);
insert into considered_signals (kind, signal_id, revision) select 'item', id, 1 from intelligence_items;

-- What a learner or an educator sent in by the form. Their words are here and nowhere else; the item of intelligence
-- says only that there is a report, and who it came from is kept with the reporters.
create table reports (
    item_id uuid primary key references intelligence_items,
    words text not null,
    patient_safety boolean not null,
    immediate boolean not null,           -- somebody is at risk now
    received_at timestamptz not null
);

-- Who raised something is known of a concern or of a report.
alter table reporters
    drop constraint reporters_pkey,
    alter column concern_id drop not null,
    add column item_id uuid references intelligence_items,
    add constraint reporters_of_one_thing check (num_nonnulls(concern_id, item_id) = 1);
create unique index reporters_by_concern on reporters (concern_id) where concern_id is not null;
create unique index reporters_by_item on reporters (item_id) where item_id is not null;
alter table reporter_access
    alter column concern_id drop not null,
    add column item_id uuid references intelligence_items,
    add constraint reporter_access_to_one_thing check (num_nonnulls(concern_id, item_id) = 1);
