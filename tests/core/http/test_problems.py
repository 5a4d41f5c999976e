from __future__ import annotations

import json
import logging

import httpx
import pytest

from .conftest import Site

THING = "/api/things/01890000-0000-7000-8000-000000000009"
JSON = {"Content-Type": "application/json"}


def check(response: httpx.Response, status: int) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    document = response.json()
    assert set(document) == {"type", "title", "status", "detail", "instance", "requestId", "errors"}
    assert document["status"] == status
    assert document["requestId"] == response.headers["x-request-id"]
    trace_id = response.headers["traceparent"].split("-")[1]
    assert document["instance"] == f"urn:cito:request:{document['requestId']}?=trace={trace_id}"
    return document


@pytest.mark.parametrize(
    ("body", "status", "field", "rule"),
    [
        (b"{", 400, None, None),
        (b'{"name": "a", "name\xff": 1}', 400, None, None),
        (b"[" * 100_000, 413, None, None),
        (b'{"name":"a","x":' + b"[" * 400 + b"]" * 400 + b"}", 422, "x", "unknown"),
        (b'{"name":' + b"[" * 900, 400, None, None),
        (b"{}", 422, "name", "required"),
        (b'{"name": ""}', 422, "name", "min_length"),
        (b'{"name": "' + b"x" * 51 + b'"}', 422, "name", "max_length"),
        (b'{"name": []}', 422, "name", "type"),
        (b"[]", 422, "", "type"),
        (b'{"name": "a", "clinicId": "01890000-0000-7000-8000-000000000001"}', 422, "clinicId", "unknown"),
        (b'{"name": "a", "Jane Doe 4711": 1}', 422, "?", "unknown"),
        (b'{"name": "a", "contact": {"phoneNumber": 4711}}', 422, "contact.phoneNumber", "type"),
        (b'{"name": "a", "contact": {"extra": 1}}', 422, "contact.extra", "unknown"),
        (b'{"name": "a", "born": "4711"}', 422, "born", "uuid"),
        (b'{"name": "a", "caller": 4711}', 422, "caller", "type"),
        (b'{"name": "a", "caller": {"phoneNumber": 4711}}', 422, "caller.phoneNumber", "type"),
    ],
)
async def test_a_bad_body_names_field_and_rule_and_no_value(
    client: httpx.AsyncClient, site: Site, body: bytes, *, status: int, field: str | None, rule: str | None
) -> None:
    response = await client.post("/api/things", content=body, headers=site.headers() | JSON)
    document = check(response, status)
    assert "4711" not in response.text
    assert "Jane" not in response.text
    if field is None:
        assert document["errors"] == []
    else:
        assert [(error["field"], error["rule"]) for error in document["errors"]] == [(field, rule)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
)
async def test_only_json_in_utf8_is_taken(client: httpx.AsyncClient, site: Site, kind: str) -> None:
    headers = site.headers() | {"Content-Type": kind}
    check(await client.post("/api/things", content=b'{"name": "a"}', headers=headers), 415)


@pytest.mark.parametrize("kind", ["Application/JSON", 'application/json ; charset="UTF-8"'])
async def test_json_is_taken_however_it_is_named(client: httpx.AsyncClient, site: Site, kind: str) -> None:
    headers = site.headers() | {"Content-Type": kind}
    assert (await client.post("/api/things", content=b'{"name": "a"}', headers=headers)).status_code == 201


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient, site: Site) -> None:
    headers = site.headers() | JSON | {"Content-Encoding": "gzip"}
    check(await client.post("/api/things", content=b'{"name": "a"}', headers=headers), 415)


@pytest.mark.parametrize(
    ("url", "field", "rule"),
    [
        (f"{THING}?page=0", "page", "minimum"),
        (f"{THING}?page=abc", "page", "type"),
        (f"{THING}?clinicId=1", "clinicId", "unknown"),
        (f"{THING}?p%61ge=1&page=2", "page", "repeated"),
        (f"{THING}?%3Cb%3E=1", "?", "unknown"),
    ],
)
async def test_a_bad_parameter_is_refused(
    client: httpx.AsyncClient, site: Site, url: str, field: str, rule: str
) -> None:
    document = check(await client.get(url, headers=site.headers()), 422)
    assert [(error["field"], error["rule"]) for error in document["errors"]] == [(field, rule)]  # type: ignore[attr-defined]


async def test_what_is_not_there(client: httpx.AsyncClient, site: Site) -> None:
    check(await client.get("/api/unknown", headers=site.headers()), 404)
    check(await client.get("/api/things/not-a-uuid", headers=site.headers()), 404)
    check(await client.get("/nowhere"), 404)
    response = await client.delete(THING, headers=site.headers())
    check(response, 405)
    assert "GET" in response.headers["allow"]


async def test_a_problem_of_ours_passes_through(client: httpx.AsyncClient, site: Site) -> None:
    response = await client.post("/api/things", json={"name": "duplicate"}, headers=site.headers())
    document = check(response, 409)
    assert document["type"] == "urn:cito:problem:conflict"
    assert document["detail"] == "another thing has this name"


@pytest.mark.parametrize(("name", "kind"), [("bug", "RuntimeError"), ("refused statement", "QueryFailed")])
async def test_a_bug_is_a_500_that_tells_nothing(
    client: httpx.AsyncClient, site: Site, caplog: pytest.LogCaptureFixture, name: str, kind: str
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await client.post("/api/things", json={"name": name}, headers=site.headers())
    document = check(response, 500)
    assert "4711" not in json.dumps(document)
    assert "4711" not in caplog.text
    assert f"{kind} in create_thing" in caplog.text
    assert site.records[-1].error == kind
    assert site.records[-1].status == 500
