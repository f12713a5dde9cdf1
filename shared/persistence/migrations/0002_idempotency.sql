-- The answer to each command that came with an Idempotency-Key, saved in the command's own transaction.
create table idempotency_keys (
    caller text not null,
    key text not null,
    request_hash bytea not null,
    status int,
    headers jsonb,
    body text,
    created_at timestamptz not null default now(),
    primary key (caller, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
