"""What the cache is for: most lookups are of few names, and those are warm from the start."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator

import psycopg
import pytest
from support import OpenSite

from cito.core.app import opened
from cito.core.clock import Clock
from cito.core.context import Context
from cito.plugins.drugs import service
from cito.plugins.drugs.cache import LOOKUP, most_used
from cito.plugins.drugs.seed import demo_drugs, load_drugs

SKEW = 1.1  # Zipf's: the hundred names asked for most are three quarters of all requests


@pytest.fixture
async def context(open_site: OpenSite) -> AsyncIterator[Context]:
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await load_drugs(connection, None, lambda *_: None)
        async with opened(site.assembly, site.urls, Clock()) as process:
            yield process


@pytest.mark.parametrize(
    ("count", "used"), [(5_000, 250), pytest.param(30_000, 2_000, marks=pytest.mark.full)]
)
async def test_a_skewed_trace_hits(context: Context, count: int, used: int) -> None:
    """The most used hundred are warm; the rest of the vocabulary follows in no order that warming could know."""
    counts = context.cache.plans[LOOKUP.name].counts
    while not counts.miss:  # the relay vouches from some moment on
        await service.look_up(context, "anything")
        await asyncio.sleep(0.01)
    await context.cache.get_many(LOOKUP, most_used(), None)
    chance = random.Random(count)
    warm = [key.folded for key in most_used()]
    others = [line.generic_name for line in demo_drugs() if line.generic_name not in warm]
    chance.shuffle(others)
    names = (warm + others)[:used]
    weights = [1 / place**SKEW for place in range(1, len(names) + 1)]
    before = counts.local + counts.shared
    for name in chance.choices(names, weights, k=count):
        await service.look_up(context, name)
    rate = (counts.local + counts.shared - before) / count
    sys.stdout.write(f"\n{count} lookups, Zipf {SKEW}: hit rate {rate:.4f} (bar 0.95)\n")
    assert rate >= 0.95
