"""The watch of one process that serves: what it counts, how its pool and cache are, and who judges for the node."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from cito.core.cache.sampler import HORIZONS_SECONDS
from cito.core.context import Context
from cito.core.declarations import RULES_KEY
from cito.core.refusals import route_operations
from cito.observability import catalog as c
from cito.observability.leader import Leader, targets_of_queries
from cito.observability.performance import DEFAULT_SLOW_MS, Report
from cito.observability.publisher import TICK_SECONDS, Publisher

__all__ = ["TICK_SECONDS", "Watch"]

_PATIENCE = 4  # ticks between two tries to lead
_FAMILY_EVENTS = ("loads", "joined", "load_errors", "refreshed", "invalidated", "oversized", "unreadable")
_SHARED_EVENTS = ("failures", "opened", "refused")


class Watch(Publisher):
    """Everything that observes one process.

    Args:
        context: of the process.
        wall: seconds since the epoch; a test gives its own.
    """

    def __init__(self, context: Context, wall: Callable[[], float] = time.time) -> None:
        registry, settings = context.registry, context.settings
        promised = {owned.value.operation: owned.value.p95_ms for owned in registry.targets}
        of_queries = targets_of_queries(context)
        targets_ms = of_queries | promised
        self.targets_ms = frozenset((DEFAULT_SLOW_MS, settings.database.slow_query_ms, *targets_ms.values()))
        super().__init__(
            settings,
            promised_ms=promised,
            query_targets_ms=of_queries,
            budgets={h.operation_id: h.opt[RULES_KEY].queries for _, _, _, h in route_operations(registry)},
            targets_ms=self.targets_ms,
            wall=wall,
        )
        self.context = context
        self.report = Report(self.bounds, targets_ms, [owned.value for owned in registry.jobs])
        self.leader = Leader(context, self.metrics, self.node, wall)
        self._leads = False
        self._ticks = 0

    def tick(self) -> None:
        """Publish, as every process does; the leading one judges too."""
        super().tick()
        self._ticks += 1
        # Judging costs a few ms a second: rather a worker than a process that answers requests.
        waits = _PATIENCE if self.metrics.total.labelled(c.REQUESTS) else 1
        if not self._leads and self._ticks % waits == 0 and self.node.leads():
            self._leads = True
            self.leader.start()
        if self._leads:
            self.node.collect()
            self.leader.tick()

    async def stopping(self) -> None:
        """Leave the judging to another process."""
        if self._leads:
            await self.leader.stop()

    def state(self) -> None:
        """State how pool, replicas and cache are, beside the figures of every process."""
        super().state()
        self._state_database()
        self._state_cache()
        self._state_freshness()
        # Alerts that a webhook never took, minutes of history that the database was away for: dropped like spans.
        if self.leader.webhook is not None:
            self.count_up(c.TELEMETRY, ("webhook", "dropped"), self.leader.webhook.dropped)
        self.count_up(c.TELEMETRY, ("history", "dropped"), self.leader.history.dropped)

    def _state_database(self) -> None:
        database = self.context.database
        pool = database.pool.figures()
        for state, count in (("idle", pool.idle), ("active", pool.active), ("waiting", pool.waiting)):
            self.metrics.set(c.POOL_COUNT, (state,), count)
        self.metrics.set(c.POOL_MOST, (), pool.size)
        self.count_up(c.POOL_REFUSALS, ("shed",), pool.shed)
        self.count_up(c.POOL_REFUSALS, ("timed_out",), pool.timed_out)
        self.count_up(c.POOL_REFUSALS, ("lost",), pool.lost)
        for replica in database.replicas.figures():
            for outcome in ("answered", "behind", "failed"):
                self.count_up(c.REPLICA_READS, (str(replica.number), outcome), getattr(replica, outcome))
            self.metrics.set(c.FIGURES, (f"replica {replica.number}", "gone"), replica.state == "gone")

    def _state_cache(self) -> None:
        cache = self.context.cache
        for family, plan in cache.plans.items():
            for event in _FAMILY_EVENTS:
                self.count_up(c.CACHE_EVENTS, (family, event), getattr(plan.counts, event))
        shared = cache.shared_counts
        if shared is not None:
            for event in _SHARED_EVENTS:
                self.count_up(c.CACHE_EVENTS, ("(shared tier)", event), getattr(shared, event))
        self.count_up(c.CACHE_EVENTS, ("(local tier)", "evicted"), cache.local.evictions)
        self.metrics.set(c.FIGURES, ("local_cache", "used_bytes"), cache.local.bytes)
        self.metrics.set(c.FIGURES, ("local_cache", "entries"), len(cache.local))

    def _state_freshness(self) -> None:
        """State how old the news is, and what the sampler found: hits read again from the database."""
        cache = self.context.cache
        if math.isfinite(cache.as_of):
            lag = self.context.clock.monotonic() - cache.as_of
            self.metrics.time(c.INVALIDATION_LAG, ("vouched",), max(0, int(lag * 1e9)))
        if cache.feed is not None and cache.feed.connected:
            self.metrics.time(c.INVALIDATION_LAG, ("bump_to_process",), int(cache.feed.behind_seconds * 1e9))
        for family, found in cache.sampler.found.items():
            self.count_up(c.CACHE_SAMPLES, (family, "read_again"), found.samples)
            self.count_up(c.CACHE_SAMPLES, (family, "differed"), found.differed)
            for horizon in HORIZONS_SECONDS:
                self.count_up(c.CACHE_SAMPLES, (family, f"differed_{horizon}s"), found.after[horizon])
