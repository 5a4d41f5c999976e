-- What observability asks, and where it keeps its history.

-- name: relay_backlog()
-- How many invalidations wait for the relay, and for how long the oldest does.
-- target: 5 ms
-- returns: one
select
    count(*)::int,
    coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8
from cito.outbox

-- name: blocked_statements()
-- Statements of this role that wait for a lock now, and for how long, in ms.
-- target: 20 ms
-- returns: many
select
    a.query,
    (extract(epoch from clock_timestamp() - l.waitstart) * 1000)::float8
from pg_locks as l
inner join pg_stat_activity as a on l.pid = a.pid
where not l.granted and l.waitstart is not null

-- name: add_performance_metrics(node, ats, seconds, metrics, labels, counts, totals, leasts, mosts, buckets)
-- Writes minutes of a node, all series in one statement; a minute written twice counts once.
-- example: select 'a node' as node, array[now()] as ats, array[60] as seconds, array['an example'] as metrics, array['{}'] as labels, array[1] as counts, array[1] as totals, array[1] as leasts, array[1] as mosts, array['{}'] as buckets
-- target: 50 ms
-- returns: rows
insert into performance_metrics (
    node, at, seconds, metric, labels, count, total_ns, least_ns, most_ns, buckets
)
select
    :node,
    minute.at,
    minute.seconds,
    minute.metric,
    minute.labels,
    minute.count,
    minute.total_ns,
    minute.least_ns,
    minute.most_ns,
    minute.buckets
from unnest(
    :ats::timestamptz [],
    :seconds::int [],
    :metrics::text [],
    :labels::text []::jsonb [],
    :counts::bigint [],
    :totals::bigint [],
    :leasts::bigint [],
    :mosts::bigint [],
    :buckets::text []::jsonb []
) as minute (at, seconds, metric, labels, count, total_ns, least_ns, most_ns, buckets)
on conflict do nothing

-- name: performance_history(since, until)
-- The series of a span of time, all nodes together.
-- example: select max(at) - interval '1 hour' as since, max(at) as until from performance_metrics
-- target: 500 ms
-- returns: many
with span as (
    select *
    from performance_metrics
    where at >= :since and at < :until
),

bucket as (
    select
        span.metric,
        span.labels,
        one.key,
        sum(one.value::bigint) as count
    from span
    cross join lateral jsonb_each_text(span.buckets) as one
    group by span.metric, span.labels, one.key
),

buckets as (
    select
        metric,
        labels,
        jsonb_object_agg(key, count) as counts
    from bucket
    group by metric, labels
)

select
    span.metric,
    span.labels::text as labels,
    sum(span.count)::bigint as count,
    sum(span.total_ns)::bigint as total_ns,
    min(span.least_ns) as least_ns,
    max(span.most_ns) as most_ns,
    buckets.counts::text as buckets
from span
inner join buckets on span.metric = buckets.metric and span.labels = buckets.labels
group by span.metric, span.labels, buckets.counts

-- name: purge_performance_metrics(before)
-- Forgets what is older.
-- example: select min(at) + interval '1 hour' as before from performance_metrics
-- target: 5000 ms
-- returns: rows
delete from performance_metrics
where at < :before
