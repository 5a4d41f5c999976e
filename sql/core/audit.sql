-- What ships, verifies and retires audit events. The application's search of them is in queries.sql.

-- name: audit_ensure_month(moment)
-- Makes the partition of a month where it is missing.
-- returns: one
select cito.audit_ensure_month(:moment)

-- name: audit_insert(rows)
-- Adds sealed rows, given as one JSON array; those that are there already stay as they are.
-- returns: rows
insert into cito.audit_event
select * from json_populate_recordset(null::cito.audit_event, :rows::json)
on conflict do nothing

-- name: audit_chain_end(chain)
-- The last row of a chain that has arrived.
-- returns: one
select sequence, seal
from cito.audit_event
where chain = :chain
order by sequence desc, ordinal desc
limit 1

-- name: audit_chains(first, last)
-- The chains that have rows between two moments.
-- returns: many
select distinct chain
from cito.audit_event
where occurred_at >= :first and occurred_at < :last
order by chain

-- name: audit_chain_rows(chain)
-- A chain's rows in the order in which they were sealed.
-- returns: many
select
    chain, sequence, ordinal, (extract(epoch from occurred_at) * 1000000)::bigint as occurred_us,
    actor, role, clinic_id, action, outcome, resource, resource_id, patient_id, request_id, trace_id, purpose,
    seal, id
from cito.audit_event
where chain = :chain
order by sequence, ordinal

-- name: audit_removed_months()
-- The months that retention has removed.
-- returns: many
select month from cito.audit_retention

-- name: audit_months()
-- The partitions and about how many rows each holds.
-- returns: many
select
    child.relname::text as name,
    to_date(right(child.relname, 6), 'YYYYMM') as month,
    greatest(child.reltuples, 0)::bigint as rows
from pg_inherits
inner join pg_class as child on pg_inherits.inhrelid = child.oid
where pg_inherits.inhparent = 'cito.audit_event'::regclass
order by 2

-- name: audit_note_removed(month, removed)
-- Remembers that a month was removed, and how many rows it held.
-- returns: rows
insert into cito.audit_retention (month, rows)
values (:month::date, :removed::bigint)
on conflict do nothing
