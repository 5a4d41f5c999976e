from __future__ import annotations

from support import Site


async def test_alive_and_ready_need_no_token(site: Site) -> None:
    alive = await site.client.get("/health")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    ready = await site.client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert {"database", "migrations"} <= ready.json()["checks"].keys()


async def test_every_path_under_api_needs_a_token_known_or_not(site: Site) -> None:
    for path in ("/api/admin/performance", "/api/no/such/thing", "/api"):
        refused = await site.client.get(path)
        assert refused.status_code == 401, path
        assert refused.headers["content-type"] == "application/problem+json"


async def test_the_openapi_document_is_served(site: Site) -> None:
    document = (await site.client.get("/docs/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/api/admin/performance" in document["paths"]


async def test_the_documentation_page_needs_no_network(site: Site) -> None:
    page = await site.client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    script = await site.client.get("/docs-assets/rapidoc.js")
    assert script.headers["content-encoding"] == "gzip"
    assert "RapiDoc" in script.text[:200]


async def test_the_document_shows_who_may_what(site: Site) -> None:
    document = (await site.client.get("/docs/openapi.json")).json()
    assert "| `audit:read` |" in document["info"]["description"]
