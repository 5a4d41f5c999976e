from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from cito.core.audit.entry import Entry
from cito.core.audit.journal import JournalFullError
from cito.core.errors import Unavailable

from .conftest import CLINIC, Site

THING = UUID("01890000-0000-7000-8000-000000000009")
PATIENT = UUID("01890000-0000-7000-8000-0000000000aa")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_an_event_says_who_what_where_and_why(client: httpx.AsyncClient, site: Site) -> None:
    headers = site.headers(
        **{
            "X-Request-Id": "r-1",
            "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            "X-Purpose-Of-Use": "TREAT",
        }
    )
    assert (await client.get(f"/api/patients/{PATIENT}/things", headers=headers)).status_code == 200
    [event] = site.events
    assert (event.actor, event.role, event.clinic_id) == ("dev-nurse", "nurse", CLINIC)
    assert (event.action, event.resource, event.resource_id, event.outcome) == (
        "read",
        "things",
        str(PATIENT),
        "success",
    )
    assert (event.patients, event.request_id, event.trace_id, event.purpose) == (
        (PATIENT,),
        "r-1",
        TRACE,
        "TREAT",
    )


@pytest.mark.parametrize(
    ("method", "url", "body", "action", "patients"),
    [
        ("GET", f"/api/things/{THING}", None, "read", 0),
        ("GET", "/api/things", None, "search", 0),
        ("GET", "/api/things?hits=3", None, "search", 3),
        ("GET", f"/api/patients/{PATIENT}/things?seen=1", None, "read", 1),
        ("POST", "/api/things", {"name": "a"}, "create", 0),
        ("POST", f"/api/things/{THING}/approval", {}, "override", 1),
    ],
)
async def test_each_access_is_one_event(
    client: httpx.AsyncClient, site: Site, method: str, url: str, *, body: Any, action: str, patients: int
) -> None:
    response = await client.request(method, url, json=body, headers=site.headers())
    assert response.status_code < 400
    [event] = site.events
    assert (event.action, len(event.patients), event.outcome) == (action, patients, "success")


async def test_refusals_and_failures_are_events(client: httpx.AsyncClient, site: Site) -> None:
    await client.get(f"/api/patients/{PATIENT}/things", headers=site.headers("auditor"))
    await client.post("/api/things", json={}, headers=site.headers())
    await client.get("/api/formulary", headers=site.headers("auditor"))
    refused, failed, closed = site.events
    assert (refused.actor, refused.outcome, refused.patients) == ("dev-auditor", "refused", (PATIENT,))
    assert (failed.action, failed.outcome) == ("create", "failed")
    assert (closed.resource, closed.outcome) == ("things", "refused")


async def test_a_read_of_nobodys_data_is_no_event(client: httpx.AsyncClient, site: Site) -> None:
    await client.get("/api/formulary", headers=site.headers())
    await client.get("/health")
    assert site.events == []


async def test_an_unknown_purpose_is_refused(client: httpx.AsyncClient, site: Site) -> None:
    response = await client.get("/api/things", headers=site.headers(**{"X-Purpose-Of-Use": "CURIOSITY"}))
    assert response.status_code == 422
    assert "CURIOSITY" not in response.text


async def test_the_event_is_there_when_the_answer_begins(site: Site) -> None:
    there: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there.append(len(site.events))

    headers = [(name.lower().encode(), value.encode()) for name, value in site.headers().items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/api/things/{THING}",
        "query_string": b"",
        "headers": headers,
    }
    await site.app(
        scope | {"asgi": {"version": "3.0"}, "server": ("cito.test", 80), "scheme": "http"}, receive, send
    )
    assert there == [1]


class TestWithoutRoom:
    @pytest.fixture
    def full(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
        def refuse(_: Entry) -> None:
            raise JournalFullError

        monkeypatch.setattr(site.journal, "write", refuse)
        return site

    async def test_reads_of_patient_data_stop(self, client: httpx.AsyncClient, full: Site) -> None:
        for url in (f"/api/things/{THING}", "/api/things?hits=2"):
            response = await client.get(url, headers=full.headers())
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert response.json()["type"] == "urn:cito:problem:unavailable"
            assert str(THING) not in response.text
        assert full.records[-1].status == 503

    async def test_nothing_else_stops(self, client: httpx.AsyncClient, full: Site) -> None:
        assert (await client.get("/api/formulary", headers=full.headers())).status_code == 200
        assert (await client.get("/health")).status_code == 200
        assert (
            await client.post("/api/things", json={"name": "a"}, headers=full.headers())
        ).status_code == 201
        refused = await client.get("/api/things", headers=full.headers("auditor"))
        assert refused.status_code == 403
        looked = await client.get("/metrics", headers=full.headers("auditor", None))
        assert looked.status_code == 200  # how Cito runs is no patient's data
        assert [(event.action, event.outcome) for event in full.direct] == [
            ("create", "success"),
            ("search", "refused"),
            ("search", "success"),
        ]

    async def test_a_write_that_nobody_can_write_down_is_not_confirmed(
        self, client: httpx.AsyncClient, full: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(_: Entry) -> None:
            raise Unavailable

        monkeypatch.setattr(full.app._app._app, "_direct", away)
        response = await client.post("/api/things", json={"name": "a"}, headers=full.headers())
        assert response.status_code == 503
