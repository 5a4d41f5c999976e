"""The shape of `GET /api/admin/performance`: fixed, typed, and what its OpenAPI page shows.

Times are ms, rates are shares from 0 to 1, sizes are bytes where the name does not say otherwise.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from cito.observability.alert import Alert


class Spread(msgspec.Struct):
    """How some durations are spread."""

    count: int
    p50: float
    p95: float
    max: float


class Operation(msgspec.Struct, rename="camel"):
    """One operation's or query's row; `target` is the declared p95, null where none is declared."""

    operation: str
    count: int
    avg: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float
    error_rate: float
    target: float | None
    verdict: Literal["met", "missed", "no target"]


class Agreement(msgspec.Struct, rename="camel"):
    """Hits that were read again from the database, and the share that was right, or put right, within so long."""

    samples: int
    within_1_second: float
    within_10_seconds: float
    within_60_seconds: float


class Family(msgspec.Struct, rename="camel"):
    """One cache family's row: reads by outcome, its hit rate, and how many readers one load served."""

    family: str
    reads: int
    outcomes: dict[str, int]
    hit_rate: float
    load_p95: float
    loads: int
    coalescing: float
    agreement: Agreement


class Cache(msgspec.Struct, rename="camel"):
    """The shared tier as it is, and all families; `invalidation_lag` by stage, as the metric of that name."""

    connected: bool
    db_size: int
    used_memory: str
    hit_rate: float
    families: list[Family]
    invalidation_lag: dict[str, Spread]


class PoolState(msgspec.Struct):
    """How many connections, or waiting callers, are in one state."""

    state: str
    count: int


class Database(msgspec.Struct, rename="camel"):
    """The pools of all processes together, waits for a connection, and each named query."""

    pool_stats: list[PoolState]
    pool_wait: Spread
    queries: list[Operation]


class Memory(msgspec.Struct):
    """Resident memory of all processes together."""

    rss: int


class BackgroundJob(msgspec.Struct, rename="camel"):
    """One job's row: its state in the database, and its runs within the window."""

    name: str
    every_seconds: float
    last_run: datetime | None
    next_run: datetime | None
    duration_ms: float | None
    failures: int
    last_error: str
    runs: int
    avg: float
    max: float


class Performance(msgspec.Struct, rename="camel"):
    """How all processes of a node have performed within a window; rows with the slowest first.

    Attributes:
        time_window: in words: `5 minutes`.
        slow_requests: above their operation's target.
        request_rate: per second.
        alerts: firing ones first, then those that ended lately.
        processes: slots of the processes that were counted.
    """

    time_window: str
    total_requests: int
    avg_response_time: float
    p50: float
    p95: float
    p99: float
    slow_requests: int
    error_rate: float
    request_rate: float
    cache: Cache
    database: Database
    memory: Memory
    background_jobs: list[BackgroundJob]
    operations: list[Operation]
    alerts: list[Alert]
    processes: list[int]
