from __future__ import annotations

import re

import httpx
import pytest

from cito.core.http.record import begin_trace
from cito.core.telemetry import Record, current_record

from .conftest import Site, bare, get_thing, health, layered

THING = "/api/things/01890000-0000-7000-8000-000000000009"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_a_request_leaves_one_record_after_its_answer(client: httpx.AsyncClient, site: Site) -> None:
    response = await client.get(THING, headers=site.headers(traceparent=f"00-{TRACE}-{SPAN}-01"))
    assert response.status_code == 200
    [record] = site.records
    assert (record.kind, record.operation, record.route) == (
        "http",
        "get_thing",
        "/api/things/{thing_id}",
    )
    assert (record.method, record.status, record.role, record.cache) == ("GET", 200, "nurse", "local")
    assert (record.trace_id, record.parent_id, record.sampled) == (TRACE, SPAN, True)
    assert response.headers["traceparent"] == f"00-{TRACE}-{record.span_id}-01"
    assert record.duration_ns > 0
    assert current_record.get() is None


async def test_server_timing_tells_cache_queries_total_and_trace(
    client: httpx.AsyncClient, site: Site
) -> None:
    trace = r', traceparent;desc="00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"'
    answer = await client.get(THING, headers=site.headers())
    timing = answer.headers["server-timing"]
    known = r'cache;desc="local", db;desc="1";dur=\d+\.\d\d, total;dur=\d+\.\d\d'
    assert re.fullmatch(known + trace, timing)
    assert answer.headers["traceparent"] in timing
    timing = (await client.get("/health")).headers["server-timing"]
    assert re.fullmatch(r'db;desc="0";dur=0, total;dur=\d+\.\d\d' + trace, timing)


@pytest.mark.parametrize("wished", ["a", "ABC-123_x.y", "x" * 128])
async def test_a_request_id_that_came_in_goes_out(client: httpx.AsyncClient, wished: str) -> None:
    response = await client.get("/health", headers={"X-Request-Id": wished})
    assert response.headers["x-request-id"] == wished


@pytest.mark.parametrize("wished", ["", "x" * 129, "a b", "a\tb", "jane@doe", "<b>", "a;b"])
async def test_a_bad_request_id_is_replaced(client: httpx.AsyncClient, wished: str) -> None:
    response = await client.get("/health", headers={"X-Request-Id": wished})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize(
    "parent",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0g",
        "x",
    ],
)
def test_a_bad_traceparent_starts_a_new_trace(parent: str) -> None:
    record = Record("http")
    begin_trace(record, {b"traceparent": parent.encode()}, 0)
    assert record.trace_id not in (TRACE, TRACE.upper(), "0" * 32)
    assert re.fullmatch("[0-9a-f]{32}", record.trace_id)
    assert record.parent_id == ""
    assert not record.sampled


def test_a_later_version_of_traceparent_is_read() -> None:
    record = Record("http")
    begin_trace(record, {b"traceparent": f"01-{TRACE}-{SPAN}-00-more".encode()}, 1 << 64)
    assert (record.trace_id, record.parent_id, record.sampled) == (TRACE, SPAN, False)


@pytest.mark.parametrize(("ratio", "low", "high"), [(0.0, 0, 0), (0.1, 850, 1_150), (1.0, 10_000, 10_000)])
def test_the_ratio_of_sampled_traces(ratio: float, low: int, high: int) -> None:
    sampled = 0
    for _ in range(10_000):
        record = Record("http")
        begin_trace(record, {}, int(ratio * (1 << 64)))
        sampled += record.sampled
        # the same rule as OpenTelemetry's TraceIdRatioBased, so that services agree
        assert record.sampled == (int(record.trace_id[16:], 16) < int(ratio * (1 << 64)))
    assert low <= sampled <= high


async def test_every_answer_carries_the_safe_headers(client: httpx.AsyncClient, site: Site) -> None:
    for path in (THING, "/api/unknown", "/health", "/nowhere"):
        headers = (await client.get(path, headers=site.headers())).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["strict-transport-security"].startswith("max-age=31536000")
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["server"] == ""
        assert headers.get("cache-control") == "no-store" or not path.startswith("/api")
        assert "access-control-allow-origin" not in headers


async def test_an_exception_outside_the_routes_is_a_problem_too(site: Site) -> None:
    broken = layered(site.settings, [get_thing, bare, health])
    inner = broken.app._app

    async def fails(*_: object) -> None:
        raise RuntimeError("secret 4711")

    broken.app._app = fails
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(broken.app), base_url="http://cito.test"
    ) as client:
        response = await client.get("/health")
    broken.app._app = inner
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "4711" not in response.text
    assert broken.records[0].status == 500
    assert broken.records[0].error == "RuntimeError"
