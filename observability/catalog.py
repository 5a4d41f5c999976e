"""Every metric: its name, unit and attributes, in one table; `docs/observability.md` is checked against it.

Names follow OpenTelemetry's semantic conventions where these have one; ours begin with `cito.`. Attribute
values come from declarations, numbers and codes: the number of series does not grow with data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["histogram", "counter", "gauge"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. Histograms are kept in ns and exported in seconds.

    Attributes:
        name: dotted, as in the semantic conventions.
        kind: histogram of durations, counter or gauge.
        unit: UCUM: `s`, `By`, `1` (a ratio) or `{thing}`.
        labels: attribute names, in the order in which series keys hold their values.
        help: one sentence.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str

    @property
    def prometheus(self) -> str:
        """The name as Prometheus has it, without the `_total` of counters."""
        base = self.name.replace(".", "_")
        suffix = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}.get(self.unit, "")
        return base if base.endswith(suffix) else base + suffix


REQUESTS = "http.server.request.duration"
QUERIES = "db.client.operation.duration"
POOL_WAIT = "db.client.connection.wait_time"
POOL_COUNT = "db.client.connection.count"
POOL_MOST = "db.client.connection.max"
REPLICA_READS = "cito.db.replica.reads"
CACHE = "cito.cache.operation.duration"
CACHE_LOAD = "cito.cache.load.duration"
SHARED_CACHE = "cito.cache.shared.duration"
SHARED_COMMANDS = "cito.cache.shared.commands"
INVALIDATION_LAG = "cito.cache.invalidation.lag"
CACHE_SAMPLES = "cito.cache.samples"
CACHE_EVENTS = "cito.cache.events"
TRACKED = "cito.operation.duration"
COMMIT = "cito.db.commit.duration"
LOCK = "cito.lock.wait_time"
JOBS = "cito.job.duration"
RELAY = "cito.relay.step.duration"
REPEATS = "cito.db.repeated_queries"
OVER_BUDGET = "cito.db.over_budget"
SLOW_QUERIES = "cito.db.slow_queries"
EVICTIONS = "cito.cache.evictions"
POOL_REFUSALS = "cito.db.pool_refusals"
FIGURES = "cito.part.figure"
MEMORY = "process.memory.usage"
CPU = "process.cpu.time"
LOOP_DELAY = "cito.event_loop.delay"
TELEMETRY = "cito.telemetry.items"
ALERTS = "cito.alerts.firing"

CATALOG: dict[str, Instrument] = {
    one.name: one
    for one in (
        Instrument(
            REQUESTS,
            "histogram",
            "s",
            (
                "cito.operation",
                "http.route",
                "http.request.method",
                "http.response.status_code",
                "cito.cache.outcome",
            ),
            "From the first byte of a request to the last byte of its answer.",
        ),
        Instrument(
            QUERIES,
            "histogram",
            "s",
            ("db.operation.name", "error.type"),
            "A named query in PostgreSQL, without the wait for a connection.",
        ),
        Instrument(POOL_WAIT, "histogram", "s", (), "Wait for a connection of the pool."),
        Instrument(
            POOL_COUNT,
            "gauge",
            "{connection}",
            ("db.client.connection.state",),
            "Connections of the pool by state.",
        ),
        Instrument(POOL_MOST, "gauge", "{connection}", (), "Connections that the pool may open."),
        Instrument(
            REPLICA_READS,
            "counter",
            "{read}",
            ("cito.replica", "cito.outcome"),
            "Reads offered to a replica: answered, or left to the primary because it was behind or failed.",
        ),
        Instrument(
            CACHE,
            "histogram",
            "s",
            ("cito.cache.family", "cito.cache.tier", "cito.cache.outcome"),
            "A read through the cache by family, tier (local, shared, none) and outcome.",
        ),
        Instrument(
            CACHE_LOAD, "histogram", "s", ("cito.cache.family", "error.type"), "A loader ran for a family."
        ),
        Instrument(SHARED_CACHE, "histogram", "s", ("error.type",), "A round trip to the shared tier."),
        Instrument(SHARED_COMMANDS, "counter", "{command}", (), "Commands sent to the shared tier."),
        Instrument(
            INVALIDATION_LAG,
            "histogram",
            "s",
            ("cito.stage",),
            "How far news of writes is behind: own_bump (a commit until its own process has told all others),"
            " own_bump_unconfirmed and own_bump_failed (it gave up telling another node, or the shared tier),"
            " commit_to_bump (the relay), bump_to_process (at most), vouched (age of the latest commit of anyone's"
            " that this process is known to have been told).",
        ),
        Instrument(
            CACHE_SAMPLES,
            "counter",
            "{hit}",
            ("cito.cache.family", "cito.outcome"),
            "Hits read again from the database: read_again, differed, and still differed after 1, 10, 60 s.",
        ),
        Instrument(
            CACHE_EVENTS,
            "counter",
            "{event}",
            ("cito.cache.family", "cito.event"),
            "What the cache did: loads, joined (readers who shared a load), refreshed, invalidated, refused.",
        ),
        Instrument(
            TRACKED,
            "histogram",
            "s",
            ("cito.tracked", "error.type"),
            "An operation that a plugin times itself.",
        ),
        Instrument(COMMIT, "histogram", "s", (), "The commit of a transaction."),
        Instrument(LOCK, "histogram", "s", ("cito.lock",), "Wait for a lock."),
        Instrument(JOBS, "histogram", "s", ("cito.job", "cito.outcome"), "A run of a background job."),
        Instrument(
            RELAY, "histogram", "s", ("cito.relay.step", "cito.outcome"), "A step of the invalidation relay."
        ),
        Instrument(
            SLOW_QUERIES, "counter", "{query}", ("db.operation.name",), "Queries slower than their limit."
        ),
        Instrument(
            REPEATS,
            "counter",
            "{request}",
            ("cito.operation", "db.operation.name"),
            "Requests that ran one query many times (N+1).",
        ),
        Instrument(
            OVER_BUDGET,
            "counter",
            "{request}",
            ("cito.operation",),
            "Requests that ran more queries than their route declares.",
        ),
        Instrument(
            EVICTIONS, "counter", "{key}", (), "Keys that the cache server evicted for lack of memory."
        ),
        Instrument(
            POOL_REFUSALS,
            "counter",
            "{request}",
            ("error.type",),
            "Callers refused by the pool (shed at once, timed_out), and connections lost.",
        ),
        Instrument(
            FIGURES, "gauge", "", ("cito.part", "cito.figure"), "A figure that a part of core states."
        ),
        Instrument(MEMORY, "gauge", "By", (), "Resident memory of the process."),
        Instrument(CPU, "counter", "s", ("cpu.mode",), "CPU time of the process."),
        Instrument(LOOP_DELAY, "histogram", "s", (), "How late the event loop woke a sleeper."),
        Instrument(
            TELEMETRY,
            "counter",
            "{item}",
            ("cito.exporter", "cito.outcome"),
            "Spans, metric points, alerts (webhook) and minutes (history): emitted, exported, dropped.",
        ),
        Instrument(ALERTS, "gauge", "{alert}", ("cito.alert",), "Alerts that are firing."),
    )
}
