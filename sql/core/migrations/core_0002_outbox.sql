-- What became stale: written by triggers in the writer's own transaction, drained by the relay. The key begins
-- with the transaction's number, by which a writer reads its own tags before it commits.
create table cito.outbox (
    id bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    tag text not null check (length(tag) <= 500),
    created_at timestamptz not null default clock_timestamp(),
    primary key (xid, id)
);

-- Nobody but trigger functions of the owner writes here.
revoke all on cito.outbox from cito_app;
grant select, delete on cito.outbox to cito_app;
