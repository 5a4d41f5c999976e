"""Every named query uses what is declared for it, as the application role under its policies."""

from __future__ import annotations

import pytest
from filling import fill
from support import OpenSite

from cito.core.database.proofs import LARGE_ROWS, verify_indexes
from cito.core.sources import NAIVE


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (300, {"proven", "usable"}),
        pytest.param(LARGE_ROWS, {"proven"}, marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
    ],
)
async def test_every_named_query_has_its_plan(open_site: OpenSite, count: int, expected: set[str]) -> None:
    """At 200,000 rows each index is used and nothing reads a large table; below, each index could serve."""
    async with open_site() as site:
        await fill(site, count)
        queries = [q.value for name, q in site.assembly.sources.queries.items() if not name.startswith(NAIVE)]
        indexes = [owned.value for owned in site.assembly.registry.indexes]
        almost = LARGE_ROWS * 9 // 10  # PostgreSQL estimates the size of a table
        proofs = await verify_indexes(site.urls.owner, site.urls.app, queries, indexes, large_rows=almost)
    assert {proof.query for proof in proofs} == {query.name for query in queries}
    others = [proof for proof in proofs if proof.verdict not in expected]
    if others:
        pytest.fail("\n".join(f"{p.query} {p.verdict}: {p.because}\n" + "\n".join(p.plan) for p in others))
