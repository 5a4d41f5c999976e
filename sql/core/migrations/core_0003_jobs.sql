-- The state of each declared job: when it ran, when it runs next, and who may not run it now.
create table cito.jobs (
    name text primary key,
    next_run timestamptz not null default clock_timestamp(),
    claimed_until timestamptz,
    last_run timestamptz,
    duration_ms double precision,
    failures bigint not null default 0,
    last_error text not null default ''
);
