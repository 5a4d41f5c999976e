-- The runner of migrations: its own table, its lock, its questions. Run as the owner.

-- name: create_core_schema()
-- What is the core's own lives apart from the domains' tables.
-- returns: rows
create schema if not exists cito

-- name: create_migrations_table()
-- Remembers what was applied, with the checksum of what it was.
-- returns: rows
create table if not exists cito.migrations (
    id text primary key,
    plugin text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
)

-- name: try_lock_migrations()
-- One migrator at a time, in the whole database. Tried again and again, not awaited: a session that waits for a
-- lock holds a snapshot, and a concurrent index build waits for snapshots.
-- returns: one
select pg_try_advisory_lock(7240571)

-- name: applied_migrations()
-- What was applied, oldest first.
-- returns: many
select id, plugin, checksum from cito.migrations order by applied_at, id

-- name: note_migration(id, plugin, checksum)
-- Remembers one, in the transaction of its statements.
-- returns: rows
insert into cito.migrations (id, plugin, checksum) values (:id, :plugin, :checksum)

-- name: forget_migration(id)
-- Forgets one that was rolled back.
-- returns: rows
delete from cito.migrations where id = :id

-- name: limit_lock_wait(milliseconds)
-- A change that cannot get its lock soon must not queue everybody else behind it.
-- returns: one
select set_config('lock_timeout', :milliseconds, false)

-- name: missing_extensions(names)
-- Which of these extensions are not created, and whether the server has them at all.
-- returns: many
select
    wanted.name,
    exists (select from pg_available_extensions as a where a.name = wanted.name) as available
from unnest(:names::text[]) as wanted (name)
where not exists (select from pg_extension where extname = wanted.name)

-- name: table_bytes(name)
-- The size of a table with its partitions; nothing when it is not there.
-- returns: one
select
    pg_relation_size(to_regclass(:name))
    + coalesce((select sum(pg_relation_size(relid)) from pg_partition_tree(to_regclass(:name))), 0)

-- name: table_columns()
-- The columns of every table: what invalidations and indexes are checked against. The core's have their schema.
-- returns: many
select (case n.nspname when 'public' then '' else n.nspname || '.' end) || c.relname, array_agg(a.attname::text)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname in ('public', 'cito') and c.relkind in ('r', 'p')
group by n.nspname, c.relname
