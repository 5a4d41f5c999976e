-- The history behind `/api/admin/performance`: one row a minute and series, names and numbers only.
-- It belongs to no clinic, so it has no policy.
create table performance_metrics (
    node text not null,
    at timestamptz not null,
    seconds int not null check (seconds > 0),
    metric text not null,
    labels jsonb not null,
    count bigint not null,
    total_ns bigint not null,
    least_ns bigint not null,
    most_ns bigint not null,
    -- upper bound in ns -> count
    buckets jsonb not null,
    primary key (at, node, metric, labels)
);
