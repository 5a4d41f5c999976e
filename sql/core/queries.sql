-- The core's own named queries: migrations, jobs, the audit, revoked tokens.

-- name: applied_migration_ids()
-- What was applied, for readiness.
-- returns: many
select id from cito.migrations

-- name: watched_tables(names)
-- Columns with their types, and the primary key, of the tables that rules watch.
-- returns: many
-- example: select array['a_table'] as names
select
    c.relname::text as name,
    jsonb_object_agg(a.attname, case t.typtype when 'e' then 'enum' else t.typname end) as types,
    (
        select array_agg(k.attname::text order by k.attnum)
        from pg_index i
        join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary
    ) as key
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname = any(:names::text[])
group by c.oid, c.relname

-- name: installed_triggers()
-- The function of each watched table and the names of its triggers, each with its state (A: always).
-- returns: many
select
    substr(p.proname, length('stale_') + 1)::text as name,
    p.prosrc as body,
    coalesce(array_agg(t.tgname::text || t.tgenabled::text) filter (where t.oid is not null), '{}') as triggers
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
left join pg_trigger t on t.tgfoid = p.oid
where n.nspname = 'cito' and p.proname like 'stale\_%' and p.prorettype = 'trigger'::regtype
group by p.oid, p.proname, p.prosrc

-- name: claim_job(name, every_seconds, deadline_seconds)
-- Takes a job that is due and that nobody runs; a claim ends by itself after the deadline.
-- example: select 'a job' as name, 60.0 as every_seconds, 30.0 as deadline_seconds
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
-- example: select 'a job' as name, 5.0 as duration_ms, '' as error
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
-- example: select 0 as "offset", 20 as "limit"
-- example: select '01900000-0000-7000-8000-00000000000a' as patient_id, 0 as "offset", 20 as "limit"
-- example: select 'someone' as actor, 0 as "offset", 20 as "limit"
-- example: select 'a request' as request_id, 0 as "offset", 20 as "limit"
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
-- example: select '01900000-0000-7000-8000-00000000000a' as patient_id, 1001 as cap
-- example: select 'someone' as actor, 1001 as cap
-- example: select 'a request' as request_id, 1001 as cap
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
-- example: select 'a token' as token_id, 1 as days
-- target: 5 ms
-- returns: rows
insert into cito.revoked_token as already (token_id, forget_at)
values (:token_id, clock_timestamp() + make_interval(days => :days::int))
on conflict (token_id) do update
set forget_at = greatest(already.forget_at, excluded.forget_at)
