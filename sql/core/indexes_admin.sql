-- What `cito indexes` asks. Run as the owner.

-- name: try_lock_indexes()
-- One builder at a time. Tried, not awaited: a session that waits for a lock holds a snapshot, and a concurrent
-- build waits for snapshots.
-- returns: one
select pg_try_advisory_lock(7240574)

-- name: existing_indexes()
-- All indexes of our schemas: whether they are valid, back a constraint, and what they were built from. Those of
-- partitions follow their parent's.
-- returns: many
select
    index_class.relname as name,
    table_class.relname as table_name,
    pg_index.indisvalid as valid,
    exists (select from pg_constraint where conindid = index_class.oid) as of_constraint,
    coalesce(obj_description(index_class.oid, 'pg_class'), '') as comment,
    index_class.relkind = 'I' as partitioned
from pg_index
inner join pg_class as index_class on pg_index.indexrelid = index_class.oid
inner join pg_class as table_class on pg_index.indrelid = table_class.oid
where
    index_class.relnamespace in ('public'::regnamespace, 'cito'::regnamespace) and not index_class.relispartition
order by 1

-- name: partitions(parent)
-- The partitions of a table, each with its schema; of another table none.
-- returns: many
select pg_class.relnamespace::regnamespace::text, pg_class.relname
from pg_inherits
inner join pg_class on pg_inherits.inhrelid = pg_class.oid
where pg_inherits.inhparent = to_regclass(:parent) and pg_class.relispartition
order by 2

-- name: index_progress()
-- How far the concurrent build that runs now has come.
-- returns: one
select
    phase,
    case
        when phase like 'building index%' and tuples_total > 0 then tuples_done / tuples_total::double precision
        when blocks_total > 0 then blocks_done / blocks_total::double precision
        else 0
    end as done
from pg_stat_progress_create_index
where datname = current_database()

-- name: index_usage()
-- Scans, size and estimated bloat of every index, and since when its counters count.
-- returns: many
select
    usage.indexrelname as name,
    usage.relname as table_name,
    usage.idx_scan as scans,
    usage.last_idx_scan as last_scan,
    pg_relation_size(usage.indexrelid) as bytes,
    coalesce(index_class.reltuples, 0)::bigint as entries,
    (
        select sum(coalesce(statistics.avg_width, 8))
        from pg_attribute as attribute
        left join pg_stats as statistics
            on statistics.tablename = usage.relname and statistics.attname = attribute.attname
        where attribute.attrelid = usage.indexrelid
    )::bigint as entry_bytes,
    access.amname as method,
    pg_get_indexdef(usage.indexrelid) as definition,
    pg_index.indisunique as is_unique,
    pg_index.indkey::text || ' ' || pg_index.indclass::text || ' '
    || coalesce(pg_get_expr(pg_index.indexprs, pg_index.indrelid), '') || ' '
    || coalesce(pg_get_expr(pg_index.indpred, pg_index.indrelid), '') as shape,
    database.stats_reset as counted_since
from pg_stat_user_indexes as usage
inner join pg_index on usage.indexrelid = pg_index.indexrelid
inner join pg_class as index_class on usage.indexrelid = index_class.oid
inner join pg_am as access on index_class.relam = access.oid
cross join (select stats_reset from pg_stat_database where datname = current_database()) as database
order by pg_relation_size(usage.indexrelid) desc
