"""A site with the demo formulary, one for all tests of a file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support import OpenSite, Site

from cito.core.seeding import run_seeds, seeds_in_order


@pytest.fixture(scope="module")
async def formulary(open_site: OpenSite) -> AsyncIterator[Site]:
    async with open_site(plugins=("medications",)) as site:
        seeds = seeds_in_order(site.assembly.registry)
        await run_seeds(site.urls.owner, seeds, None, lambda *_: None)
        yield site


@pytest.fixture
async def empty_formulary(open_site: OpenSite) -> AsyncIterator[Site]:
    async with open_site(plugins=("medications",)) as site:
        yield site
