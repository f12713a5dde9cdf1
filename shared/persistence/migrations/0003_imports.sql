-- Files that were taken in, one row for each content. A second import of the same content is recognised by its digest.
create table import_files (
    id bigint generated always as identity primary key,
    source text not null,                 -- whose mapping of columns it was read by
    name text not null,                   -- what the file was called; for people
    digest bytea not null,                -- SHA-256 of its bytes
    mapping bytea not null,               -- SHA-256 of the mapping: read by another one, it is another import
    size bigint not null,                 -- bytes
    began_by text not null,               -- opaque id of who sent it first
    began_at timestamptz not null,
    finished_at timestamptz,              -- null: its rows do not count yet
    passes int not null default 1,        -- how often it was read: refused rows are tried again when it is sent again
    rows_read bigint not null default 0,  -- of this pass, good or bad; where an import that was broken off goes on
    bytes_read bigint not null default 0, -- likewise; for showing progress
    added bigint not null default 0,
    updated bigint not null default 0,
    unchanged bigint not null default 0,
    refused bigint not null default 0,
    unique (source, digest, mapping)
);

-- Why rows of a file were not taken: one row for each cell at fault.
create table import_problems (
    file_id bigint not null references import_files,
    line bigint not null,                 -- line of the file, or row of its sheet, from 1
    column_name text not null,            -- as the file's header names it; empty if the whole row is at fault
    reason text not null
);
create index import_problems_by_file on import_problems (file_id, line, column_name);
