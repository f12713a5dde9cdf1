"""HTTP as every service speaks it: problems, callers, idempotent commands, entity tags, pages."""
