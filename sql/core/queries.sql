-- What the core itself says to PostgreSQL. A read is one implicit transaction (everything up to the sync), so
-- its settings end with it; a write begins and commits in words.

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
