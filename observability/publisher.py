"""What every process does with its telemetry: folds records at once, and every half second publishes and exports.

A process that serves does more (`watch`); the relay has neither pool nor cache and does no more than this.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

from cito.core import telemetry
from cito.core.logs import change_level
from cito.core.settings import Settings
from cito.core.tasks import end
from cito.observability import catalog as c
from cito.observability.exporters import build
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics
from cito.observability.node import Node
from cito.observability.performance import DEFAULT_SLOW_MS
from cito.observability.process import cpu_seconds, resident_bytes
from cito.observability.recorder import Recorder

TICK_SECONDS = 0.5
_MS = 1_000_000
log = logging.getLogger(__name__)


class Publisher:
    """The telemetry of one process.

    Args:
        settings: where to, and above which time a query is slow.
        promised_ms: the declared p95 of operations: a slower request is kept whole.
        query_targets_ms: the promised p95 of queries.
        budgets: most queries of a request, by operation.
        targets_ms: all that is promised in this process; bounds of its histograms.
        wall: seconds since the epoch; a test gives its own.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        promised_ms: Mapping[str, float] | None = None,
        query_targets_ms: Mapping[str, float] | None = None,
        budgets: Mapping[str, int] | None = None,
        targets_ms: frozenset[float] = frozenset(),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.wall = wall
        slow_query_ns = int(settings.database.slow_query_ms * _MS)
        telemetry.slow_query_ns = slow_query_ns
        self.bounds = bounds_with(targets_ms)
        self.metrics = Metrics(self.bounds)
        self.recorder = Recorder(
            self.metrics,
            slow_ns={name: int(ms * _MS) for name, ms in (promised_ms or {}).items()},
            default_slow_ns=int(DEFAULT_SLOW_MS * _MS),
            slow_query_ns=slow_query_ns,
            budgets=budgets or {},
            query_targets_ns={name: int(ms * _MS) for name, ms in (query_targets_ms or {}).items()},
        )
        # Of these plugins alone: what another choice of plugins left behind is no part of this API.
        chosen = "+".join(sorted(settings.plugins)) or "none"
        self.node = Node(settings.home / "run" / "telemetry" / chosen, self.bounds)
        self.exporters = build(settings.observability, self.bounds, self.node.number, wall)
        self.recorder.spans = self.exporters.spans
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}  # metric, labels -> last total
        self._level: str = settings.observability.log_level

    def tick(self) -> None:
        """State gauges, end the slice, publish and export it."""
        self.state()
        done = self.metrics.cut(self.wall())
        self.node.publish(done)
        for periodic in self.exporters.metrics:
            periodic.add(done)
        self._follow_level()

    def state(self) -> None:
        """State what is true now, beside what was counted."""
        self.metrics.set(c.MEMORY, (), resident_bytes())
        user, system = cpu_seconds()
        self.count_up(c.CPU, ("user",), user)
        self.count_up(c.CPU, ("system",), system)
        spans = self.exporters.spans
        if spans is not None:
            for outcome in ("emitted", "exported", "dropped"):
                self.count_up(c.TELEMETRY, ("otlp_traces", outcome), getattr(spans.counts, outcome))
        for periodic in self.exporters.metrics:
            name = periodic.destination.name
            self.count_up(c.TELEMETRY, (name, "exported"), periodic.exported)
            self.count_up(c.TELEMETRY, (name, "dropped"), periodic.lost)

    def count_up(self, metric: str, labels: tuple[str, ...], total: float) -> None:
        """Count what a running total has grown by."""
        grown = total - self._before.get((metric, labels), 0.0)
        if grown > 0:
            self._before[metric, labels] = total
            self.metrics.count(metric, labels, grown)

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
        await end(self._task)
        with suppress(OSError):
            self.tick()
        await asyncio.gather(self.stopping(), asyncio.to_thread(self.exporters.stop))
        self.node.close()

    async def stopping(self) -> None:
        """End what else this process does, while the exporters deliver the rest."""

    def set_level(self, level: str) -> None:
        """Change the log level of every process of the node; they follow within a tick.

        Raises:
            ValueError: no such level.
        """
        change_level(level)
        (self.node.folder / "level").write_text(level)

    def _follow_level(self) -> None:
        try:
            level = (self.node.folder / "level").read_text()
        except FileNotFoundError:
            return
        if level != self._level:
            self._level = level
            with suppress(ValueError):
                change_level(level)
