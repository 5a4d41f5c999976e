"""No patient data leaves by the side doors: every place that is not the answer itself is searched, byte by byte."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from support import CLINIC, OpenSite, Site

from cito.core.embedded import Urls
from cito.core.logs import set_up_logs
from cito.core.settings import ObservabilitySettings
from cito.observability import plugin
from cito.observability.exporters.cloudwatch import embedded

from .canaries import Canary, forms, found
from .otlp_server import collector
from .stock_twin import twin
from .webhook_server import receiver


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    set_up_logs("debug", stream)
    logging.root.setLevel(logging.DEBUG)  # what others say too
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.getLogger("cito").setLevel(logging.NOTSET)


def test_the_search_finds_what_is_hidden() -> None:
    canary = Canary()
    marker = canary.mark("name")
    for hidden in forms(marker):
        assert found(canary.markers, {"here": b"..." + hidden + b"..."}) == [("here", "name")]
    assert found(canary.markers, {"here": b"nothing of it"}) == []


async def live(site: Site, canary: Canary, errors: list[bytes], seed: int) -> None:
    """Register, read, find, change and delete a patient; do all of it wrong as well."""
    chance = random.Random(seed)
    client, headers = site.client, site.headers("nurse")
    body = canary.body()
    created = await client.post("/api/patients", json=body, headers=headers)
    assert created.status_code == 201, created.text
    path = f"/api/patients/{created.json()['id']}"
    for _ in range(3):
        assert (await client.get(path, headers=headers)).status_code == 200
    for query in (
        {"search": body["lastName"]},
        {"search": f"{body['firstName']} {body['lastName']}"},
        {"search": body["mrn"]},
        {"phone": body["contact"]["phone"]},
        {"email": body["contact"]["email"]},
    ):
        answer = await client.get("/api/patients", params=query, headers=headers)
        assert answer.status_code == 200
    etag = created.headers["etag"]
    broken: list[Any] = [
        client.post("/api/patients", json=body, headers=headers),  # the record number is taken
        client.patch(path, json={"grade": body["grade"]}, headers=headers),
        client.patch(path, json={"grade": body["grade"]}, headers={**headers, "if-match": '"0-no"'}),
        client.patch(path, json={"nickname": body["mrn"]}, headers={**headers, "if-match": etag}),
        client.get(f"/api/patients/{body['mrn']}", headers=headers),
        client.get(f"/api/{body['lastName']}/{body['mrn']}", headers=headers),
        client.get("/api/patients", params={"nickname": body["mrn"]}, headers=headers),
        client.get("/api/patients", params={"dateOfBirth": body["lastName"]}, headers=headers),
        client.get(
            "/api/patients", params={"search": body["lastName"], "page": body["mrn"]}, headers=headers
        ),
        client.request(body["lastName"].upper(), "/api/patients", headers=headers),
        client.get(path, headers=site.headers("auditor")),
        client.get(path, headers={"authorization": f"Bearer {body['mrn']}"}),
        client.post("/api/patients", content=json.dumps(body)[:-5], headers=headers),
    ]
    for _ in range(25):  # every field, wrong in its own way
        fuzzed = json.loads(json.dumps(body))
        field = chance.choice([*fuzzed])
        fuzzed[field] = chance.choice(
            [{"nickname": body["mrn"]}, [body["lastName"]], body["mrn"] * 200, body["mrn"] + "\x00", 7]
        )
        broken.append(client.post("/api/patients", json=fuzzed, headers=headers))
    for request in broken:
        answer = await request
        assert answer.status_code >= 400, answer.request.url
        errors.append(answer.content + repr(answer.headers.raw).encode())


async def fail(site: Site, canary: Canary, errors: list[bytes]) -> None:
    """Ask while the table is away, and while a statement is cut off."""
    headers = site.headers("nurse")
    async with await psycopg.AsyncConnection.connect(site.urls.owner) as blocker:
        await blocker.execute("lock table patient in access exclusive mode")
        asked = [
            asyncio.create_task(site.client.get("/api/patients", params={"search": marker}, headers=headers))
            for marker in list(canary.markers.values())[:3]
        ]
        await asyncio.sleep(0.3)
        async with await psycopg.AsyncConnection.connect(site.urls.admin, autocommit=True) as admin:
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'cito_app'"
                " and datname = current_database() and wait_event_type = 'Lock'"
            )
        await asyncio.sleep(0.3)
    answers = await asyncio.gather(*asked)
    errors += [answer.content for answer in answers if answer.status_code >= 400]


def cached(url: str) -> bytes:
    """Return all keys and values of the shared tier."""
    with redis.Redis.from_url(url) as server:
        kept = [
            b"%s = %s" % (key, server.dump(key) or b"(expired since)") for key in server.scan_iter(count=1000)
        ]
    assert kept
    return b"\n".join(kept)


async def test_no_marker_is_found_anywhere(
    open_site: OpenSite, logs: io.StringIO, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    canary, errors = Canary(), []
    with collector() as otlp, receiver() as hooks:
        settings = ObservabilitySettings(
            sample_ratio=1.0, otlp_url=otlp.url(""), webhook_url=hooks.url, log_level="debug"
        )
        async with open_site(plugins=("patients",), observability=settings) as site:
            with psycopg.connect(site.urls.owner, autocommit=True) as owner:
                owner.execute(
                    "insert into clinic (id, name, time_zone, region) values (%s, 'Clinic', 'UTC', 'US')",
                    (CLINIC,),
                )
            await live(site, canary, errors, seed=7)
            await fail(site, canary, errors)
            await asyncio.sleep(1.2)  # slow queries are reported, plans learnt
            admin = site.headers("admin", accept="application/openmetrics-text")
            metrics = (await site.client.get("/metrics", headers=admin)).content
            performance = (await site.client.get("/api/admin/performance", headers=admin)).content
            total = plugin.watch.node.slots()[plugin.watch.node.number].total
            emf = "\n".join(embedded(total, "Cito", plugin.watch.bounds, 1e9)).encode()
            kept = site.assembly.settings.home / "run" / "telemetry"
            telemetry = b"".join(path.read_bytes() for path in kept.rglob("*") if path.is_file())
            assert telemetry
            with psycopg.connect(site.urls.owner) as owner:
                history = str(owner.execute("select * from performance_metrics").fetchall()).encode()
            shared_tier = cached(site.urls.cache)
    assert len(otlp.spans) > 100
    printed = capfd.readouterr()
    places = {
        "cache": shared_tier,
        "OTLP": b"".join(body for _, body in otlp.bodies),
        "metrics": metrics,
        "embedded metrics": emf,
        "performance": performance,
        "telemetry files": telemetry,
        "history": history,
        "our logs": logs.getvalue().encode(),
        "standard output": (printed.out + printed.err).encode(),
        "PostgreSQL's log": (home / "log" / "postgres.log").read_bytes(),
        "Valkey's log": (home / "log" / "valkey.log").read_bytes(),
        "webhooks": b"".join(one.body for one in hooks.tries),
        "error bodies": b"".join(errors),
    }
    assert len(logs.getvalue()) > 0
    assert found(canary.markers, places) == []


async def test_the_same_search_finds_nine_kinds_of_leak_in_a_stock_twin(
    empty_database: Urls, home: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    canary = Canary()
    body = canary.body()
    with psycopg.connect(empty_database.owner, autocommit=True) as owner:
        owner.execute("create table twin (mrn text primary key, body jsonb)")
    caplog.set_level(logging.INFO)
    async with twin(empty_database.admin, empty_database.cache) as stock:
        for _ in range(2):  # the second one is refused by the database
            await stock.client.post("/patients", json=body)
        assert (await stock.client.get(f"/patients/{body['mrn']}")).status_code == 200
        assert (await stock.client.get("/patients", params={"name": body["lastName"]})).json()
        spans = stock.spans.get_finished_spans()
        data = stock.metrics.get_metrics_data()
    with redis.Redis.from_url(empty_database.cache) as server:
        keys = list(server.scan_iter("patient:*"))
        values = [server.get(key) or b"" for key in keys]
        server.delete(*keys)
    events = [event for span in spans for event in span.events]
    attributes = [(key, str(value)) for span in spans for key, value in (span.attributes or {}).items()]
    printed = capfd.readouterr()
    logged = printed.out + printed.err + caplog.text
    places = {
        "span names": " ".join(span.name for span in spans),
        "span attributes: path": str(
            [v for k, v in attributes if k in {"http.target", "url.path", "http.url"}]
        ),
        "span attributes: query": str([v for k, v in attributes if "query" in k or k == "http.url"]),
        "span attributes: statement": str(
            [v for k, v in attributes if k in {"db.statement", "db.query.text"}]
        ),
        "span status": " ".join(str(span.status.description) for span in spans),
        "exception messages": str([(e.attributes or {}).get("exception.message") for e in events]),
        "exception stack traces": str([(e.attributes or {}).get("exception.stacktrace") for e in events]),
        "metric labels": data.to_json() if data else "",
        "request log": "\n".join(line for line in logged.splitlines() if "HTTP Request" in line),
        "response log": "\n".join(line for line in logged.splitlines() if "HTTP Response" in line),
        "error log": "\n".join(
            line for line in logged.splitlines() if "Key (" in line or "UniqueViolation" in line
        ),
        "PostgreSQL's log": (home / "log" / "postgres.log").read_text(errors="replace"),
    }
    raw = {name: text.encode() for name, text in places.items()}
    raw |= {"cache keys": b"\n".join(keys), "cache values": b"\n".join(values)}
    leaking = {place for place, _ in found(canary.markers, raw)}
    assert len(leaking) >= 9, leaking
