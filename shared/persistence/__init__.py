"""PostgreSQL: the pool, the migration runner, the history of changes and which failures are the database's own."""
