"""Faults in a running Cito, and how long until the webhook has heard of them."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import psycopg
import pytest
from support import OpenSite

from cito.core.context import Context
from cito.core.declarations import Target
from cito.core.registry import Owned
from cito.core.settings import CacheSettings, ObservabilitySettings
from cito.observability import plugin
from cito.observability.watch import Watch

from .conftest import make
from .webhook_server import Receiver, receiver


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(context: Context, home: Path, got: Receiver) -> AsyncIterator[Watch]:
    settings = msgspec.structs.replace(
        context.settings,
        home=home,
        observability=ObservabilitySettings(webhook_url=got.url),
        cache=CacheSettings(enabled=False),
    )
    target = Owned("x", Target(operation="get_patient", p95_ms=50, error_rate=0.01))
    registry = replace(context.registry, targets=(target,))
    async with Watch(Context(settings, registry, context.database, context.cache, context.clock)) as watch:
        yield watch


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.full)])
@pytest.mark.timeout(600)
async def test_from_fault_to_webhook_and_back(open_site: OpenSite, tmp_path: Path, times: int) -> None:
    delays: list[float] = []
    with receiver() as got:
        async with open_site(plugins=()), watching(plugin.watch.context, tmp_path, got) as watch:
            faulty = asyncio.Event()

            async def requests() -> None:
                while True:
                    watch.recorder.take(make("get_patient", ms=3, status=503 if faulty.is_set() else 200))
                    await asyncio.sleep(0.02)

            load = asyncio.create_task(requests())
            await asyncio.sleep(2)
            for number in range(times):
                heard = len(got.taken)
                began = time.time()
                faulty.set()
                await until(lambda heard=heard: len(got.taken) > heard)
                delays.append(got.taken[heard].at - began)
                faulty.clear()
                await until(lambda heard=heard: len(got.taken) > heard + 1)
                await asyncio.sleep(
                    5 + number / times
                )  # until the fault has left the windows; vary the phase
            load.cancel()
    logging.getLogger("cito").info("from fault to alert", extra={"seconds": delays})
    assert [one.alert["status"] for one in got.taken] == ["firing", "resolved"] * times
    assert {one.alert["name"] for one in got.taken} == {"error_rate"}
    assert max(delays) <= 5
    if times >= 20:
        assert statistics.quantiles(delays, n=20)[-1] <= 2.0


async def test_a_query_that_waits_for_a_lock_is_reported_with_everything_known(
    open_site: OpenSite,
) -> None:
    with receiver() as got:
        settings = ObservabilitySettings(webhook_url=got.url)
        async with open_site(plugins=(), observability=settings) as own:
            async with await psycopg.AsyncConnection.connect(own.urls.owner) as blocker:
                await blocker.execute("lock table cito.jobs in access exclusive mode")
                asking = asyncio.create_task(
                    own.client.get("/api/admin/performance", headers=own.headers("admin"))
                )
                await asyncio.sleep(0.9)
            answer = await asking
            assert answer.status_code == 200
            await until(lambda: any(one.alert["name"] == "slow_query" for one in got.taken))
            found = next(one.alert for one in got.taken if one.alert["name"] == "slow_query")
            report = found["details"]
            assert found["subject"] == report["query"] == "job_states"
            assert "from cito.jobs" in report["statement"]
            assert len(report["fingerprint"]) == 16
            assert report["durationMs"] >= 500
            assert report["lockWaitMs"] > report["durationMs"] / 3
            assert report["executionMs"] < report["durationMs"]
            assert report["cause"].startswith("lock")
            assert (report["operation"], report["route"]) == ("performance", "/api/admin/performance")
            assert "observability/routes.py:" in report["callSite"]
            assert report["traceId"] == answer.headers["traceparent"].split("-")[1]

            def planned() -> bool:
                alerts = plugin.watch.leader.engine.firing.values()
                return any(alert.details.get("plan") for alert in alerts if alert.name == "slow_query")

            await until(planned)


async def test_an_unreachable_cache_is_told_and_so_is_its_return(
    open_site: OpenSite,
) -> None:
    with receiver() as got:
        settings = ObservabilitySettings(webhook_url=got.url)
        dead = CacheSettings(url="redis://127.0.0.1:9")
        started = time.time()
        async with open_site(plugins=(), observability=settings, cache=dead) as own:
            await until(lambda: any(one.alert["name"] == "cache_unreachable" for one in got.taken))
            assert time.time() - started < 8
            answer = await own.client.get("/api/admin/performance", headers=own.headers("admin"))
            assert "cache_unreachable" in [alert["name"] for alert in answer.json()["alerts"]]
            assert answer.json()["cache"]["connected"] is False
