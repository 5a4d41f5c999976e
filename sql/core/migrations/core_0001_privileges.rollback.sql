alter default privileges revoke execute on functions from cito_app, cito_search;
alter default privileges grant execute on functions to public;
alter default privileges revoke usage on sequences from cito_app;
alter default privileges revoke select on tables from cito_search;
alter default privileges revoke select, insert, update, delete on tables from cito_app;
revoke usage, create on schema public, cito from cito_search;
revoke usage on schema public, cito from cito_app;
