"""The enabled list decides what runs: a plugin that is not named leaves no trace in the running API."""

from __future__ import annotations

import psycopg
import pytest
from support import OpenSite, Site

PLUGINS = ("patients", "medications", "drugs")
PATHS = {"patients": "/api/patients", "medications": "/api/medications", "drugs": "/api/drugs"}


async def traces(site: Site, plugin: str) -> list[str]:
    """Wherever the API or the database shows something of a plugin."""
    registry = site.assembly.registry
    found = [
        f"{kind}: {owned.value}"
        for kind in (
            "routes",
            "queries",
            "indexes",
            "cache_families",
            "invalidations",
            "targets",
            "seed_data",
        )
        for owned in getattr(registry, kind)
        if owned.plugin == plugin
    ]
    document = (await site.client.get("/docs/openapi.json")).json()
    found += [path for path in document["paths"] if path.startswith(PATHS[plugin])]
    answer = await site.client.get(PATHS[plugin], headers=site.headers("doctor"))
    if answer.status_code != 404:
        found.append(f"{PATHS[plugin]}: {answer.status_code}")
    metrics = await site.client.get("/metrics", headers=site.headers("admin"))
    found += [
        line
        for line in metrics.text.splitlines()
        if f"{PATHS[plugin]}/" in line or f'{PATHS[plugin]}"' in line
    ]
    with psycopg.connect(site.urls.owner) as owner:
        applied = owner.execute("select id from cito.migrations where plugin = %s", (plugin,)).fetchall()
    return found + [id_ for (id_,) in applied]


@pytest.mark.parametrize("plugin", PLUGINS)
async def test_a_plugin_alone_brings_what_is_its_own(open_site: OpenSite, plugin: str) -> None:
    async with open_site(plugins=(plugin,)) as site:
        assert await traces(site, plugin)
        for other in PLUGINS:
            if other != plugin:
                assert not await traces(site, other)
        assert (await site.client.get("/ready")).status_code == 200
        performance = await site.client.get("/api/admin/performance", headers=site.headers("admin"))
        assert performance.status_code == 200


async def test_without_any_plugin_the_core_still_answers(open_site: OpenSite) -> None:
    async with open_site(plugins=()) as site:
        for plugin in PLUGINS:
            assert not await traces(site, plugin)
        assert (await site.client.get("/ready")).status_code == 200
