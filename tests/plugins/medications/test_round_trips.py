"""How many queries a request costs: cold, warm, and after a write. `Server-Timing` says it, and `rules` bound it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from support import Site

PATH = "/api/medications"


def cost(answer: httpx.Response) -> tuple[str, int]:
    """The cache's outcome and the number of queries."""
    said = answer.headers["server-timing"]
    outcome = re.search(r'cache;desc="(\w+)"', said)
    queries = re.search(r'db;desc="(\d+)"', said)
    assert queries
    return outcome[1] if outcome else "", int(queries[1])


async def get(site: Site, path: str, **params: Any) -> httpx.Response:
    return await site.client.get(path, params=params, headers=site.headers())


async def warm(site: Site, path: str, **params: Any) -> None:
    """A read that costs no query; on a machine that stalls, the cache may first bypass or forget, never lie."""
    async with asyncio.timeout(20):
        while cost(await get(site, path, **params)) != ("local", 0):  # noqa: ASYNC110 - polls as a client does
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
async def vouched_for(formulary: Site) -> None:
    await warm(formulary, PATH, limit=1)


@pytest.mark.parametrize(
    ("path", "params", "cold"),
    [
        (PATH, {}, 1),
        (PATH, {"page": 3, "limit": 50}, 1),
        (PATH, {"search": "aspirin 81 mg"}, 1),
        (PATH, {"search": "aspirin 81 mg", "page": 4}, 2),
        (f"{PATH}/autocomplete", {"query": "asp"}, 1),
        (f"{PATH}/autocomplete", {"query": "amoxicilin"}, 2),
    ],
)
async def test_cold_is_one_query_and_warm_is_none(
    formulary: Site, path: str, params: dict[str, Any], cold: int
) -> None:
    assert cost(await get(formulary, path, **params)) == ("miss", cold)
    await warm(formulary, path, **params)
    respelt = {k: v.upper() + "  " if isinstance(v, str) else v for k, v in params.items()}
    await warm(formulary, path, **respelt)


async def test_a_write_costs_its_statements_and_one_read(formulary: Site) -> None:
    body = {"name": "Counted", "genericName": "counted", "dosageForm": "tablet"}
    made = await formulary.client.post(PATH, json=body, headers=formulary.headers())
    assert cost(made)[1] == 2
    await warm(formulary, made.headers["location"])
    headers = formulary.headers(**{"If-Match": made.headers["etag"]})
    changed = await formulary.client.patch(
        made.headers["location"], json={"strength": "1 mg"}, headers=headers
    )
    assert cost(changed)[1] == 3


async def test_nothing_changed_is_said_without_a_body(formulary: Site) -> None:
    first = await get(formulary, PATH, search="lipitor")
    headers = formulary.headers(**{"If-None-Match": first.headers["etag"]})
    # The relay bumps after the writer before did: the validator may change once more.
    while (
        again := await formulary.client.get(PATH, params={"search": "lipitor"}, headers=headers)
    ).status_code != 304:
        headers["If-None-Match"] = again.headers["etag"]
    assert again.content == b""
    assert cost(again)[1] == 0
