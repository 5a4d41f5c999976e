-- What `cito doctor` asks PostgreSQL.

-- name: server_version()
-- The server's version as a number: 180006 is 18.6.
-- returns: one
select current_setting('server_version_num')::int

-- name: ground_settings()
-- What the schema and its functions count on: the encoding, and whether statements are compiled.
-- returns: one
select current_setting('server_encoding'), current_setting('jit')

-- name: role_powers(role)
-- What a role may that the application must not.
-- returns: one
select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb
from pg_roles
where rolname = :role

-- name: owned_by(role)
-- Tables that a role owns.
-- returns: many
select c.oid::regclass::text
from pg_class as c
where c.relkind in ('r', 'p') and pg_get_userbyid(c.relowner) = :role

-- name: extensions_missing(names)
-- Extensions that are not there.
-- returns: many
select wanted.name
from unnest(:names::text[]) as wanted (name)
where not exists (select from pg_extension where extname = wanted.name)

-- name: indexes_invalid()
-- Indexes that a failed build left behind.
-- returns: many
select i.indexrelid::regclass::text
from pg_index as i
where not i.indisvalid

-- name: indexes_there()
-- All indexes of our schemas.
-- returns: many
select indexname::text
from pg_indexes
where schemaname in ('public', 'cito')
