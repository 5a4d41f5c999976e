-- How statements run, for `cito explain`, `cito indexes verify` and the reports.

-- name: set_scope(clinic_id)
-- Binds the transaction to a clinic, as the application does.
-- returns: one
select set_config('cito.clinic_id', :clinic_id, true)

-- name: see_as_search()
-- Examples are sampled from all clinics' rows; the application's own policy would hide them.
-- returns: rows
set local role cito_search

-- name: see_as_owner()
-- The core's own tables are not for searches.
-- returns: rows
set local role none

-- name: generic_plans_only()
-- A prepared statement is planned without its values.
-- returns: one
select set_config('plan_cache_mode', 'force_generic_plan', true)

-- name: parameters_prepared(statement)
-- How many parameters a prepared statement of this session has.
-- returns: one
select cardinality(parameter_types) from pg_prepared_statements where name = :statement

-- name: one_process()
-- Scans of parallel workers are not counted for the transaction that asked.
-- returns: one
select set_config('max_parallel_workers_per_gather', '0', true)

-- name: without_sequential_scans()
-- What would be used if the table were large.
-- returns: one
select set_config('enable_seqscan', 'off', true)

-- name: scans_so_far()
-- Which tables (read from end to end) and indexes this transaction has scanned, functions' insides included. An
-- index of a partition counts as its parent's; a partition is a table of its own, large or small.
-- returns: many
select declared.relname as name, scanned.relkind = 'i' as is_index, sum(pg_stat_get_xact_numscans(scanned.oid))::bigint
from pg_class as scanned
inner join pg_class as declared
    on declared.oid = case when scanned.relkind = 'i' then coalesce(pg_partition_root(scanned.oid), scanned.oid)
        else scanned.oid end
where
    scanned.relnamespace in ('public'::regnamespace, 'cito'::regnamespace) and scanned.relkind in ('r', 'i', 'm')
    and pg_stat_get_xact_numscans(scanned.oid) > 0
group by 1, 2

-- name: table_shapes()
-- Tables with their estimated rows and their columns.
-- returns: many
select
    pg_class.relname as name,
    greatest(pg_class.reltuples, 0)::bigint as estimated_rows,
    array_agg(pg_attribute.attname::text order by pg_attribute.attnum) as columns
from pg_class
inner join pg_attribute on pg_class.oid = pg_attribute.attrelid
where
    pg_class.relnamespace in ('public'::regnamespace, 'cito'::regnamespace) and pg_class.relkind in ('r', 'p')
    and pg_attribute.attnum > 0 and not pg_attribute.attisdropped
group by pg_class.oid, pg_class.relname, pg_class.reltuples

-- name: statement_statistics()
-- What pg_stat_statements knows, by statement, whichever role ran it.
-- returns: many
select
    queryid,
    sum(calls)::bigint as calls,
    sum(total_exec_time) as total_ms,
    max(stddev_exec_time) as deviation_ms,
    max(max_exec_time) as slowest_ms,
    sum(rows)::bigint as rows_returned,
    sum(shared_blks_hit)::bigint as blocks_hit,
    sum(shared_blks_read)::bigint as blocks_read,
    sum(sum(total_exec_time)) over () as all_ms
from pg_stat_statements
where dbid = (select oid from pg_database where datname = current_database())
group by queryid
