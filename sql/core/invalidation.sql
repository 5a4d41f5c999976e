-- The builder of invalidation triggers: its questions. Run as the owner.

-- name: watched_tables(names)
-- Columns with their types, and the primary key, of the tables that rules watch.
-- returns: many
select
    c.relname::text,
    jsonb_object_agg(a.attname, case t.typtype when 'e' then 'enum' else t.typname end),
    (
        select array_agg(k.attname::text order by k.attnum)
        from pg_index i
        join pg_attribute k on k.attrelid = i.indrelid and k.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary
    )
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
    substr(p.proname, length('stale_') + 1)::text,
    p.prosrc,
    coalesce(array_agg(t.tgname::text || t.tgenabled::text) filter (where t.oid is not null), '{}')
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
left join pg_trigger t on t.tgfoid = p.oid
where n.nspname = 'cito' and p.proname like 'stale\_%' and p.prorettype = 'trigger'::regtype
group by p.oid, p.proname, p.prosrc

-- name: note_everything()
-- Everything cached is stale: the relay begins a new epoch.
-- returns: rows
insert into cito.outbox (tag) values ('*')

-- name: limit_lock_wait(milliseconds)
-- A change that cannot get its lock soon must not queue everybody else behind it.
-- returns: one
select set_config('lock_timeout', :milliseconds, false)
