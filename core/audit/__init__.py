"""Who looked at what: journals in the kernel before the answer leaves, then chained rows in PostgreSQL."""
