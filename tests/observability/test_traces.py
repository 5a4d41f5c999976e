"""Which requests leave spans, and that every word of them is one story: answer, problem, log, slow or failed."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support import OpenSite, Site

from cito.core.logs import JsonFormatter
from cito.core.settings import ObservabilitySettings
from cito.observability import routes

from .otlp_server import Collector, collector

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATH = "/api/admin/performance"


@asynccontextmanager
async def exporting(open_site: OpenSite, ratio: float) -> AsyncIterator[tuple[Site, Collector]]:
    """Open a site whose spans are captured; all have arrived when the block has ended."""
    with collector() as server:
        settings = ObservabilitySettings(sample_ratio=ratio, otlp_url=server.url(""))
        async with open_site(plugins=(), observability=settings) as site:
            yield site, server


async def ask(site: Site, path: str = PATH, **headers: str) -> httpx.Response:
    return await site.client.get(path, headers=site.headers("admin", **headers))


def trace_of(answer: httpx.Response) -> str:
    return answer.headers["traceparent"].split("-")[1]


def roots(server: Collector) -> dict[str, Span]:
    """Return the span of each request by its trace."""
    return {span.trace_id.hex(): span for span in server.spans if span.kind == Span.SPAN_KIND_SERVER}


def of_trace(server: Collector, trace_id: str) -> list[Span]:
    return [span for span in server.spans if span.trace_id.hex() == trace_id]


async def test_a_parent_decides_and_is_named(open_site: OpenSite) -> None:
    async with exporting(open_site, 0.0) as (site, server):
        sampled = await ask(site, traceparent=f"00-{TRACE}-{PARENT}-01")
        alone = await ask(site)
    assert trace_of(sampled) == TRACE
    assert roots(server).keys() == {TRACE} != {trace_of(alone)}
    root = roots(server)[TRACE]
    assert root.parent_span_id.hex() == PARENT
    assert root.span_id.hex() == sampled.headers["traceparent"].split("-")[2]
    async with exporting(open_site, 1.0) as (site, server):
        unsampled = await ask(site, traceparent=f"00-{TRACE}-{PARENT}-00")
        alone = await ask(site)
    assert trace_of(unsampled) == TRACE
    assert roots(server).keys() == {trace_of(alone)}


async def test_a_slow_request_that_nobody_sampled_is_kept_whole(open_site: OpenSite) -> None:
    async with exporting(open_site, 0.0) as (site, server):
        quick = await ask(site)
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as blocker:
            await blocker.execute("lock table cito.jobs in access exclusive mode")
            asking = asyncio.create_task(ask(site))
            await asyncio.sleep(0.7)
        slow = await asking
    assert roots(server).keys() == {trace_of(slow)}, quick
    (root, *steps) = of_trace(server, trace_of(slow))
    (query,) = [span for span in steps if span.name == "job_states"]
    assert query.parent_span_id == root.span_id
    spent = (query.end_time_unix_nano - query.start_time_unix_nano) / 1e9
    assert 0.5 <= spent <= (root.end_time_unix_nano - root.start_time_unix_nano) / 1e9
    assert root.start_time_unix_nano <= query.start_time_unix_nano
    assert query.end_time_unix_nano <= root.end_time_unix_nano


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.getLogger("cito").addHandler(handler)
    yield stream
    logging.getLogger("cito").removeHandler(handler)


async def test_a_failed_request_is_kept_whole_and_its_trace_is_named_everywhere(
    open_site: OpenSite, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    async def broken(_: object) -> object:
        raise RuntimeError("a bug")

    monkeypatch.setattr(routes, "_jobs", broken)
    async with exporting(open_site, 0.0) as (site, server):
        failed = await ask(site)
    assert failed.status_code == 500
    trace_id = trace_of(failed)
    assert roots(server).keys() == {trace_id}
    assert roots(server)[trace_id].status.code == 2  # error
    assert f'traceparent;desc="{failed.headers["traceparent"]}"' in failed.headers["server-timing"]
    assert trace_id in failed.json()["instance"]
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["traceId"] for line in lines if line.get("level") == "error"] == [trace_id]
