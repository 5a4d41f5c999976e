"""What only asking tells: how the cache server is, how far the relay is behind, who waits for a lock.

Asked twice a second, by the one process of the node that leads; each question has a deadline and may fail alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cito.core.database.connections import Pool
from cito.core.database.pool import Database
from cito.core.database.query import Query
from cito.core.errors import Problem
from cito.observability import catalog as c
from cito.observability.metrics import Metrics
from cito.observability.slow_queries import Blocked

DEADLINE_SECONDS = 0.5
log = logging.getLogger(__name__)


class Nothing(msgspec.Struct, frozen=True):
    """A query without parameters."""


class Backlog(msgspec.Struct, frozen=True):
    """How many invalidations wait for the relay, and for how long the oldest does."""

    waiting: int
    oldest_seconds: float


relay_backlog = Query("relay_backlog", Nothing, Backlog)
blocked_statements = Query("blocked_statements", Nothing, Blocked)


class Facts:
    """Asks, and states the answers as gauges.

    Args:
        metrics: where they are stated.
        database: of this process.
        cache_url: of the shared tier; None: there is none.
    """

    def __init__(self, metrics: Metrics, database: Database, cache_url: str | None) -> None:
        self._metrics = metrics
        self._database = database
        self._cache = cache_url and Redis.from_url(
            cache_url,
            socket_timeout=DEADLINE_SECONDS,
            socket_connect_timeout=DEADLINE_SECONDS,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self._before: tuple[float, float] | None = None  # uptime, CPU seconds
        self._evicted: int | None = None
        self.blocked: list[Blocked] = []

    async def ask(self) -> None:
        """Ask everything once."""
        await asyncio.gather(self._ask_cache(), self._ask_database())

    async def close(self) -> None:
        """Let the connection go."""
        if self._cache:
            # One that was interrupted in the middle of a question is still counted as in use.
            await self._cache.connection_pool.disconnect(inuse_connections=True)
            await self._cache.aclose()

    async def _ask_cache(self) -> None:
        if not self._cache:
            return
        try:
            info: Mapping[str, Any] = await self._cache.info("everything")
            keys = await self._cache.dbsize()
        except (RedisError, OSError, TimeoutError):
            self._state("connected", 0)
            return
        used, most = float(info["used_memory"]), float(info.get("maxmemory") or 0)
        self._state("connected", 1)
        self._state("keys", keys)
        self._state("used_memory_bytes", used)
        self._state("memory_share", used / most if most else 0.0)
        cpu = float(info["used_cpu_sys"]) + float(info["used_cpu_user"])
        uptime = info["server_time_usec"] / 1e6
        if self._before is not None and uptime > self._before[0] and cpu >= self._before[1]:
            self._state("cpu_share", (cpu - self._before[1]) / (uptime - self._before[0]))
        self._before = (uptime, cpu)
        evicted = int(info["evicted_keys"])
        if self._evicted is not None and evicted > self._evicted:
            self._metrics.count(c.EVICTIONS, (), evicted - self._evicted)
        self._evicted = evicted

    async def _ask_database(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._reachable() as database:
                reader = database.reader(None)
                backlog = await relay_backlog.one(reader, Nothing())
                self.blocked = await blocked_statements.all(reader, Nothing())
        except (Problem, OSError, TimeoutError):
            self.blocked = []
            return
        if backlog is not None:
            self._metrics.set(c.FIGURES, ("relay", "waiting"), backlog.waiting)
            self._metrics.set(c.FIGURES, ("relay", "oldest_seconds"), backlog.oldest_seconds)

    @asynccontextmanager
    async def _reachable(self) -> AsyncIterator[Database]:
        """Give the process's own pool; while all of it is taken, a connection beside it, for these questions only.

        Who waits for whom must be known then above all.
        """
        figures = self._database.pool.figures()
        if figures.active < figures.size:
            yield self._database
            return
        spare = Pool(
            self._database.pool.url,
            size=1,
            acquire_timeout_seconds=DEADLINE_SECONDS,
            idle_seconds=DEADLINE_SECONDS,
            answer_seconds=DEADLINE_SECONDS,
        )
        try:
            await spare.start()
            yield Database(spare, self._database.queries, DEADLINE_SECONDS)
        finally:
            await spare.close()

    def _state(self, figure: str, value: float) -> None:
        self._metrics.set(c.FIGURES, ("cache", figure), value)
