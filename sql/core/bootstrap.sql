-- What a superuser prepares once on a server before Cito's own migrations may run: roles, database, extensions.
-- Roles: `cito_owner` owns the schema and migrates it; `cito_app` serves and owns nothing; `cito_search` owns the
-- functions that find ids under a clinic predicate of their own, and nobody can log in as it.

-- name: create_owner()
-- Runs migrations and builds indexes; never serves a request.
create role cito_owner login nosuperuser nocreatedb nocreaterole nobypassrls;

-- name: create_app()
-- Serves requests; owns nothing and never bypasses row-level security.
create role cito_app login nosuperuser nocreatedb nocreaterole nobypassrls;

-- name: create_search()
-- Owns SECURITY DEFINER search functions, whose operators would lose their indexes under a policy.
create role cito_search nologin nosuperuser nocreatedb nocreaterole bypassrls;

-- name: let_owner_give_to_search()
-- Migrations hand their search functions over to cito_search; that needs membership.
grant cito_search to cito_owner;

-- name: set_passwords(owner_password, app_password)
-- What the two roles that log in are known by.
alter role cito_owner password :owner_password;
alter role cito_app password :app_password;

-- name: spare_compiling()
-- Compiling a statement (jit) costs more than any of ours takes, and is done again for each call of a function.
alter role cito_owner set jit = off;
alter role cito_app set jit = off;

-- name: create_database(database)
-- The owner owns the database, and so may create schemas and trusted extensions in it.
create database :database owner cito_owner encoding 'UTF8' locale 'C.UTF-8' template template0;

-- name: create_extensions()
-- pg_stat_statements is the one that needs a superuser.
create extension if not exists pg_trgm;
create extension if not exists unaccent;
create extension if not exists fuzzystrmatch;
create extension if not exists btree_gin;
create extension if not exists btree_gist;
create extension if not exists pg_stat_statements;
grant pg_read_all_stats to cito_owner;
