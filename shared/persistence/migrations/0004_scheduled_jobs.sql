-- When each job of the schedule has to run next. Its row is locked while it runs: only one process runs it.
create table scheduled_jobs (
    name text primary key,
    due_at timestamptz not null,
    last_run_at timestamptz,             -- end of the last run that succeeded
    runs bigint not null default 0
);
