from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from cito.core.http.cors import CrossOrigin

from .conftest import Site

THING = "/api/things/01890000-0000-7000-8000-000000000009"
FRIEND = "https://clinic.example"


@pytest.fixture
async def friendly(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    site.app._app = CrossOrigin(site.app._app, (FRIEND,))
    transport = httpx.ASGITransport(site.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://cito.test") as client:
        yield client


def preflight(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "GET"}


async def test_closed_by_default(client: httpx.AsyncClient, site: Site) -> None:
    assert (await client.options(THING, headers=preflight(FRIEND))).status_code == 401
    answer = await client.get(THING, headers=site.headers(Origin=FRIEND))
    assert not any(name.startswith("access-control") for name in answer.headers)


async def test_an_allowed_origin_may_ask_and_read(friendly: httpx.AsyncClient, site: Site) -> None:
    asked = await friendly.options(THING, headers=preflight(FRIEND))
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, FRIEND)
    answer = await friendly.get(THING, headers=site.headers(Origin=FRIEND))
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in answer.headers
    refused = await friendly.get(THING, headers={"Origin": FRIEND})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, FRIEND)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://clinic.example.evil.example", "*"]
)
async def test_every_other_origin_gets_nothing(friendly: httpx.AsyncClient, site: Site, origin: str) -> None:
    assert (await friendly.options(THING, headers=preflight(origin))).status_code == 401
    answer = await friendly.get(THING, headers=site.headers(Origin=origin))
    assert not any(name.startswith("access-control") for name in answer.headers)
