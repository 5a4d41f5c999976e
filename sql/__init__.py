"""SQL as files: migrations, named queries, indexes, and the naive twins, one folder a domain."""
