-- Survey results as they were exported: a million at a time. A b-tree on so many rows costs more than all the rest of
-- an import, and so would a foreign key: that there is one row for each result is seen to when a file is finished,
-- under a lock. Rows come in by file and mostly by year, so these small indexes find them.
create table survey_result_rows (
    file_id bigint not null,              -- import_files
    line int not null,                    -- of that file
    report_type text collate "C" not null,-- which report of which survey; results are compared within one only
    provider_code text collate "C" not null,
    site_code text collate "C" not null,  -- empty where the row is about no single site
    specialty text collate "C" not null,
    indicator text collate "C" not null,
    year int not null,
    mean float8,
    sd float8,
    n int not null,                       -- respondents
    replaced_by_file bigint,              -- a later file that says otherwise; this row stays to be traced
    replaced_by_line int,
    check (n >= 0 and (n < 3 or (mean is not null and sd is not null))),
    check ((replaced_by_file is null) = (replaced_by_line is null))
);
create index survey_result_rows_by_file on survey_result_rows using brin (file_id) with (pages_per_range = 16);
create index survey_result_rows_by_year on survey_result_rows using brin (year) with (pages_per_range = 16);

-- What holds now: of files that were read to their end, and not corrected by a later one.
create view survey_results as
    select r.file_id, r.line, r.report_type, r.provider_code, r.site_code, r.specialty, r.indicator, r.year,
           r.mean, r.sd, r.n
    from survey_result_rows r join import_files f on f.id = r.file_id and f.finished_at is not null
    where r.replaced_by_file is null;

create view survey_results_replaced as
    select r.file_id, r.line, r.report_type, r.provider_code, r.site_code, r.specialty, r.indicator, r.year,
           r.mean, r.sd, r.n, r.replaced_by_file, r.replaced_by_line
    from survey_result_rows r where r.replaced_by_file is not null;

-- Answers to survey questions, counted by profession; kept in the same way.
create table survey_response_rows (
    file_id bigint not null,
    line int not null,
    report_type text collate "C" not null,
    provider_code text collate "C" not null,
    site_code text collate "C" not null,
    profession text collate "C" not null,
    theme text collate "C" not null,
    question text collate "C" not null,
    year int not null,
    answer text collate "C" not null,
    respondents int not null,
    replaced_by_file bigint,
    replaced_by_line int,
    check (respondents >= 0),
    check ((replaced_by_file is null) = (replaced_by_line is null))
);
create index survey_response_rows_by_file on survey_response_rows using brin (file_id) with (pages_per_range = 16);
create index survey_response_rows_by_year on survey_response_rows using brin (year) with (pages_per_range = 16);

create view survey_responses as
    select r.file_id, r.line, r.report_type, r.provider_code, r.site_code, r.profession, r.theme, r.question, r.year,
           r.answer, r.respondents
    from survey_response_rows r join import_files f on f.id = r.file_id and f.finished_at is not null
    where r.replaced_by_file is null;

-- Which years of which report a file holds: two files without one in common cannot contradict each other.
create table survey_file_years (
    file_id bigint not null references import_files,
    report_type text not null,
    year int not null,
    primary key (file_id, report_type, year)
);
create index survey_file_years_by_report on survey_file_years (report_type, year);

-- Items that came in files: where from, and what later became of them.
alter table intelligence_items
    add column file_id bigint references import_files,
    add column line bigint,
    add column reference text,            -- the source's own, if it has one
    add column identity text,             -- by which a row is known again in a later file
    add column theme text,                -- what it is about, such as patient_safety
    add column rating text,               -- a regulator's word
    add column tendency text check (tendency in ('adverse', 'neutral', 'favourable')),
    add column replaced_by uuid references intelligence_items deferrable initially deferred,
    add check ((file_id is null) = (line is null));
create unique index intelligence_items_by_identity on intelligence_items (identity) where replaced_by is null;
