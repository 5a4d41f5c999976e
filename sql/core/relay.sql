-- The relay's side of the database: what is stale, who leads, and how far the heartbeat was. Run as cito_app.

-- name: try_lead()
-- One relay at a time in the whole database; the lock goes with the session.
-- returns: one
select pg_try_advisory_lock(7240572)

-- name: relay_deployment()
-- The same as the application's `deployment`.
-- returns: one
select current_database() || ':' || system_identifier from pg_control_system()

-- name: anything_stale()
-- Whether there is a note; asked before each step, and most steps end there.
-- returns: one
select exists(select from cito.outbox)

-- name: take_stale(most)
-- What became stale, taken out of the outbox; it is back if this transaction fails. Only what is committed is seen,
-- and nothing is skipped: a row that somebody else holds is waited for, and the heartbeat waits with it. With each
-- its age in seconds: since it was written, so a little longer than since its commit.
-- returns: many
delete from cito.outbox
where (xid, id) in (select o.xid, o.id from cito.outbox as o limit :most)
returning tag, extract(epoch from clock_timestamp() - created_at)::float8

-- name: read_mark()
-- The heartbeat with which stamps were last set, the server's timeline then, and its timeline now.
-- returns: one
select m.epoch, m.counter, m.timeline, (select timeline_id from pg_control_checkpoint()) from cito.relay as m

-- name: write_mark(epoch, counter)
-- Notes the heartbeat with which stamps were set, together with the rows that asked for it.
-- returns: rows
update cito.relay
set epoch = :epoch, counter = :counter, timeline = (select timeline_id from pg_control_checkpoint())

-- name: outbox_backlog()
-- How many notes wait, and for how many seconds the oldest of them.
-- returns: one
select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 from cito.outbox
