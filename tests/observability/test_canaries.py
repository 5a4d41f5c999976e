"""No patient data leaves by the side doors: every place that is not the answer itself is searched, byte by byte."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import json
import logging
import random
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

import httpx
import psycopg
import pytest
import redis
import zstandard
from support import CLINIC, OpenSite, Site

from cito.core.embedded import Urls
from cito.core.logs import set_up_logs
from cito.core.settings import ObservabilitySettings
from cito.observability import plugin, routes
from cito.observability.exporters.cloudwatch import metric_data
from cito.plugins.patients import service

from .canaries import Canary, found, unpacked
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
    email, born = canary.mark("email", "{}@example.org"), canary.date("born")
    canary.registered("01900000-0000-7000-8000-00000000abcd")
    marker, uuid = canary.markers["email"], UUID(canary.markers["id"])
    hidden = {
        "email": [
            email.encode(),
            email.upper().encode(),
            quote_plus(f"who is {email}?").encode(),
            json.dumps({"a": [email]}).encode(),
            marker.encode().hex().encode(),
            marker.encode().hex().upper().encode(),
            email.encode("utf-16"),
            email.encode("utf-16-be"),
            *(base64.b64encode(b"." * n + email.encode() + b"!") for n in range(5)),
            *(base64.urlsafe_b64encode(b"~" * n + marker.lower().encode() + b"!") for n in range(5)),
            hashlib.sha256(email.encode()).hexdigest().encode(),
            hashlib.sha256(marker.encode()).digest(),
            hashlib.md5(email.lower().encode()).hexdigest().upper().encode(),
            base64.b64encode(hashlib.sha1(marker.encode()).digest()),
            hashlib.blake2b(email.encode(), digest_size=16).hexdigest().encode(),
            hashlib.sha3_256(email.encode()).hexdigest()[:24].encode(),
            b"\n".join(unpacked(b"head" + zstandard.compress(b"one " * 99 + email.encode()) + b"tail")),
            b"\n".join(unpacked(b"head" + gzip.compress(b"one " * 99 + email.encode()) + b"tail")),
        ],
        "born": [born.encode(), hashlib.sha512(born.encode()).hexdigest().encode()],
        "id": [str(uuid).encode(), uuid.bytes, uuid.hex.upper().encode(), base64.b64encode(uuid.bytes)],
    }
    for field, texts in hidden.items():
        for text in texts:
            assert ("here", field) in found(canary, {"here": b"..." + text + b"..."}), text
    assert found(canary, {"here": b"nothing of it"}) == []


def wrong(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a body with one field wrong in some way, its own value and another one still in it."""
    fuzzed = json.loads(json.dumps(body))
    inner = fuzzed
    while True:
        name = chance.choice([*inner] if isinstance(inner, dict) else range(len(inner)))
        if not (isinstance(inner[name], dict | list) and inner[name] and chance.random() < 0.7):
            break
        inner = inner[name]
    value = str(inner[name])
    inner[name] = chance.choice(
        [{"nickname": value}, [[value]], value * 200, value + "\x00", 7.5, {value: value}, [{value: 1}]]
    )
    return fuzzed


async def live(site: Site, canary: Canary) -> list[httpx.Response]:
    """Register, read, find and change a patient; ask for medicines, and decide."""
    client, nurse = site.client, site.headers("nurse")
    body = canary.body()
    created = await client.post("/api/patients", json=body, headers=nurse)
    assert created.status_code == 201, created.text
    canary.registered(created.json()["id"])
    path = f"/api/patients/{canary.markers['id']}"
    answers = [await client.get(path, headers=nurse) for _ in range(3)]
    for query in (
        {"search": body["lastName"]},
        {"search": f"{body['firstName']} {body['lastName']}"},
        {"search": body["mrn"]},
        {"phone": body["contact"]["phone"]},
        {"email": body["contact"]["email"]},
        {"dateOfBirth": body["dateOfBirth"]},
    ):
        answers += [await client.get("/api/patients", params=query, headers=nurse) for _ in range(2)]
    change = {"grade": body["grade"], "contact": {"address": body["contact"]["address"]}}
    answers.append(
        await client.patch(path, json=change, headers={**nurse, "if-match": created.headers["etag"]})
    )
    asked = await client.post("/api/prescriptions/requests", json=canary.prescription(), headers=nurse)
    assert asked.status_code == 201, asked.text
    request = f"/api/prescriptions/requests/{asked.json()['id']}"
    answers.append(await client.get(request, headers=nurse))
    decided = await client.post(f"{request}/override", json=canary.decision(), headers=site.headers("doctor"))
    for text in ("medicationName", "substance"):
        typed = {"name": canary.values[text]}
        answers.append(await client.get("/api/drugs/lookup", params=typed, headers=nurse))
        answers.append(await client.post("/api/drugs/lookup", json={"names": [typed["name"]]}, headers=nurse))
        answers.append(await client.get("/api/medications", params={"search": typed["name"]}, headers=nurse))
    dosage = {"text": canary.values["dosage"]}
    answers.append(await client.post("/api/medications/frequency/parse", json=dosage, headers=nurse))
    for answer in (*answers, decided):
        assert answer.status_code in {200, 201}, answer.text
    return [created, asked, decided, *answers]


async def refused(site: Site, canary: Canary, seed: int, times: int) -> list[httpx.Response]:
    """Do all of it wrong."""
    chance = random.Random(seed)
    client, nurse = site.client, site.headers("nurse")
    body, order, marks = canary.body(), canary.prescription(), canary.values
    etag, path = {"if-match": '"0-no"'}, f"/api/patients/{marks['id']}"
    sent = {**nurse, "content-type": "application/json"}
    broken: list[Awaitable[httpx.Response]] = [
        client.post("/api/patients", json=body, headers=nurse),  # the record number is taken
        client.patch(path, json={"grade": body["grade"]}, headers=nurse),
        client.patch(path, json={"grade": body["grade"]}, headers={**nurse, **etag}),
        client.patch(path, json={"nickname": body["mrn"]}, headers={**nurse, **etag}),
        client.get(f"/api/patients/{body['mrn']}", headers=nurse),
        client.get(f"/api/{body['lastName']}/{body['mrn']}", headers=nurse),
        client.get("/api/patients", params={"nickname": body["mrn"]}, headers=nurse),
        client.get("/api/patients", params={"dateOfBirth": body["lastName"]}, headers=nurse),
        client.get("/api/patients", params={"search": body["lastName"], "page": body["mrn"]}, headers=nurse),
        client.request(body["firstName"].upper(), "/api/patients", headers=nurse),
        client.get(path, headers=site.headers("auditor")),
        client.get(path, headers={"authorization": f"Bearer {body['mrn']}"}),
        client.get(path, headers={**nurse, "traceparent": body["mrn"], "tracestate": body["mrn"]}),
        client.get(path, headers={**nurse, "if-none-match": body["mrn"], "accept": body["mrn"]}),
        client.post("/api/patients", content=json.dumps(body)[:-5], headers=sent),
        client.post("/api/patients", json=body, headers={**nurse, "content-type": f"a/{body['mrn']}"}),
        client.post("/api/prescriptions/requests", content=json.dumps(order)[:-5], headers=sent),
        client.get("/api/drugs/lookup", params={"nome": marks["substance"]}, headers=nurse),
        client.get("/api/medications", params={"search": marks["symptoms"], "page": "x"}, headers=nurse),
        client.post("/api/medications/frequency/parse", json={"texts": marks["dosage"]}, headers=nurse),
        client.get(f"/api/prescriptions/requests/{marks['duration']}", headers=nurse),
    ]
    for _ in range(times):
        broken.append(client.post("/api/patients", json=wrong(body, chance), headers=nurse))
        broken.append(client.post("/api/prescriptions/requests", json=wrong(order, chance), headers=nurse))
    return [await request for request in broken]


async def failed(site: Site, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> list[httpx.Response]:
    """Ask while the table is locked, while a statement is cut off, and where the code is wrong."""
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
    answers = list(await asyncio.gather(*asked))

    async def wrong_code(*given: object) -> object:
        raise RuntimeError(f"cannot handle {given}")

    with monkeypatch.context() as patch:
        patch.setattr(service, "register", wrong_code)
        answers.append(await site.client.post("/api/patients", json=canary.body(), headers=headers))
    assert answers[-1].status_code == 500
    return answers


def cached(url: str) -> tuple[bytes, bytes]:
    """Return all keys and all values of the shared tier, as they are and unpacked."""
    with redis.Redis.from_url(url) as server:
        keys = list(server.scan_iter(count=1000))
        values: list[bytes] = []
        for key in keys:
            match server.type(key):
                case b"string":
                    values.append(server.get(key) or b"")
                case b"hash":
                    values += [part for pair in server.hgetall(key).items() for part in pair]
                case b"none":
                    pass
                case kind:
                    raise AssertionError(f"values of the kind {kind!r} are not searched")
    return b"\n".join(keys), b"\n".join(part for value in values for part in unpacked(value))


async def history(site: Site) -> bytes:
    """Return the rows of the minute that is not over yet, written as if it were."""
    here = plugin.watch
    here.tick()
    own = here.leader.history
    own._written = int(here.wall() // 60) - 5
    own.take(here.node.minutes(), here.wall() + 70)
    await own.write()
    with psycopg.connect(site.urls.owner) as owner:
        return str(owner.execute("select * from performance_metrics").fetchall()).encode()


async def told_by(site: Site) -> dict[str, bytes]:
    """Return what a running site tells of itself."""
    here = plugin.watch
    admin = site.headers("admin", accept="application/openmetrics-text")
    rows = await history(site)
    keys, values = cached(site.urls.cache)
    kept = [path for path in (site.assembly.settings.home / "run" / "telemetry").rglob("*") if path.is_file()]
    total = here.node.slots()[here.node.number].total
    return {
        "cache keys": keys,
        "cache values": values,
        "metrics": (await site.client.get("/metrics", headers=admin)).content,
        "CloudWatch": repr(list(metric_data(total, here.bounds, 1e9))).encode(),
        "performance": (await site.client.get("/api/admin/performance", headers=admin)).content,
        "live page": str((await anext(routes._views(here, 300))).data).encode(),
        "telemetry files": b"".join(path.read_bytes() for path in kept),
        "history": rows,
    }


REFUSALS = {400, 401, 403, 404, 405, 409, 412, 415, 422, 428, 500}
# What a place certainly tells, so that an empty one is not taken for a clean one.
TOLD = {
    "cache keys": b"cito{",
    "cache values": b"\x01",
    "OTLP spans": b"search_patients",
    "OTLP metrics": b"search_patients",
    "metrics": b"search_patients",
    "embedded metrics": b"search_patients",
    "CloudWatch": b"search_patients",
    "performance": b"search_patients",
    "live page": b"search_patients",
    "telemetry files": b"search_patients",
    "history": b"search_patients",
    "webhooks": b"slow_query",
    "our logs": b"RuntimeError",
    "PostgreSQL's log": b"terminating connection",
    "Valkey's log": b"Ready to accept connections",
    "error bodies": b"requestId",
    "answers' headers": b"server-timing",
}


@pytest.mark.parametrize(("seed", "times"), [(7, 40), pytest.param(8, 1_000, marks=pytest.mark.full)])
async def test_no_marker_is_found_anywhere(
    open_site: OpenSite,
    logs: io.StringIO,
    home: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    seed: int,
    times: int,
) -> None:
    canary = Canary()
    with collector() as otlp, receiver() as hooks:
        settings = ObservabilitySettings(
            sample_ratio=1.0,
            otlp_url=otlp.url(""),
            webhook_url=hooks.url,
            cloudwatch="emf",
            log_level="debug",
        )
        async with open_site(observability=settings) as site:
            with psycopg.connect(site.urls.owner, autocommit=True) as owner:
                owner.execute(
                    "insert into clinic (id, name, time_zone, region) values (%s, 'Clinic', 'UTC', 'US')",
                    (CLINIC,),
                )
            answers = await live(site, canary)
            wrong_answers = await refused(site, canary, seed, times)
            wrong_answers += await failed(site, canary, monkeypatch)
            async with asyncio.timeout(20):
                while not any(b'"slow_query"' in one.body for one in hooks.tries):  # noqa: ASYNC110 - it comes from a thread
                    await asyncio.sleep(0.05)
            places = await told_by(site)
    printed = capfd.readouterr()
    assert {answer.status_code for answer in wrong_answers} >= REFUSALS
    answers += wrong_answers
    errors = [answer.content for answer in answers if answer.status_code >= 400]
    assert len(errors) > 2 * times
    places |= {
        "OTLP spans": b"".join(body for path, body in otlp.bodies if path.endswith("traces")),
        "OTLP metrics": b"".join(body for path, body in otlp.bodies if path.endswith("metrics")),
        "embedded metrics": printed.out.encode(),
        "standard error": printed.err.encode(),
        "our logs": logs.getvalue().encode(),
        "PostgreSQL's log": (home / "log" / "postgres.log").read_bytes(),
        "Valkey's log": (home / "log" / "valkey.log").read_bytes(),
        "webhooks": b"".join(one.body + repr(one.headers).encode() for one in hooks.tries),
        "error bodies": b"\n".join(errors),
        "answers' headers": b"\n".join(repr(answer.headers.raw).encode() for answer in answers),
    }
    assert {place for place, text in TOLD.items() if text not in places[place]} == set()
    # Who registered a patient is told where it is: `Location`.
    assert set(found(canary, places)) == {("answers' headers", "id")}


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
    leaking = {place for place, _ in found(canary, raw)}
    assert len(leaking) >= 9, leaking
