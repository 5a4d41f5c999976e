"""What is asked of the cache server, beside what it says itself."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import redis
from support import OpenSite
from valkey import Valkey

from cito.core.context import Context
from cito.observability import catalog as c
from cito.observability import plugin
from cito.observability.facts import Facts
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics
from cito.observability.watch import Watch

from .conftest import make

BUSY = "local n = 0 for i = 1, 300000 do n = n + i end return n"


def cpu_seconds(server: redis.Redis) -> float:
    info: Any = server.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


async def test_the_cache_servers_cpu_and_memory_are_shares_of_what_it_has(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path)
    metrics = Metrics(bounds_with([]))
    facts = Facts(metrics, SimpleNamespace(), valkey.url)  # type: ignore[arg-type]
    try:
        with redis.Redis.from_url(valkey.url) as server:
            server.config_set("maxmemory", 100_000_000)
            began = time.monotonic()
            await facts._ask_cache()
            before = cpu_seconds(server)
            for _ in range(20):
                server.eval(BUSY, 0)
            spent = cpu_seconds(server) - before
            await facts._ask_cache()
            passed = time.monotonic() - began
            figures = metrics.current.gauges[c.FIGURES]
            assert spent > 0
            assert figures["cache", "cpu_share"] >= spent / passed
            assert figures["cache", "cpu_share"] < 2
            used: Any = server.info("memory")
            assert abs(figures["cache", "memory_share"] - used["used_memory"] / 1e8) < 0.01
            assert figures["cache", "connected"] == 1
        valkey.stop()
        await facts._ask_cache()
        assert metrics.current.gauges[c.FIGURES]["cache", "connected"] == 0
    finally:
        await facts.close()
        valkey.stop()


async def test_the_database_is_asked_though_every_connection_is_taken(open_site: OpenSite) -> None:
    async with open_site(plugins=()) as site, AsyncExitStack() as stack:
        leader, pool = plugin.watch.leader, plugin.watch.context.database.pool
        for _ in range(pool.figures().size):
            stack.callback(pool.take_back, await pool.acquire("held"))
        waiting = await stack.enter_async_context(await psycopg.AsyncConnection.connect(site.urls.app))
        blocker = await stack.enter_async_context(await psycopg.AsyncConnection.connect(site.urls.owner))
        await blocker.execute("lock table cito.jobs in access exclusive mode")
        asking = asyncio.create_task(waiting.execute("select count(*) from cito.jobs"))
        async with asyncio.timeout(10):
            while not leader.facts.blocked:
                await leader.facts._ask_database()
        assert "cito.jobs" in leader.facts.blocked[0].statement
        assert ("relay", "oldest_seconds") in leader.facts._metrics.current.gauges[c.FIGURES]
        await blocker.rollback()
        await asking


async def test_a_process_that_answers_requests_lets_an_idle_one_judge(
    open_site: OpenSite, tmp_path: Path
) -> None:
    async with open_site(plugins=()):
        here = plugin.watch.context
        settings = msgspec.structs.replace(here.settings, home=tmp_path)
        context = Context(settings, here.registry, here.database, here.cache, here.clock)
        busy, idle = Watch(context), Watch(context)
        busy.recorder.take(make("get_patient"))
        for _ in range(3):
            busy.tick()
        idle.tick()
        busy.tick()
        assert (busy._leads, idle._leads) == (False, True)
        await idle.stopping()
        idle.node.close()
        for _ in range(4):
            assert not busy._leads
            busy.tick()
        assert busy._leads  # there is no other
        await busy.stopping()
        busy.node.close()
