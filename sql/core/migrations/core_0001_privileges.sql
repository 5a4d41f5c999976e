-- Who may what, for all that the owner creates from here on. Policies narrow it further, row by row.
grant usage on schema public, cito to cito_app;

-- cito_search must be able to own functions here; nobody can log in as it.
grant usage, create on schema public, cito to cito_search;

alter default privileges grant select, insert, update, delete on tables to cito_app;
alter default privileges grant select on tables to cito_search;
alter default privileges grant usage on sequences to cito_app;

-- A function is callable by everybody unless that is taken away, SECURITY DEFINER or not.
alter default privileges revoke execute on functions from public;
alter default privileges grant execute on functions to cito_app, cito_search;

-- Whether everything was applied is a question of readiness, and no secret.
grant select on cito.migrations to cito_app;
