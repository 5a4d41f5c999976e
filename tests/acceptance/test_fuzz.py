"""Generated requests over the whole OpenAPI document: no status that is not declared, no crash, no wrong shape."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import hypothesis
import psycopg
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support import CLINIC, OpenSite, Site

from cito.core.http.tokens import mint
from cito.core.settings import HttpSettings

UNLIMITED = HttpSettings(rate_per_subject_per_second=1e9, rate_per_clinic_per_second=1e9)
ROLES: dict[str, tuple[str, UUID | None]] = {
    "audit": ("auditor", None),
    "admin": ("admin", None),
    "metrics": ("admin", None),
}
STREAMS = {"performance_live"}  # an endless answer
# Where the ids in paths come from: the state that one operation leaves for the others.
MAKERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "patient_id": ("/api/patients", "doctor", {"lastName": "Person"}),
    "drug_id": ("/api/drugs", "pharmacist", {"genericName": "aspirin"}),
    "medicine_id": (
        "/api/medications",
        "doctor",
        {"name": "A", "genericName": "aspirin", "dosageForm": "tablet"},
    ),
    "request_id": ("/api/prescriptions/requests", "doctor", {"medications": [{"medicationName": "aspirin"}]}),
}


@pytest.fixture(scope="module")
async def site(open_site: OpenSite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with open_site(home=tmp_path_factory.mktemp("home"), http=UNLIMITED) as opened:
        with psycopg.connect(opened.urls.admin) as connection:
            statement = "insert into clinic (id, name, time_zone, region, locale) values (%s, 'C', 'UTC', 'US', 'en-US')"
            connection.execute(statement, [CLINIC])
        yield opened


@pytest.fixture(scope="module")
async def document(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = (await site.client.get("/docs/openapi.json")).json()
    return found


def headers_for(site: Site, operation: Any) -> dict[str, str]:
    scope = operation.definition.raw.get("x-scope", "")
    role, clinic = ROLES.get(scope.partition(":")[0], ("doctor", CLINIC))
    if scope == "drugs:write":
        role = "pharmacist"
    return {"Authorization": f"Bearer {mint(site.assembly.settings, role, clinic)}"}


async def made(site: Site) -> dict[str, str]:
    """Make one of everything that has an id."""
    found = {}
    for name, (url, role, body) in MAKERS.items():
        headers = {"Authorization": f"Bearer {mint(site.assembly.settings, role, CLINIC)}"}
        unique = {
            key: uuid4().hex if key in ("name", "genericName") else value for key, value in body.items()
        }
        answer = await site.client.post(url, json=unique, headers=headers)
        if answer.status_code != 503:  # the database may be failing on purpose
            assert answer.status_code == 201, answer.text
            found[name] = answer.json()["id"]
    return found


async def exercise(site: Site, operation: Any, count: int, allowed: Callable[[httpx.Response], bool]) -> None:
    """Send generated cases of one operation, from a thread: hypothesis does not know event loops."""
    loop = asyncio.get_running_loop()
    ids = await made(site)
    maker_of = {url: name for name, (url, _, _) in MAKERS.items()}
    headers = headers_for(site, operation)
    checks = (
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    )

    @hypothesis.settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.seed(7)
    @hypothesis.given(case=operation.as_strategy(), existing=st.booleans(), matching=st.booleans())
    def run(case: Any, *, existing: bool, matching: bool) -> None:
        if existing and case.path_parameters:
            case.path_parameters = {
                name: ids.get(name, value) for name, value in case.path_parameters.items()
            }
        sent = case.as_transport_kwargs(base_url="http://cito.test")
        given = {
            name: value for name, value in sent.pop("headers", {}).items() if name.lower() != "authorization"
        }
        sent.pop("cookies", None)
        if matching:
            given["If-Match"] = "*"
        if "data" in sent:
            sent["content"] = sent.pop("data")
        try:
            request = httpx.Request(sent.pop("method"), sent.pop("url"), headers=given | headers, **sent)
        except (httpx.InvalidURL, UnicodeEncodeError, TypeError):
            return  # no client could send this
        answer = asyncio.run_coroutine_threadsafe(site.client.send(request), loop).result(60)
        if answer.status_code == 201 and operation.path in maker_of:  # newer state for those that follow
            ids[maker_of[operation.path]] = answer.json()["id"]
        if not allowed(answer):
            case.validate_response(answer, checks=checks)

    await asyncio.to_thread(run)


def operations(document: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    return [one for one in found if one.definition.raw["operationId"] not in STREAMS]


@pytest.mark.parametrize(
    "count", [6, pytest.param(2_000, marks=[pytest.mark.full, pytest.mark.timeout(7_200)])]
)
async def test_generated_requests_get_declared_answers(
    site: Site, document: dict[str, Any], count: int
) -> None:
    for operation in operations(document):
        await exercise(site, operation, count, lambda _: False)


@pytest.mark.parametrize(
    "count", [2, pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(7_200)])]
)
async def test_generated_requests_while_the_database_fails(
    site: Site, document: dict[str, Any], count: int
) -> None:
    async def kill_connections() -> None:
        async with await psycopg.AsyncConnection.connect(site.urls.admin, autocommit=True) as admin:
            while True:
                await admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and usename = 'cito_app'"
                )
                await asyncio.sleep(0.05)

    killing = asyncio.create_task(kill_connections())
    try:
        for operation in operations(document):
            await exercise(site, operation, count, lambda answer: answer.status_code == 503)
    finally:
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killing
