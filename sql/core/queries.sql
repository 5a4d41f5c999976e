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

-- name: deployment()
-- Which database of which server this is: a copy or a restored backup shares no cache with the original.
-- returns: one
select current_database() || ':' || system_identifier as id from pg_control_system()

-- name: applied_migration_ids()
-- What was applied, for readiness.
-- returns: many
select id from cito.migrations

-- name: claim_job(name, every_seconds, deadline_seconds)
-- Takes a job that is due and that nobody runs; a claim ends by itself after the deadline.
-- returns: one
insert into cito.jobs as j (name, last_run, next_run, claimed_until)
values (
    :name,
    clock_timestamp(),
    clock_timestamp() + make_interval(secs => :every_seconds),
    clock_timestamp() + make_interval(secs => :deadline_seconds)
)
on conflict (name) do update
set
    last_run = excluded.last_run,
    next_run = excluded.next_run,
    claimed_until = excluded.claimed_until
where
    j.next_run <= clock_timestamp()
    and (j.claimed_until is null or j.claimed_until <= clock_timestamp())
returning j.name

-- name: finish_job(name, duration_ms, error)
-- Notes how a run ended and lets go of the claim.
-- returns: rows
update cito.jobs
set
    claimed_until = null,
    duration_ms = :duration_ms,
    failures = failures + (:error::text <> '')::int,
    last_error = :error
where name = :name

-- name: job_states()
-- All jobs that have run, for the performance page.
-- returns: many
select name, last_run, duration_ms, next_run, failures, last_error
from cito.jobs
order by name

-- name: search_audit(patient_id, actor, action, outcome, resource, request_id, since, until, offset, limit)
-- Audit events, newest first; each filter that is null is none. PostgreSQL plans it anew for each set of filters.
-- target: 100 ms
-- returns: many
select
    id, occurred_at, actor, role, clinic_id, action, outcome, resource, resource_id, patient_id, request_id, trace_id,
    purpose
from cito.audit_event
where
    action not in ('chain.opened', 'chain.closed')
    and (:patient_id::uuid is null or patient_id = :patient_id::uuid)
    and (:actor::text is null or actor = :actor::text)
    and (:action::text is null or action = :action::text)
    and (:outcome::text is null or outcome = :outcome::text)
    and (:resource::text is null or resource = :resource::text)
    and (:request_id::text is null or request_id = :request_id::text)
    and (:since::timestamptz is null or occurred_at >= :since::timestamptz)
    and (:until::timestamptz is null or occurred_at < :until::timestamptz)
order by occurred_at desc, chain, sequence desc, ordinal
limit :limit::int
offset :offset::int

-- name: count_audit(patient_id, actor, action, outcome, resource, request_id, since, until, cap)
-- How many events a search finds, counted up to a cap.
-- target: 100 ms
-- returns: one
select count(*) as total
from (
    select
    from cito.audit_event
    where
        action not in ('chain.opened', 'chain.closed')
        and (:patient_id::uuid is null or patient_id = :patient_id::uuid)
        and (:actor::text is null or actor = :actor::text)
        and (:action::text is null or action = :action::text)
        and (:outcome::text is null or outcome = :outcome::text)
        and (:resource::text is null or resource = :resource::text)
        and (:request_id::text is null or request_id = :request_id::text)
        and (:since::timestamptz is null or occurred_at >= :since::timestamptz)
        and (:until::timestamptz is null or occurred_at < :until::timestamptz)
    limit :cap::int
) as found

-- name: revoked_tokens()
-- The tokens that no longer hold although they have not expired.
-- target: 5 ms
-- returns: many
select token_id
from cito.revoked_token
where forget_at > clock_timestamp()

-- name: revoke_token(token_id, days)
-- Makes a token useless; remembered for longer than any token lives.
-- target: 5 ms
-- returns: rows
insert into cito.revoked_token as already (token_id, forget_at)
values (:token_id, clock_timestamp() + make_interval(days => :days::int))
on conflict (token_id) do update
set forget_at = greatest(already.forget_at, excluded.forget_at)

-- name: own_backend()
-- The server process that answers; a pooler says another number when it connects.
-- returns: one
select pg_backend_pid()

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
