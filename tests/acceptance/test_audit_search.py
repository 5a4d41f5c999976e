from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from support import CLINIC, OTHER_CLINIC, OpenSite, Site

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.http.tokens import mint

PATIENTS = [uuid4() for _ in range(5)]


@pytest.fixture(scope="module")
async def audited(open_site: OpenSite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A site of its own home, its journals shipped, with 50 events of two clinics."""
    home = tmp_path_factory.mktemp("home")
    async with open_site(plugins=(), home=home) as site:
        settings = site.assembly.settings
        shipper = asyncio.create_task(Shipper(home / "audit", site.urls.app, audit_key(settings)).run(0.005))
        write(home)
        yield site
        shipper.cancel()
        await asyncio.gather(shipper, return_exceptions=True)


def write(home: Path) -> None:
    journal = Journal(home / "audit")
    for number in range(50):
        journal.write(
            Entry(
                time.time_ns(),
                f"staff-{number % 3}",
                "nurse",
                CLINIC if number % 2 else OTHER_CLINIC,
                "read" if number % 4 else "update",
                "refused" if number % 10 == 0 else "success",
                "patients",
                str(PATIENTS[number % 5]),
                (PATIENTS[number % 5],),
                f"request-{number}",
                "4bf92f3577b34da6a3ce929d0e0e4736",
                None,
            )
        )
    journal.close()


async def search(
    site: Site, clinic: UUID | None = None, **query: str
) -> tuple[list[dict[str, str]], dict[str, int]]:
    headers = {"Authorization": f"Bearer {mint(site.assembly.settings, 'auditor', clinic)}"}
    response = await site.client.get(
        "/api/admin/audit", params={"resource": "patients", **query}, headers=headers
    )
    assert response.status_code == 200, response.text
    document = response.json()
    return document["events"], document["pagination"]


async def test_an_event_has_the_fields_of_the_contract(audited: Site) -> None:
    events, pagination = await search(audited)
    assert set(events[0]) == {
        *("id", "occurredAt", "actor", "role", "clinicId", "action", "outcome", "resource", "resourceId"),
        *("patientId", "requestId", "traceId", "purpose"),
    }
    assert UUID(events[0]["id"]).version == 7
    assert pagination == {"page": 1, "limit": 20, "total": 50, "totalIsCapped": False, "pages": 3}


async def test_newest_first_and_page_by_page(audited: Site) -> None:
    pages = [await search(audited, page=str(number), limit="20") for number in (1, 2, 3)]
    found = [event["requestId"] for events, _ in pages for event in events]
    assert found == [f"request-{number}" for number in range(49, -1, -1)]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"patientId": str(PATIENTS[1])}, 10),
        ({"actor": "staff-1"}, 17),
        ({"action": "update"}, 13),
        ({"outcome": "refused"}, 5),
        ({"requestId": "request-7"}, 1),
        ({"patientId": str(PATIENTS[0]), "outcome": "refused"}, 5),
        ({"since": "2020-01-01T00:00:00Z"}, 50),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
        ({"actor": "nobody' or '1'='1"}, 0),
    ],
)
async def test_each_filter(audited: Site, query: dict[str, str], count: int) -> None:
    events, pagination = await search(audited, **query)
    assert pagination["total"] == count
    assert len(events) == min(count, 20)


async def test_an_auditor_of_a_clinic_sees_that_clinic(audited: Site) -> None:
    for clinic in (CLINIC, OTHER_CLINIC):
        events, pagination = await search(audited, clinic)
        assert pagination["total"] == 25
        assert {event["clinicId"] for event in events} == {str(clinic)}


async def test_looking_into_the_audit_is_an_event_that_the_next_look_shows(audited: Site) -> None:
    headers = audited.headers("auditor", **{"X-Request-Id": "the-first-look"})
    await audited.client.get("/api/admin/audit", params={"patientId": str(PATIENTS[0])}, headers=headers)
    events, _ = await search(audited, requestId="the-first-look", resource="audit")
    assert [(one["actor"], one["action"], one["patientId"]) for one in events] == [
        ("dev-auditor", "search", str(PATIENTS[0]))
    ]


@pytest.mark.parametrize("role", ["nurse", "doctor", "pharmacist", "clerk", "admin"])
async def test_nobody_but_an_auditor_looks(audited: Site, role: str) -> None:
    assert (await audited.client.get("/api/admin/audit", headers=audited.headers(role))).status_code == 403


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"clinicId": str(CLINIC)}, "clinicId"),
        ({"patientId": "x"}, "patientId"),
        ({"outcome": "great"}, "outcome"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"page": "0"}, "page"),
        ({"limit": "101"}, "limit"),
        ({"actor": "x" * 256}, "actor"),
    ],
)
async def test_bad_filters_are_refused(audited: Site, query: dict[str, str], field: str) -> None:
    response = await audited.client.get("/api/admin/audit", params=query, headers=audited.headers("auditor"))
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_a_revoked_token_stops_within_a_second_in_every_process(audited: Site) -> None:
    settings = audited.assembly.settings
    token = mint(settings, "auditor", None)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await audited.client.get("/api/admin/audit", headers=headers)).status_code == 200

    token_id = jwt.decode(token, options={"verify_signature": False})["jti"]
    revoked = await audited.client.post(
        "/api/admin/revocations", json={"tokenId": token_id}, headers=audited.headers("admin")
    )
    assert revoked.status_code == 204
    deadline = time.monotonic() + 1
    while (await audited.client.get("/api/admin/audit", headers=headers)).status_code != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert (
        await audited.client.get("/api/admin/audit", headers=audited.headers("auditor"))
    ).status_code == 200


async def test_a_visit_without_a_token_is_an_event(audited: Site) -> None:
    headers = {"Authorization": "Bearer x", "X-Request-Id": "nobody"}
    assert (await audited.client.get("/api/patients", headers=headers)).status_code == 401
    [event], _ = await search(audited, resource="api", requestId="nobody")
    assert (event["actor"], event["action"], event["outcome"]) == ("anonymous", "authenticate", "refused")
