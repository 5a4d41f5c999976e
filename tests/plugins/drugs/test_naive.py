"""The naive twin and the real thing agree on every exact name; where they do not, it is written here why."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from support import Site

from cito.core.database.pool import Database
from cito.plugins.drugs import naive
from cito.plugins.drugs.finding import find_resolutions
from cito.plugins.drugs.models import Drug, Status


@pytest.fixture
async def database(case_site: Site):
    queries = {name: owned.value for name, owned in case_site.assembly.sources.queries.items()}
    opened = await Database.open(case_site.assembly.settings.database, case_site.urls.app, queries)
    yield opened
    await opened.close()


async def test_same_answer_for_every_name_however_it_is_written(
    database: Database, case_drugs: dict[str, Drug]
) -> None:
    rng = random.Random(6)
    names = [
        n for drug in case_drugs.values() for n in (drug.generic_name, *drug.brand_names, *drug.keywords)
    ]
    written = [
        rng.choice([str.upper, str.title, lambda s: f"  {s} ", lambda s: f"{s} 500mg"])(name)
        for name in names
    ]
    on = database.reader(None)
    ours, twins = await asyncio.gather(find_resolutions(on, written), naive.look_up_many(on, written))
    for name, our, twin in zip(written, ours, twins, strict=True):
        assert (our.status, our.drug, our.matched_on) == (twin.status, twin.drug, twin.matched_on), name


async def test_where_the_naive_twin_is_wrong(database: Database, lookup_cases: dict[str, Any]) -> None:
    """It never decides otherwise than we do; it misses combinations and names written as one word."""
    on = database.reader(None)
    texts = [case["q"] for case in lookup_cases["lookups"]]
    ours, twins = await asyncio.gather(find_resolutions(on, texts), naive.look_up_many(on, texts))
    missed = set()
    for text, our, twin in zip(texts, ours, twins, strict=True):
        if twin.status is Status.RESOLVED:
            assert our.drug == twin.drug or our.status in {Status.AMBIGUOUS, Status.SUGGEST}, text
        if our.status is Status.RESOLVED and twin.drug != our.drug:
            missed.add((text, our.matched_on))
    # Written as one word, a name is no part of the JSON; ingredients in another order are no name at all.
    assert {text for text, matched in missed if matched != "ingredients"} <= {"cocodamol", "cotrimoxazole"}
