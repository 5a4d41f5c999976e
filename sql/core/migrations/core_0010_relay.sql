-- How far the relay's heartbeat was when it last set stamps. A shared cache that comes back with less has lost
-- some of them, and a database that comes back on another timeline may have lost commits: then a new epoch begins.
create table cito.relay (
    only_row boolean primary key default true check (only_row),
    epoch bytea not null,
    counter bigint not null,
    timeline integer not null
);

insert into cito.relay (epoch, counter, timeline) values ('\x', 0, 0);

revoke all on cito.relay from cito_app;
grant select, update on cito.relay to cito_app;
