"""The watch of one process: folds records at once, and every half second publishes, measures and judges."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from cito.core import telemetry
from cito.core.assembly import resolved
from cito.core.context import Context
from cito.core.declarations import RULES_KEY
from cito.core.logs import change_level
from cito.core.refusals import route_operations
from cito.observability import catalog as c
from cito.observability.exporters import build
from cito.observability.histogram import bounds_with
from cito.observability.leader import Leader, targets_of_queries
from cito.observability.metrics import Metrics, Slice
from cito.observability.node import Node
from cito.observability.performance import DEFAULT_SLOW_MS, Report
from cito.observability.process import cpu_seconds, resident_bytes
from cito.observability.recorder import Recorder

TICK_SECONDS = 0.5
_PATIENCE = 4  # ticks between two tries to lead
_MS = 1_000_000
log = logging.getLogger(__name__)


class Watch:
    """Everything that observes one process.

    Args:
        context: of the process.
        wall: seconds since the epoch; a test gives its own.
    """

    def __init__(self, context: Context, wall: Callable[[], float] = time.time) -> None:
        self.context = context
        self.wall = wall
        registry, settings = context.registry, context.settings
        declared = {owned.value.operation: owned.value for owned in registry.targets}
        slow_query_ms = settings.database.slow_query_ms
        telemetry.slow_query_ns = int(slow_query_ms * _MS)
        targets_ms = targets_of_queries(context) | {name: target.p95_ms for name, target in declared.items()}
        self.targets_ms = frozenset((DEFAULT_SLOW_MS, slow_query_ms, *targets_ms.values()))
        self.bounds = bounds_with(self.targets_ms)
        self.metrics = Metrics(self.bounds)
        self.recorder = Recorder(
            self.metrics,
            {name: int(target.p95_ms * _MS) for name, target in declared.items()},
            int(DEFAULT_SLOW_MS * _MS),
            int(slow_query_ms * _MS),
            {h.operation_id: h.opt[RULES_KEY].queries for _, _, _, h in route_operations(registry)},
        )
        self.node = Node(settings.home / "run" / "telemetry", self.bounds)
        self.report = Report(self.bounds, targets_ms, [owned.value for owned in registry.jobs])
        self.exporters = build(settings.observability, self.bounds, self.node.number, wall)
        self.recorder.spans = self.exporters.spans
        cache_url = resolved(settings).cache if settings.cache.enabled else None
        self.leader = Leader(context, self.metrics, self.node, wall, cache_url)
        self._leads = False
        self._ticks = 0
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}  # metric, labels -> last total
        self._level: str = settings.observability.log_level

    def tick(self) -> None:
        """State gauges, end the slice and publish it; the leading process judges too."""
        self._state()
        done = self.metrics.cut(self.wall())
        self.node.publish(done)
        self._export(done)
        self._follow_level()
        self._ticks += 1
        # Judging costs a few ms a second: rather a worker than a process that answers requests.
        waits = _PATIENCE if self.metrics.total.labelled(c.REQUESTS) else 1
        if not self._leads and self._ticks % waits == 0 and self.node.leads():
            self._leads = True
            self.leader.start()
        if self._leads:
            self.node.collect()
            self.leader.tick()

    def set_level(self, level: str) -> None:
        """Change the log level of every process of the node; they follow within a tick.

        Raises:
            ValueError: no such level.
        """
        change_level(level)
        (self.node.folder / "level").write_text(level)

    async def run(self) -> None:
        """Tick until cancelled; what goes wrong here is logged and never reaches a request."""
        due = time.monotonic()
        failing = False
        while True:
            due += TICK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            late = time.monotonic() - due
            if late > TICK_SECONDS:
                due = time.monotonic()
            self.metrics.time(c.LOOP_DELAY, (), max(0, int(late * 1e9)))
            try:
                self.tick()
                failing = False
            except Exception:  # a full disk, say; the next tick may do better, requests know nothing of it
                if not failing:
                    log.exception("telemetry could not be published; trying again twice a second")
                failing = True

    async def __aenter__(self) -> Self:
        """Start ticking and exporting."""
        self.metrics.current.start = self.wall()
        change_level(self._level)
        self.exporters.start()
        self._task = asyncio.create_task(self.run(), name="cito-observability")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, publish and deliver the rest."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(OSError):
            self.tick()
        if self._leads:
            await self.leader.stop()
        await asyncio.to_thread(self.exporters.stop)
        self.node.close()

    def _state(self) -> None:
        self.metrics.set(c.MEMORY, (), resident_bytes())
        user, system = cpu_seconds()
        self._count_up(c.CPU, ("user",), user)
        self._count_up(c.CPU, ("system",), system)
        pool = self.context.database.pool.figures()
        for state, count in (("idle", pool.idle), ("active", pool.active), ("waiting", pool.waiting)):
            self.metrics.set(c.POOL_COUNT, (state,), count)
        self._count_up(c.POOL_REFUSALS, ("shed",), pool.shed)
        self._count_up(c.POOL_REFUSALS, ("timed_out",), pool.timed_out)
        self._state_cache()
        spans = self.exporters.spans
        if spans is not None:
            for outcome in ("emitted", "exported", "dropped"):
                self._count_up(c.TELEMETRY, ("otlp_traces", outcome), getattr(spans.counts, outcome))
        for periodic in self.exporters.metrics:
            name = periodic.destination.name
            self._count_up(c.TELEMETRY, (name, "exported"), periodic.exported)
            self._count_up(c.TELEMETRY, (name, "dropped"), periodic.lost)

    def _state_cache(self) -> None:
        cache = self.context.cache
        for family, plan in cache.plans.items():
            for event in (
                "loads",
                "joined",
                "load_errors",
                "refreshed",
                "invalidated",
                "oversized",
                "unreadable",
            ):
                self._count_up(c.CACHE_EVENTS, (family, event), getattr(plan.counts, event))
        shared = cache.shared_counts
        if shared is not None:
            for event in ("failures", "opened", "refused"):
                self._count_up(c.CACHE_EVENTS, ("(shared tier)", event), getattr(shared, event))
        if math.isfinite(cache.as_of):
            lag = self.context.clock.monotonic() - cache.as_of
            self.metrics.time(c.INVALIDATION_LAG, (), max(0, int(lag * 1e9)))
        self.metrics.set(c.FIGURES, ("local_cache", "used_bytes"), cache.local.bytes)
        self.metrics.set(c.FIGURES, ("local_cache", "entries"), len(cache.local))

    def _count_up(self, metric: str, labels: tuple[str, ...], total: float) -> None:
        """Count what a running total has grown by."""
        grown = total - self._before.get((metric, labels), 0.0)
        if grown > 0:
            self._before[metric, labels] = total
            self.metrics.count(metric, labels, grown)

    def _export(self, done: Slice) -> None:
        for periodic in self.exporters.metrics:
            periodic.add(done)

    def _follow_level(self) -> None:
        try:
            level = (self.node.folder / "level").read_text()
        except FileNotFoundError:
            return
        if level != self._level:
            self._level = level
            with suppress(ValueError):
                change_level(level)
