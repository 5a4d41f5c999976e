-- What the core says to PostgreSQL around the queries of everybody: scopes, beginnings and ends, who and where the
-- server is. A read is one implicit transaction (everything up to the sync), so its settings end with it; a write
-- begins and commits in words.

-- name: scope_read(clinic_id, timeout_ms)
-- Binds a read to one clinic (empty: none), makes it read-only and limits its time.
-- returns: one
select
    set_config('cito.clinic_id', :clinic_id, true),
    set_config('transaction_read_only', 'on', true),
    set_config('statement_timeout', :timeout_ms, true)

-- name: begin_transaction()
-- Begins a write.
-- returns: rows
begin

-- name: scope_write(clinic_id, timeout_ms)
-- Binds a transaction to one clinic (empty: none) and limits the time of each of its statements.
-- returns: one
select
    set_config('cito.clinic_id', :clinic_id, true),
    set_config('statement_timeout', :timeout_ms, true)

-- name: written_tags()
-- What this transaction's own triggers noted as stale; a transaction that wrote nothing has no number.
-- returns: many
select distinct tag
from cito.outbox
where xid = pg_current_xact_id_if_assigned()

-- name: commit_transaction()
-- Commits a write.
-- returns: rows
commit

-- name: rollback_transaction()
-- Ends a write that failed.
-- returns: rows
rollback

-- name: deployment()
-- Which database of which server this is: a copy or a restored backup shares no cache with the original.
-- returns: one
select current_database() || ':' || system_identifier as id from pg_control_system()

-- name: own_backend()
-- The server process that answers (a pooler says another number when it connects), and whether it knows this
-- statement by the name that we gave it.
-- returns: one
select pg_backend_pid(), exists (select from pg_prepared_statements where name = 'own_backend')

-- name: wal_position()
-- How far the primary has written: whoever has replayed it has seen all that is committed now.
-- returns: one
select pg_current_wal_insert_lsn()::text as position

-- name: replayed(position)
-- Whether this replica has replayed that position; on a server that has become a primary: no.
-- returns: one
select coalesce(pg_last_wal_replay_lsn() >= :position::pg_lsn and pg_is_in_recovery(), false) as replayed

-- name: begin_snapshot()
-- Begins an export: all of it as of one moment.
-- returns: rows
begin isolation level repeatable read, read only

-- name: limit_idle(milliseconds)
-- An export whose reader has stalled gives its connection back.
-- returns: one
select set_config('idle_in_transaction_session_timeout', :milliseconds, true)

-- name: fetch_stream()
-- The next rows of an export.
-- returns: many
fetch forward 500 from cito_stream
