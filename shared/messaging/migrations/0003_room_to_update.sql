-- Every event moves the position of its stream, and every event saved the counter of its key, in rows that lie anywhere
-- in their table. With room in each page the new row stays beside the old one, and no index has to be told. What is
-- full by now gets that room as it is used.
alter table positions set (fillfactor = 85);
alter table outbox_counters set (fillfactor = 85);
