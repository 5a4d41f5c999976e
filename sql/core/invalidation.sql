-- The builder of invalidation triggers: its own statements, run as the owner.

-- name: note_everything()
-- Everything cached is stale: the relay begins a new epoch.
-- returns: rows
insert into cito.outbox (tag) values ('*')

-- name: limit_lock_wait(milliseconds)
-- A change that cannot get its lock soon must not queue everybody else behind it.
-- returns: one
select set_config('lock_timeout', :milliseconds, false)
