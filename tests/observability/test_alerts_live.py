"""What a slow query's alert says, in a running Cito."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import psycopg
from support import OpenSite

from cito.core.settings import ObservabilitySettings
from cito.observability.alert import Alert
from cito.observability.leader import Board

from .webhook_server import receiver


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.01)


async def test_what_fired_when_the_judge_died_is_ended_by_the_next(open_site: OpenSite, home: Path) -> None:
    own_home = home / "taken-over"
    folder = own_home / "run" / "telemetry" / "none"
    folder.mkdir(parents=True)
    lost, recent = (
        Alert("id1", "cache_cpu", "cache", "ticket", "firing", "busy", "90%", "80%", 1.0, 2.0),
        Alert("id0", "error_rate", "x", "page", "resolved", "failed", "5%", "1%", 0.0, 0.5, 1.0),
    )
    (folder / "board.json").write_bytes(msgspec.json.encode(Board(firing=[lost], recent=[recent])))
    with receiver() as got:
        settings = ObservabilitySettings(webhook_url=got.url)
        async with open_site(plugins=(), home=own_home, observability=settings) as own:
            await until(lambda: bool(got.taken))
            answer = await own.client.get("/api/admin/performance", headers=own.headers("admin"))
    (told,) = [one.alert for one in got.taken]
    assert (told["id"], told["status"]) == ("id1", "resolved")
    assert [alert["id"] for alert in answer.json()["alerts"]] == ["id1", "id0"]


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
            assert "jobs" in report["plan"][0]
            assert (report["usualP95Ms"] > 0, report["targetMs"], report["poolWaitMs"] >= 0) == (
                True,
                None,
                True,
            )
