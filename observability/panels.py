"""The dashboard's panels that belong to no domain; plugins add theirs by `register_panels`."""

from __future__ import annotations

from cito.core.declarations import Panel
from cito.observability import catalog as c

_OPERATION = ("cito.operation",)
PANELS = (
    Panel(
        title="Requests a second",
        metric=c.REQUESTS,
        unit="1/s",
        statistic="rate",
        by=_OPERATION,
        row="Requests",
    ),
    Panel(
        title="Response time, p95",
        metric=c.REQUESTS,
        unit="s",
        statistic="p95",
        by=_OPERATION,
        row="Requests",
    ),
    Panel(
        title="Answers by status",
        metric=c.REQUESTS,
        unit="1/s",
        statistic="rate",
        by=("http.response.status_code",),
        row="Requests",
    ),
    Panel(
        title="Cached reads by outcome",
        metric=c.CACHE,
        unit="1/s",
        statistic="rate",
        by=("cito.cache.family", "cito.cache.outcome"),
        row="Cache",
    ),
    Panel(
        title="Loads, p95",
        metric=c.CACHE_LOAD,
        unit="s",
        statistic="p95",
        by=("cito.cache.family",),
        row="Cache",
    ),
    Panel(
        title="Invalidation lag, p99",
        metric=c.INVALIDATION_LAG,
        unit="s",
        statistic="p99",
        by=("cito.stage",),
        row="Cache",
    ),
    Panel(title="Shared tier, p99", metric=c.SHARED_CACHE, unit="s", statistic="p99", row="Cache"),
    Panel(
        title="Queries, p95",
        metric=c.QUERIES,
        unit="s",
        statistic="p95",
        by=("db.operation.name",),
        row="Database",
    ),
    Panel(
        title="Connections",
        metric=c.POOL_COUNT,
        unit="{connection}",
        statistic="last",
        by=("db.client.connection.state",),
        row="Database",
    ),
    Panel(title="Wait for a connection, p99", metric=c.POOL_WAIT, unit="s", statistic="p99", row="Database"),
    Panel(title="Jobs, p95", metric=c.JOBS, unit="s", statistic="p95", by=("cito.job",), row="Processes"),
    Panel(title="Memory", metric=c.MEMORY, unit="By", statistic="last", row="Processes"),
    Panel(title="Event loop delay, p99", metric=c.LOOP_DELAY, unit="s", statistic="p99", row="Processes"),
    Panel(
        title="Telemetry by fate",
        metric=c.TELEMETRY,
        unit="1/s",
        statistic="rate",
        by=("cito.exporter", "cito.outcome"),
        row="Processes",
    ),
)
