"""The schema of everything that is installed: clinics apart, statements prepared, plans provable."""

from __future__ import annotations

from cito.core.database.proofs import verify_indexes
from cito.core.database.tenancy import tenancy_violations
from cito.core.sources import NAIVE


async def test_no_table_key_view_or_function_lets_clinics_meet(site):
    assert [f"{v.name}: {v.broken}" for v in await tenancy_violations(site.urls.owner)] == []


async def test_every_named_query_is_planned_with_values_of_its_own_or_says_why_not(site):
    """On nearly empty tables nothing can be proven; but no example may be refused, and nothing may fail."""
    queries = [q.value for name, q in site.assembly.sources.queries.items() if not name.startswith(NAIVE)]
    indexes = [owned.value for owned in site.assembly.registry.indexes]
    proofs = await verify_indexes(site.urls.owner, site.urls.app, queries, indexes)
    assert {proof.query for proof in proofs} == {query.name for query in queries}
    assert [
        f"{p.query}: {p.because}" for p in proofs if p.verdict == "failed" or "refused" in p.because
    ] == []
