"""The watch of one process: folds records at once, and every half second publishes, measures and evaluates."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from cito.core.context import Context
from cito.core.telemetry import Record
from cito.observability import catalog as c
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics
from cito.observability.node import Node
from cito.observability.performance import DEFAULT_SLOW_MS, Report
from cito.observability.process import cpu_seconds, resident_bytes

TICK_SECONDS = 0.5
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
        registry = context.registry
        self.targets = tuple(owned.value for owned in registry.targets)
        self.jobs = tuple(owned.value for owned in registry.jobs)
        self.bounds = bounds_with((DEFAULT_SLOW_MS, *(target.p95_ms for target in self.targets)))
        self.metrics = Metrics(self.bounds)
        self.node = Node(context.settings.home / "run" / "telemetry", self.bounds)
        self.report = Report(self.bounds, self.targets, self.jobs)
        self._cpu = (0.0, 0.0)

    def finished(self, record: Record) -> None:
        """Take a finished record; called on the request path."""
        self.metrics.fold(record)

    def tick(self) -> None:
        """State gauges, end the slice and publish it."""
        now = self.wall()
        self.metrics.set(c.MEMORY, (), resident_bytes())
        user, system = cpu_seconds()
        self.metrics.count(c.CPU, ("user",), user - self._cpu[0])
        self.metrics.count(c.CPU, ("system",), system - self._cpu[1])
        self._cpu = (user, system)
        self.node.publish(self.metrics.cut(now))

    async def run(self) -> None:
        """Tick until cancelled; what goes wrong here is logged and never reaches a request."""
        due = time.monotonic()
        while True:
            due += TICK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            late = time.monotonic() - due
            if late > TICK_SECONDS:
                due = time.monotonic()
            self.metrics.time(c.LOOP_DELAY, (), max(0, int(late * 1e9)))
            try:
                self.tick()
            except OSError as error:
                log.warning("telemetry could not be published: %s", type(error).__name__)

    async def __aenter__(self) -> Self:
        """Start ticking."""
        self.metrics.current.start = self.wall()
        self._task = asyncio.create_task(self.run(), name="cito-observability")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and publish the rest."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(OSError):
            self.tick()
        self.node.close()
