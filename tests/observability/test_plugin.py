from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from support import OpenSite, Site

from cito.core.ids import new_id
from cito.core.settings import HttpSettings, ObservabilitySettings
from cito.observability import catalog as c
from cito.observability import plugin, routes
from cito.observability.history import MOST_WAITING, History, purge
from cito.observability.metrics import Slice
from cito.observability.sinks import Webhook

from .conftest import make
from .served import serving

Condition = Callable[[], Awaitable[bool]]


async def until(condition: Condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in the application
            await asyncio.sleep(0.05)


async def test_performance_has_the_documented_shape_and_counts_requests(site: Site) -> None:
    before = await asked(site)
    for _ in range(5):
        await site.client.get("/api/admin/performance", headers=site.headers("admin"))

    async def counted() -> bool:
        return (await asked(site))["totalRequests"] >= before["totalRequests"] + 5

    await until(counted)
    answer = await asked(site)
    assert answer["timeWindow"] == "5 minutes"
    assert answer["slowRequests"] + answer["errorRate"] <= answer["totalRequests"]
    assert answer.keys() >= {"avgResponseTime", "p50", "p95", "p99", "memory", "backgroundJobs", "alerts"}
    assert answer["p50"] <= answer["p95"] <= answer["p99"]
    assert answer["cache"].keys() >= {"connected", "dbSize", "usedMemory", "hitRate", "families"}
    assert [state["state"] for state in answer["database"]["poolStats"]][:2] == ["idle", "active"]
    assert answer["memory"]["rss"] > 10_000_000
    (row,) = [row for row in answer["operations"] if row["operation"] == "performance"]
    assert row.keys() >= {"count", "avg", "min", "max", "p50", "p95", "p99", "errorRate", "target", "verdict"}
    assert "purge_performance_metrics" in [job["name"] for job in answer["backgroundJobs"]]


# The shape that clients outside rely on.
SHAPE = json.loads("""
{"timeWindow":"5 minutes","totalRequests":0,"avgResponseTime":0,"p50":0,"p95":0,"p99":0,"slowRequests":0,"errorRate":0,
 "cache":{"connected":true,"dbSize":0,"usedMemory":"0M","hitRate":0},
 "database":{"poolStats":[{"state":"idle","count":0},{"state":"active","count":0}]},
 "memory":{"rss":0},"backgroundJobs":[]}
""")


def within(shape: object, found: object) -> bool:
    """Whether everything of a shape is there, of the same kind."""
    if isinstance(shape, dict):
        return isinstance(found, dict) and all(k in found and within(v, found[k]) for k, v in shape.items())
    if isinstance(shape, list):
        return isinstance(found, list) and all(map(within, shape, found))
    if isinstance(shape, bool) or isinstance(found, bool):
        return type(shape) is type(found)
    return isinstance(found, (int, float) if isinstance(shape, (int, float)) else type(shape))


async def test_performance_keeps_the_shape_that_others_rely_on_and_openapi_tells_it(site: Site) -> None:
    await asked(site)
    plugin.watch.tick()
    answer = await asked(site)
    assert within(SHAPE, answer)
    assert list(SHAPE)[:8] == list(answer)[:8]
    page = (await site.client.get("/docs/openapi.json")).json()
    content = page["paths"]["/api/admin/performance"]["get"]["responses"]["200"]["content"]
    schemas = page["components"]["schemas"]
    told = schemas[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]
    assert told["properties"].keys() == answer.keys()
    operations = schemas[told["properties"]["operations"]["items"]["$ref"].rpartition("/")[2]]
    assert operations["properties"].keys() == answer["operations"][0].keys()


async def asked(site: Site, query: str = "") -> dict[str, Any]:
    answer = await site.client.get(f"/api/admin/performance{query}", headers=site.headers("admin"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_state_of_the_cache_server_is_there(site: Site) -> None:
    async def connected() -> bool:
        return bool((await asked(site))["cache"]["connected"])

    await until(connected)
    assert (await asked(site))["cache"]["usedMemory"] != "0M"


@pytest.mark.parametrize("query", ["?window=0", "?window=99999999", "?window=x", "?nonsense=1"])
async def test_a_wrong_window_is_refused(site: Site, query: str) -> None:
    answer = await site.client.get(f"/api/admin/performance{query}", headers=site.headers("admin"))
    assert answer.status_code == 422


@pytest.mark.parametrize("role", ["nurse", "doctor", "pharmacist", "clerk", "auditor"])
@pytest.mark.parametrize("path", ["/api/admin/performance", "/api/admin/performance/live", "/metrics"])
async def test_only_administrators_may_look(site: Site, role: str, path: str) -> None:
    assert (await site.client.get(path, headers=site.headers(role))).status_code == 403
    assert (await site.client.get(path)).status_code == 401


async def test_metrics_are_exposed_in_both_formats(site: Site) -> None:
    headers = site.headers("admin", accept="application/openmetrics-text; version=1.0.0")
    await site.client.get("/api/admin/performance", headers=site.headers("admin"))

    async def counted() -> bool:
        text = (await site.client.get("/metrics", headers=headers)).text
        return 'http_server_request_duration_seconds_count{cito_operation="performance"' in text

    await until(counted)
    answer = await site.client.get("/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    older = await site.client.get("/metrics", headers=site.headers("admin"))
    assert older.headers["content-type"].startswith("text/plain")


async def series(site: Site) -> set[str]:
    """Return the names and labels of all series."""
    plugin.watch.tick()
    text = (await site.client.get("/metrics", headers=site.headers("admin"))).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


@pytest.mark.parametrize(("ids", "paths"), [(60, 40), pytest.param(10_000, 1_000, marks=pytest.mark.full)])
@pytest.mark.timeout(600)
async def test_ids_unknown_paths_and_methods_make_no_new_series(site: Site, ids: int, paths: int) -> None:
    nurse, admin = site.headers("nurse"), site.headers("admin")

    async def ask(number: int) -> None:
        await site.client.get(f"/api/patients/{new_id()}", headers=nurse)
        await site.client.get(f"/api/unknown/{number}-{new_id()}", headers=admin)
        await site.client.request(f"BREW{number}", f"/api/patients/{new_id()}", headers=nurse)

    for number in range(3):
        await ask(number)
    before = {line for line in await series(site) if "_bucket" not in line}
    for number in range(paths):
        await ask(number)
    for _ in range(ids - paths):
        await site.client.get(f"/api/patients/{new_id()}", headers=nurse)
    after = {line for line in await series(site) if "_bucket" not in line}
    # What else the process does meanwhile (a job, a slow query) may begin series of its own: a handful.
    assert len(after - before) < 30, sorted(after - before)
    told = "\n".join(after)
    assert "unknown/" not in told
    assert "BREW" not in told
    assert told.count('http_server_request_duration_seconds_count{cito_operation="(unmatched)"') <= 4


async def test_the_live_stream_goes_on_for_longer_than_a_request_may_take(
    open_site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_LIVE_SECONDS", 0.1)
    hurried = HttpSettings(request_timeout_seconds=0.3)
    async with open_site(plugins=(), http=hurried) as site, serving(site) as base:
        begun = asyncio.get_running_loop().time()
        async with (
            httpx.AsyncClient(base_url=base) as client,
            client.stream("GET", "/api/admin/performance/live", headers=site.headers("admin")) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:") and asyncio.get_running_loop().time() > begun + 1.5:
                    break
            else:
                pytest.fail("the stream ended")


async def test_the_log_level_changes_for_every_process(site: Site) -> None:
    log = logging.getLogger("cito")
    path = "/api/admin/log-level"
    answer = await site.client.put(path, json={"level": "debug"}, headers=site.headers("admin"))
    assert (answer.status_code, log.level) == (200, logging.DEBUG)
    (plugin.watch.node.folder / "level").write_text("warning")  # another process was asked
    plugin.watch.tick()
    assert log.level == logging.WARNING
    refused = await site.client.put(path, json={"level": "chatty"}, headers=site.headers("admin"))
    assert refused.status_code == 422
    assert (await site.client.put(path, json={"level": "info"}, headers=site.headers())).status_code == 403
    await site.client.put(path, json={"level": "info"}, headers=site.headers("admin"))


async def test_history_is_written_once_read_back_and_purged(open_site: OpenSite) -> None:
    async with open_site(plugins=()) as site:
        history = plugin.watch.leader.history
        for _ in range(3):
            await site.client.get("/api/admin/performance", headers=site.headers("admin"))
        plugin.watch.tick()
        now = plugin.watch.wall()
        minutes = plugin.watch.node.minutes()
        later = now + 70
        history._written = int(now // 60) - 10
        history._waiting.clear()
        history.take(minutes, later)
        waiting = list(history._waiting)
        assert waiting
        await history.write()
        history._waiting.extend(waiting)
        await history.write()  # a leader that died after its commit left the same minutes to the next
        answer = await asked(site, "?window=86400")
        assert answer["timeWindow"] == "24 hours"
        written = sum(
            histogram.count for _, minute in waiting for histogram in minute.labelled(c.REQUESTS).values()
        )
        assert answer["totalRequests"] == written >= 3
        ages = ("29 days", "31 days")
        with psycopg.connect(site.urls.owner, autocommit=True) as owner:
            for age in ages:
                owner.execute(
                    "insert into performance_metrics select 'old', now() - %s::interval, 60, 'x', '[]', 1, 1, 1, 1, '{}'",
                    (age,),
                )
            await purge(plugin.watch.context)
            kept = "select (now() - at)::text from performance_metrics where node = 'old'"
            ((age,),) = owner.execute(kept).fetchall()
            assert age.startswith(ages[0])


def test_minutes_wait_for_a_database_that_is_away_an_hour_of_them_at_most() -> None:
    history = History(SimpleNamespace(), ())  # type: ignore[arg-type]
    minutes = [Slice(start=60.0 * number, seconds=60.0) for number in range(100, 200)]
    history._written = 99
    history.take(minutes, 60.0 * 200 + 10)
    assert (len(history._waiting), history.dropped) == (MOST_WAITING, 100 - MOST_WAITING)
    assert history._waiting[-1][0] == 199  # the oldest were let go
    history.take(minutes, 60.0 * 200 + 11)
    assert len(history._waiting) == MOST_WAITING


async def test_without_the_plugin_nothing_of_it_is_there(open_site: OpenSite) -> None:
    settings = ObservabilitySettings(enabled=False)
    async with open_site(plugins=(), observability=settings) as site:
        names = [enabled.name for enabled in site.assembly.registry.plugins]
        assert "observability" not in names
        assert plugin.request_finished not in site.assembly.registry.request_subscribers
        for path in ("/metrics", "/api/admin/performance", "/admin/performance"):
            assert (await site.client.get(path, headers=site.headers("admin"))).status_code == 404


async def test_a_plugin_that_is_left_out_leaves_no_row_behind(open_site: OpenSite, home: Path) -> None:
    async with open_site(plugins=("medications",), home=home / "left-out") as site:
        await site.client.get("/api/medications?search=aspirin", headers=site.headers())

        async def counted() -> bool:
            return "search_formulary" in [row["operation"] for row in (await asked(site))["operations"]]

        await until(counted)
    async with open_site(plugins=("drugs",), home=home / "left-out") as site:
        assert "formulary" not in json.dumps(await asked(site))


async def test_how_far_invalidations_are_behind_is_measured(site: Site) -> None:
    async def measured() -> bool:
        lags = plugin.watch.node.window(60, plugin.watch.wall()).labelled(c.INVALIDATION_LAG)
        return lags.keys() >= {("commit_to_bump",), ("bump_to_process",), ("vouched",), ("own_bump",)}

    drug = {"genericName": f"aspirin {uuid4()}"}
    added = await site.client.post("/api/drugs", json=drug, headers=site.headers("pharmacist"))
    assert added.status_code == 201, added.text
    await until(measured)
    lags = plugin.watch.node.window(60, plugin.watch.wall()).labelled(c.INVALIDATION_LAG)
    for stage, lag in lags.items():
        assert 0 < lag.least < 1_000_000_000, stage


async def test_alerts_and_minutes_that_are_lost_count_as_dropped_telemetry(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = plugin.watch.leader
    monkeypatch.setattr(leader, "webhook", Webhook("http://127.0.0.1:9/", b"never started"))
    monkeypatch.setattr(leader.webhook, "dropped", 3)
    monkeypatch.setattr(leader.history, "dropped", 2)
    plugin.watch.tick()
    dropped = plugin.watch.metrics.total.counters[c.TELEMETRY]
    assert (dropped["webhook", "dropped"], dropped["history", "dropped"]) == (3, 2)


async def test_the_relays_own_process_publishes_its_steps(site: Site) -> None:
    def steps() -> int:
        plugin.watch.node.collect()
        found = plugin.watch.node.window(60, plugin.watch.wall()).labelled(c.RELAY)
        return sum(histogram.count for labels, histogram in found.items() if labels == ("relay_step", "ok"))

    plugin.watch.tick()
    before, slots = steps(), len(plugin.watch.node.slots())
    async with plugin.relay_lifespan(
        site.assembly.settings
    ):  # as in the relay's process: no context, a slot of its own
        for _ in range(3):
            plugin.job_finished(make("relay_step", kind="relay"))
    assert steps() >= before + 3
    assert len(plugin.watch.node.slots()) == slots + 1


async def test_a_full_disk_stops_nothing_and_is_said_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(plugin.watch.node, "publish", full)
        await asyncio.sleep(1.7)  # three ticks
        assert (await site.client.get("/health")).status_code == 200
    said = [record for record in caplog.records if "telemetry could not be published" in record.message]
    assert len(said) == 1
    before = await asked(site)

    async def counted() -> bool:
        return (await asked(site))["totalRequests"] > before["totalRequests"]

    await until(counted)
