"""The OpenAPI document's examples work, and it says which headers a client may send."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support import CLINIC, Site

Operation = tuple[str, str, dict[str, Any]]


async def operations(site: Site) -> list[Operation]:
    document = (await site.client.get("/docs/openapi.json")).json()
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/api")
    ]


@pytest.fixture(scope="module")
def clinic(site: Site) -> None:
    with psycopg.connect(site.urls.admin, autocommit=True) as admin:
        admin.execute(
            "insert into clinic (id, name, time_zone, region, locale) values (%s, 'C', 'UTC', 'US', 'en-US')",
            [CLINIC],
        )


async def test_every_body_has_an_example(site: Site) -> None:
    without = [
        f"{method} {path}"
        for method, path, operation in await operations(site)
        if "requestBody" in operation
        and "example" not in operation["requestBody"]["content"]["application/json"]
    ]
    assert not without


async def test_every_example_of_a_post_is_accepted(site: Site, clinic: None) -> None:
    tried = 0
    for method, path, operation in await operations(site):
        if method != "post" or "{" in path:
            continue
        body = operation["requestBody"]["content"]["application/json"]["example"]
        role = {"drugs:write": "pharmacist", "admin:write": "admin"}.get(operation["x-scope"], "doctor")
        answer = await site.client.post(path, json=body, headers=site.headers(role))
        assert answer.status_code in (200, 201, 204), f"{path}: {answer.text}"
        tried += 1
    assert tried >= 5


async def test_reads_and_changes_say_their_conditional_headers(site: Site) -> None:
    for method, path, operation in await operations(site):
        headers = {p["name"]: p["required"] for p in operation.get("parameters", ()) if p["in"] == "header"}
        if method == "get":
            assert headers["If-None-Match"] is False, path
        if method == "patch":
            assert headers["If-Match"] is True, path


async def test_what_was_made_leads_to_what_can_be_done_with_it(site: Site) -> None:
    by_name = {operation["operationId"]: operation for _, _, operation in await operations(site)}
    links = by_name["register_patient"]["responses"]["201"]["links"]
    assert set(links) == {"read_patient", "change_patient", "delete_patient", "merge_patients"}
    assert links["change_patient"]["parameters"] == {
        "path.patient_id": "$response.body#/id",
        "header.If-Match": "$response.header.ETag",
    }
    found = by_name["search_drugs"]["responses"]["200"]["links"]
    assert found["read_drug"]["parameters"] == {"path.drug_id": "$response.body#/drugs/0/id"}
    assert "links" not in by_name["look_up_drug"]["responses"]["200"]
