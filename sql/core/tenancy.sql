-- Whether the schema itself keeps clinics apart, asked of the catalogue: no list of tables to be kept. The core's
-- own schema holds events and queues of all clinics, and is kept by rights and tests of its own.

-- name: tenancy_violations()
-- Every rule of tenancy that a table, key, view, function or role breaks.
-- returns: many
with owned as (
    select pg_class.oid, pg_class.relname as name, pg_class.relkind as kind, pg_class.relrowsecurity as enabled,
        pg_class.relforcerowsecurity as forced, pg_attribute.attnum as clinic, pg_attribute.attnotnull as required
    from pg_class
    inner join pg_attribute on pg_class.oid = pg_attribute.attrelid and pg_attribute.attname = 'clinic_id'
    where
        pg_class.relnamespace = 'public'::regnamespace
        and pg_class.relkind in ('r', 'p') and not pg_attribute.attisdropped
        -- A partition that the application cannot name is reached through its parent's policies only.
        and not (pg_class.relispartition and not has_table_privilege('cito_app', pg_class.oid, 'select'))
)

select name, 'clinic_id may be null' as broken, 'make it not null' as remedy from owned where not required
union all
select name, 'row-level security is not forced', 'enable and force row level security'
from owned where not (enabled and forced)
union all
select name, 'no policy compares clinic_id with the transaction''s clinic for all commands',
    'create policy ... using (clinic_id = nullif(current_setting(''cito.clinic_id'', true), '''')::uuid)'
from owned where not exists (
    select from pg_policy
    where
        polrelid = owned.oid and polpermissive and polcmd = '*'
        and pg_get_expr(polqual, polrelid) like '%clinic_id = %cito.clinic_id%'
        and coalesce(pg_get_expr(polwithcheck, polrelid), '%cito.clinic_id%') like '%cito.clinic_id%'
)
union all
select name, 'a second permissive policy opens it: ' || polname, 'policies add up; make it restrictive'
from owned
inner join pg_policy on owned.oid = polrelid
where
    polpermissive
    and (polroles = '{0}' or 'cito_app'::regrole::oid = any(polroles))
    and coalesce(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) not like '%cito.clinic_id%'
union all
select name, 'a unique key without clinic_id reveals other clinics'' rows: ' || indexrelid::regclass::text,
    'begin it with clinic_id'
from owned
inner join pg_index on owned.oid = indrelid
where indisunique and not clinic = any(indkey::smallint[])
union all
select conrelid::regclass::text, 'a foreign key reaches into other clinics: ' || conname,
    'refer to (clinic_id, ...) by (clinic_id, ...)'
from pg_constraint
inner join owned as target on confrelid = target.oid
left join owned as source on conrelid = source.oid
where
    contype = 'f'
    and not coalesce(
        array_position(conkey, source.clinic) = array_position(confkey, target.clinic), false
    )
union all
select distinct view.relname, 'a view reads clinic rows with its owner''s eyes',
    case view.relkind when 'v' then 'create it with (security_invoker = true)'
        else 'a materialized view cannot have a policy; keep a table up by triggers' end
from owned
inner join pg_depend on owned.oid = refobjid and refclassid = 'pg_class'::regclass
inner join pg_rewrite on objid = pg_rewrite.oid and classid = 'pg_rewrite'::regclass
inner join pg_class as view on ev_class = view.oid
where
    has_table_privilege('cito_app', view.oid, 'select')
    and (view.relkind = 'm' or (view.relkind = 'v' and not coalesce('security_invoker=true' = any(view.reloptions), false)))
union all
select proname::text, 'a SECURITY DEFINER function without a pinned search path', 'set search_path in its definition'
from pg_proc
where
    pronamespace in (select oid from pg_namespace where nspname in ('public', 'cito')) and prosecdef
    and not exists (select from unnest(proconfig) as setting where setting like 'search_path=%')
union all
select relname, 'the application role owns it', 'let cito_owner own it'
from pg_class where relowner = 'cito_app'::regrole
union all
select rolname, 'the application role may bypass policies', 'alter role cito_app nosuperuser nobypassrls'
from pg_roles where rolname = 'cito_app' and (rolsuper or rolbypassrls)
union all
select rolname, 'the application role may become it', 'revoke the membership'
from pg_roles
where rolname in ('cito_owner', 'cito_search') and pg_has_role('cito_app', oid, 'member')
order by 1, 2
